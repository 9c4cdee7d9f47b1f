"""Text of the page: escaped words, and numbers with their units. Whatever comes from the dataset goes through `escaped`."""

import html
import re
from typing import Final

from episeek_pipelines.verify.formats.visible import visible

MOST_CHARACTERS: Final = 1000
"""Of one message or name; what is cut off is said."""


def escaped(text: object) -> str:
    """HTML of `text`, for content and quoted attributes, in one line (`visible`)."""
    return html.escape(visible(str(text), max_length=MOST_CHARACTERS))


def breakable(name: str) -> str:
    """HTML of a name that may go on in the next line after its separators, and within very long parts."""
    return "<wbr>".join(
        escaped(part) for part in re.findall(r"[^./_-]{0,19}[./_-]|.{1,20}", name[:MOST_CHARACTERS], re.DOTALL)
    )


def number(value: int) -> str:
    """With separated thousands."""
    return f"{value:,}"


def plural(count: int, noun: str) -> str:
    """A count and what is counted."""
    return f"{number(count)} {noun}" if count == 1 else f"{number(count)} {noun}s"


def significant(value: float) -> str:
    """Three digits that matter, with separated thousands; no exponent unless the number is extreme."""
    if value == 0:
        return "0"
    if abs(value) >= 1e15 or abs(value) < 1e-6:
        return _signed(f"{value:.2e}")
    decimals = 0
    while decimals < 8 and abs(value) * 10**decimals < 99.95:
        decimals += 1
    text = f"{value:,.{decimals}f}"
    return _signed(text.rstrip("0").rstrip(".") if "." in text else text)


BYTE_UNITS: Final = (("B", 1), ("kB", 10**3), ("MB", 10**6), ("GB", 10**9), ("TB", 10**12))


def byte_unit(largest: float) -> tuple[str, int]:
    """The unit to write sizes up to `largest` in, and its bytes."""
    return next((unit for unit in reversed(BYTE_UNITS) if abs(largest) >= unit[1]), BYTE_UNITS[0])


def byte_size(value: float) -> str:
    """For example "1.23 MB"."""
    unit, size = byte_unit(value)
    return f"{significant(value / size)} {unit}"


def _signed(text: str) -> str:
    return text.replace("-", "−") if text.startswith("-") else text  # noqa: RUF001 - a minus sign, not a hyphen
