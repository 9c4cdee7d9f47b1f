"""The names of report formats, and how one is chosen for a file; `formats` renders them."""

from typing import Final, Literal, get_args

Format = Literal["text", "json", "junit", "sarif", "github", "markdown", "html"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

MAX_FINDINGS: Final = 20
"""Findings that are shown to people, unless they ask for another number."""

_SUFFIXES: Final[dict[str, Format]] = {
    ".txt": "text",
    ".json": "json",
    ".xml": "junit",
    ".sarif": "sarif",
    ".md": "markdown",
    ".html": "html",
}


def parse_output(text: str) -> tuple[Format, str]:
    """Format and file of `FORMAT:FILE`, or of a file whose suffix says the format.

    A file with a colon, as a URL has it, needs the format only where its suffix does not say it: `s3://b/x.json`,
    `sarif:s3://b/x`.

    Raises:
        ValueError: Neither says the format, or there is no file.
    """
    start, colon, file = text.partition(":")
    for format in FORMATS:
        if colon and start == format:
            if not file:
                raise ValueError(f"output: found {text!r}; expected a file behind the colon")
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
