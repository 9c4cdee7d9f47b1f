"""Colour words for terminals; files and pipes get no colours unless FORCE_COLOR is set."""

import os
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from episeek_pipelines.verify.formats.names import Paint, Role

_CODES: Final = {"error": "1;31", "warning": "33", "passed": "32", "code": "1"}
"""SGR parameters (ECMA-48, 8.3.117) of each role: bold red, yellow, green, bold."""


def paint_for(stream: TextIO) -> "Paint":
    """Return the function that colours words for a stream, or leaves them as they are if the stream gets no colours.

    The environment variable NO_COLOR turns colours off, and FORCE_COLOR turns them on, with any value that is not empty
    (https://no-color.org, https://force-color.org).
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
