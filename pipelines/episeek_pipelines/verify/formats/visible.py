r"""Text that comes from a dataset, made safe to show: names of files and columns can hold anything.

What a terminal, a log or an XML parser would act on or refuse is written as Python writes it in a string: `\x1b`, `\n`,
`\udcff`. Markup is left alone: each format escapes its own.
"""

import re
from typing import Final

_HIDDEN: Final = re.compile(
    "["
    "\\x00-\\x1f\\x7f-\\x9f"  # control characters, ends of lines among them
    "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069"  # change the direction of what follows
    "\\u2028\\u2029\\ufeff"  # separate lines and paragraphs; byte order mark
    "\\ud800-\\udfff\\ufffe\\uffff"  # no characters: UTF-8 cannot encode the first, XML 1.0 allows none of them
    "]"
)
_NAMED: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: str, *, max_length: int | None = None) -> str:
    """`text` in one line, without control characters and lone surrogates; cut to `max_length` characters, which shows."""
    shown = _HIDDEN.sub(_escape, text[:max_length])
    if max_length is not None and max(len(text), len(shown)) > max_length:
        cut = f"… ({len(text):,} characters)"
        return shown[: max(max_length - len(cut), 0)] + cut
    return shown


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    return _NAMED.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
