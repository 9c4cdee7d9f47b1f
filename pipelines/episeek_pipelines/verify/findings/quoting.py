"""Foreign text in messages: short, in one line, and recognizable."""

import json
from typing import Final

_MOST_CHARACTERS: Final = 60


def as_json(value: object) -> str:
    """Return a value of a TOML or JSON file much as the file has it, cut to a short text."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        # Python refuses to write integers of very many digits.
        text = type(value).__name__
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."


def quoted(value: object) -> str:
    """Return a value of a document: text as Python writes it, cut; for lists and objects only the type."""
    if isinstance(value, str):
        return repr(value if len(value) <= _MOST_CHARACTERS else value[: _MOST_CHARACTERS - 1] + "…")
    if value is None:
        return "null"
    is_short = isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 10**18)
    return str(value) if is_short else type(value).__name__


def one_line(value: object, limit: int = 120) -> str:
    """Return a name or text without quotes, as one printable line of about `limit` characters at most."""
    text = str(value)
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= limit else f"{text[:limit]}..."
