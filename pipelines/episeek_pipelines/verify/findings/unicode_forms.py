"""Names that look the same and differ in their Unicode form, as macOS and some archives write them.

LeRobot compares names byte by byte. In a message both look the same, so the form is named.
"""

import unicodedata
from collections.abc import Iterable
from typing import Final

FORM_REMEDY: Final = (
    "rename it to the Unicode form that meta/info.json has (unicodedata.normalize); the two look the same"
)


def in_other_form(name: str, names: Iterable[str]) -> str | None:
    r"""Return the name among `names` that is the same text in another Unicode form; None where there is none.

    >>> in_other_form("caf\\u00e9", ["cafe\\u0301", "cafe"]) == "cafe\\u0301"
    True
    """
    if name.isascii():
        return None
    composed = unicodedata.normalize("NFC", name)
    return next((each for each in names if each != name and unicodedata.normalize("NFC", each) == composed), None)


def form_of(name: str) -> str:
    """Return the Unicode form of a name that is not ASCII: NFC, NFD, or "a mixed form"."""
    return next((form for form in ("NFC", "NFD") if unicodedata.is_normalized(form, name)), "a mixed form")
