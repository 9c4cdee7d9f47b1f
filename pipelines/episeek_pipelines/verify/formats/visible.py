r"""Make text from a dataset safe to show, since names of files and columns can contain any character.

Characters that a terminal, a log or an XML parser would act on or refuse are written as in a Python string: `\x1b`, `\n`,
`\udcff`. Markup is not escaped here, since each format escapes its own markup.
"""

import re
from typing import Final

_HIDDEN: Final = re.compile(
    "["
    # Control characters, including ends of lines.
    "\\x00-\\x1f\\x7f-\\x9f"
    # Characters that change the direction of the text after them.
    "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069"
    # Separators of lines and paragraphs, and the byte order mark.
    "\\u2028\\u2029\\ufeff"
    # Surrogates, which UTF-8 cannot encode, and two code points that are not characters. XML 1.0 allows none of them.
    "\\ud800-\\udfff\\ufffe\\uffff"
    "]"
)
_SHORT_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: str, *, max_length: int | None = None) -> str:
    """Return `text` as one line without control characters and lone surrogates.

    Text of more than `max_length` characters is cut, and its end is replaced by the number of characters of the whole text.
    """
    shown = _HIDDEN.sub(_escape, text[:max_length])
    if max_length is not None and max(len(text), len(shown)) > max_length:
        cut = f"… ({len(text):,} characters)"
        return shown[: max(max_length - len(cut), 0)] + cut
    return shown


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    return _SHORT_ESCAPES.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
