"""List the formats of a comparison, and choose the format for an output file."""

from typing import Final, Literal, get_args

DiffFormat = Literal["text", "json", "html"]
DIFF_FORMATS: Final[tuple[DiffFormat, ...]] = get_args(DiffFormat)

_SUFFIXES: Final[dict[str, DiffFormat]] = {".txt": "text", ".json": "json", ".html": "html"}


def parse_diff_output(text: str) -> tuple[DiffFormat, str]:
    """Return the format and the file of an output option: `FORMAT:FILE`, or a file whose suffix implies the format.

    Raises:
        ValueError: The option gives no format, neither before a colon nor as a suffix, or it gives no file.
    """
    start, colon, file = text.partition(":")
    for format in DIFF_FORMATS:
        if colon and start == format:
            if not file:
                raise ValueError(f"output: found {text!r}; expected a file after the colon")
            return format, file
    for suffix, format in _SUFFIXES.items():
        if text.lower().endswith(suffix) and len(text.rpartition("/")[2]) > len(suffix):
            return format, text
    expected = (
        f"FORMAT:FILE with one of {', '.join(DIFF_FORMATS)}, or a file that ends with one of {' '.join(_SUFFIXES)}"
    )
    raise ValueError(f"output: found {text!r}; expected {expected}")
