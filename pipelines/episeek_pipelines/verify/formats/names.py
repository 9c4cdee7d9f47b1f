"""The names of the report formats, and the choice of the format of an output file from its suffix."""

from collections.abc import Callable
from typing import Final, Literal, get_args

Format = Literal["text", "json", "junit", "sarif", "github", "markdown", "html"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

MAX_FINDINGS: Final = 20
"""Number of findings that the formats for human readers show by default."""

Role = Literal["error", "warning", "passed", "code"]
"""The role of a word in a text report, which decides the colour of the word."""

Paint = Callable[[str, Role], str]
"""A function that returns a word in the colour of its role."""


def plain(text: str, role: Role) -> str:
    """Return the text unchanged. This is the `Paint` function that adds no colour."""
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
    """Return the format and the file of an output, which is given as `FORMAT:FILE` or as a file whose suffix implies the format.

    The file may be a URL: `s3://b/x.json` implies its format, and `sarif:s3://b/x` states it.

    Raises:
        ValueError: The text neither states nor implies a format, or has no file after the colon.
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
            f"FORMAT:FILE with one of the formats {', '.join(FORMATS)}, or a file with one of the suffixes "
            f"{' '.join(_SUFFIXES)}"
        )
        raise ValueError(f"output: found {text!r}; expected {expected}")
    return found, text
