"""The names of the report formats, and the choice of a format for a file."""

from collections.abc import Callable
from typing import Final, Literal, get_args

Format = Literal["text", "json", "junit", "sarif", "github", "markdown", "html"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

MAX_FINDINGS: Final = 20
"""Findings that are shown to people by default."""

Role = Literal["error", "warning", "passed", "code"]
"""The meaning of a word in a text report, for its colour."""

Paint = Callable[[str, Role], str]
"""Returns a word in the colour of its role."""


def plain(text: str, role: Role) -> str:
    """Return a text without colour."""
    return text


_SUFFIXES: Final[dict[str, Format]] = {
    ".txt": "text",
    ".json": "json",
    ".xml": "junit",
    ".sarif": "sarif",
    ".md": "markdown",
    ".html": "html",
}


def parse_output(text: str) -> tuple[Format, str]:
    """Return format and file of `FORMAT:FILE`, or of a file whose suffix implies the format.

    A URL needs the format only if its suffix does not imply one: `s3://b/x.json`, `sarif:s3://b/x`.

    Raises:
        ValueError: Neither gives a format, or there is no file.
    """
    start, colon, file = text.partition(":")
    for format in FORMATS:
        if colon and start == format:
            if not file:
                raise ValueError(f"output: found {text!r}; expected a file after the colon")
            return format, file
    name = text.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    found = _SUFFIXES.get(f".{suffix.lower()}") if dot and stem else None
    if found is None:
        expected = (
            f"FORMAT:FILE with one of {', '.join(FORMATS)}, or a file that ends with one of {' '.join(_SUFFIXES)}"
        )
        raise ValueError(f"output: found {text!r}; expected {expected}")
    return found, text
