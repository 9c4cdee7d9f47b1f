"""Show the repairs of `episeek repair`: as a list, as a page about one repair, and as JSON."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from episeek_pipelines.api import RepairRule

FAMILY: Final = "REP"
"""The letters with which the codes of repairs begin."""


def is_repair(text: str) -> bool:
    """Return whether a text is the code of a repair, or the family of all repairs, in upper or lower case."""
    return bool(_repairs(text))


def repair_pages(text: str) -> str:
    """Return the page about one repair, or two lines for each repair if the text is the whole family.

    Args:
        text: A text for which `is_repair` is true.
    """
    found = _repairs(text)
    if len(found) == 1:
        return _page(found[0])
    return "\n".join(f"{each.code}  {each.title}\n        proved if: {each.proof}" for each in found)


def repairs_json(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return repairs as a JSON document, in the order of their codes.

    Args:
        texts: Texts, of which those that are no repairs are left out.
    """
    found = {each.code: each for text in texts for each in _repairs(text)}
    return [
        {
            "code": each.code,
            "family": FAMILY,
            "name": each.title,
            "proof": each.proof,
            "answers": list(each.answers),
            "needs": list(each.needs),
        }
        for _, each in sorted(found.items())
    ]


def _repairs(text: str) -> "list[RepairRule]":
    from episeek_pipelines.api import REPAIRS

    code = text.strip().upper()
    if code == FAMILY:
        return sorted(REPAIRS.values(), key=lambda each: each.code)
    return [REPAIRS[code]] if code in REPAIRS else []


def _page(repair: "RepairRule") -> str:
    from episeek_pipelines.api import RULES

    entries = [
        ("proved if", repair.proof),
        ("needs", f"{', '.join(repair.needs)}, if they change the same values" if repair.needs else ""),
        *(("answers", f"{code}: {RULES[code].problem}") for code in repair.answers),
        (
            "select",
            f"--only {repair.code} or --skip {repair.code} of `episeek repair`; docs/repair.md describes all repairs",
        ),
    ]
    lines = (f"  {name + ':':<11}{text}" for name, text in entries if text)
    return "\n".join([f"{repair.code}: {repair.title}", *lines])
