"""Functions that shorten values of a dataset or a settings file to one line of text for messages."""

import json
from typing import Final

_MOST_CHARACTERS: Final = 60


def as_json(value: object) -> str:
    """Return a value of a TOML or JSON file as JSON, cut to about 60 characters."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        # Python refuses to write integers with thousands of digits.
        text = type(value).__name__
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."


def quoted(value: object) -> str:
    """Return a value of a JSON document as a short text for a message.

    A string is quoted and cut to 60 characters. Other scalars are returned as text. For a list, an object or a very large integer,
    the result is the name of the type.
    """
    if isinstance(value, str):
        return repr(value if len(value) <= _MOST_CHARACTERS else value[: _MOST_CHARACTERS - 1] + "…")
    if value is None:
        return "null"
    is_short = isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 10**18)
    return str(value) if is_short else type(value).__name__


def one_line(value: object, limit: int = 120) -> str:
    """Return a name or text without quotes, as one printable line of at most about `limit` characters."""
    text = str(value)
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= limit else f"{text[:limit]}..."
