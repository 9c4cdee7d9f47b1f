"""Functions that recognize names which look the same but differ in their Unicode form (NFC or NFD).

macOS and some archives write names in a different form than the metadata has, and LeRobot compares names byte by byte. Both names
look the same in a message, so messages also give the form.
"""

import unicodedata
from collections.abc import Iterable
from typing import Final

FORM_REMEDY: Final = (
    "change the name to the Unicode form that meta/info.json has (unicodedata.normalize); both names look the same"
)


def in_other_form(name: str, names: Iterable[str]) -> str | None:
    r"""Return the first of `names` that differs from `name` only in its Unicode form, or None if no name does.

    >>> in_other_form("caf\\u00e9", ["cafe\\u0301", "cafe"]) == "cafe\\u0301"
    True
    """
    if name.isascii():
        return None
    composed = unicodedata.normalize("NFC", name)
    return next((each for each in names if each != name and unicodedata.normalize("NFC", each) == composed), None)


def form_of(name: str) -> str:
    """Return the Unicode form of a name that is not ASCII: "NFC", "NFD", or "a mixed form"."""
    return next((form for form in ("NFC", "NFD") if unicodedata.is_normalized(form, name)), "a mixed form")
