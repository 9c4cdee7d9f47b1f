"""Show repairs as lines of text and as JSON: a diff with proofs, and the findings of the dataset before and after."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from episeek_pipelines.words import counted

if TYPE_CHECKING:
    from episeek_pipelines.api import MadeRepairs, Refusal, Repair, RepairResult, VerificationReport

_MOST_LINES = 40


def made_lines(made: "MadeRepairs", *, is_dry_run: bool) -> Iterator[str]:
    """Yield the lines that show repairs and refusals.

    A repair is shown like a diff, with the values before (-) and after (+), and with its proof. A refusal is a defect that is not
    repaired because the evidence allows more than one explanation. It is shown with all of these explanations.
    """
    verb = "would be repaired" if is_dry_run else "repaired"
    values = counted(sum(1 + each.more for each in made.repairs), "value")
    yield f"repair   {values} {verb}, {counted(len(made.refusals), 'refusal')}"
    for each in made.repairs[:_MOST_LINES]:
        yield from _repair_lines(each)
    if len(made.repairs) > _MOST_LINES:
        yield f"         and {len(made.repairs) - _MOST_LINES:,} more repairs: --json lists all of them"
    for refusal in made.refusals[:_MOST_LINES]:
        yield from _refusal_lines(refusal)
    if len(made.refusals) > _MOST_LINES:
        yield f"         and {len(made.refusals) - _MOST_LINES:,} more refusals: --json lists all of them"


def findings_line(result: "RepairResult") -> Iterator[str]:
    """Yield a line that counts the findings of each rule before the repair, and such a line for the result if it was verified."""
    yield f"before   {_counts(result.before)}"
    if result.after is not None:
        yield f"after    {_counts(result.after)}"


def made_document(made: "MadeRepairs") -> dict[str, Any]:
    """Return the JSON document of repairs and refusals, each with the title of its repair rule."""
    document = made.as_document()
    for kind, members in (("repairs", made.repairs), ("refusals", made.refusals)):
        document[kind] = [{**each.as_document(), "title": each.rule.title} for each in members]
    return document


def _repair_lines(each: "Repair") -> Iterator[str]:
    yield f"{each.code}   {each.place}"
    more = f" (and {each.more:,} more)" if each.more else ""
    yield f"       - {_value(each.before)}{more}"
    yield f"       + {_value(each.after)}"
    yield f"         {each.proof}"


def _refusal_lines(each: "Refusal") -> Iterator[str]:
    yield f"refused  {each.place}: {each.found} ({each.code}: {each.rule.title})"
    for number, reading in enumerate(each.readings):
        yield f"         {'either' if not number else 'or'} {reading}"


def _value(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _counts(report: "VerificationReport") -> str:
    counts = Counter(f"{each.code} ({each.severity})" for each in report.findings)
    return ", ".join(f"{count} x {name}" for name, count in sorted(counts.items())) or "no findings"
