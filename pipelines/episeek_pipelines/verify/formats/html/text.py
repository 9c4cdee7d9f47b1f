"""Make the texts of the page: escaped text, and numbers with their units."""

import base64
import re
from typing import Final

from markupsafe import Markup, escape

from episeek_pipelines.verify.formats.visible import visible

MOST_CHARACTERS: Final = 1000
"""Greatest number of characters of a message or name. Longer text is cut."""


def shown(value: object) -> object:
    """Return a value in the form in which a template shows it: HTML unchanged, anything else as one line of visible text."""
    return value if isinstance(value, Markup) else visible(str(value), max_length=MOST_CHARACTERS)


def escaped(text: object) -> Markup:
    """Return text as one line of escaped HTML, which may be the content of an element or a quoted attribute."""
    return escape(shown(text))


def breakable(name: str) -> Markup:
    """Return a name as HTML that may break into lines after its separators and within very long parts."""
    parts = re.findall(r"[^./_-]{0,19}[./_-]|.{1,20}", name[:MOST_CHARACTERS], re.DOTALL)
    return Markup("<wbr>").join(escaped(part) for part in parts)


def prose(text: str) -> Markup:
    """Return a sentence as HTML. Text between backticks becomes a `<code>` element."""
    parts = [escaped(part) for part in text.split("`")]
    parts[1::2] = [Markup("<code>{}</code>").format(part) for part in parts[1::2]]
    return Markup("").join(parts)


def jpeg_url(picture: bytes) -> Markup:
    """Return a data URL that contains a JPEG picture."""
    return Markup(f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}")


def number(value: int) -> str:
    """Return a whole number as text with commas between thousands."""
    return f"{value:,}"


def significant(value: float) -> str:
    """Return a number as text with three significant digits and commas between thousands. Extreme numbers have an exponent."""
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
    """Return the unit in which sizes up to `largest` bytes are shown, such as "MB", and the number of bytes in this unit."""
    return next((unit for unit in reversed(BYTE_UNITS) if abs(largest) >= unit[1]), BYTE_UNITS[0])


def byte_size(value: float) -> str:
    """Return a number of bytes with its unit, for example "1.23 MB"."""
    unit, size = byte_unit(value)
    return f"{significant(value / size)} {unit}"


def _signed(text: str) -> str:
    return text.replace("-", "−") if text.startswith("-") else text  # noqa: RUF001 - a minus sign, not a hyphen
