"""Colour words for terminals; files and pipes get no colours unless FORCE_COLOR is set."""

import os
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from episeek_pipelines.verify.formats.names import Paint, Role

_CODES: Final = {"error": "1;31", "warning": "33", "passed": "32", "code": "1"}
"""The SGR parameters (ECMA-48, 8.3.117) for the text of each role: bold red, yellow, green and bold, in this order."""


def paint_for(stream: TextIO) -> "Paint":
    """Return a function that colours words, or a function that returns words unchanged if the stream gets no colours.

    If the environment variable NO_COLOR is not empty, there are no colours. Otherwise, if FORCE_COLOR is not empty, there are
    colours (https://no-color.org, https://force-color.org).
    """
    return _coloured if _has_colours(stream) else _plain


def _has_colours(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return os.environ.get("TERM") != "dumb" and stream.isatty()


def _coloured(text: str, role: "Role") -> str:
    return f"\x1b[{_CODES[role]}m{text}\x1b[0m"


def _plain(text: str, role: "Role") -> str:
    return text
