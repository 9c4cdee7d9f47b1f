"""Show repairs as lines of text and as JSON: a diff with proofs, and the findings of the dataset before and after."""

import math
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from episeek_pipelines.words import counted

if TYPE_CHECKING:
    from episeek_pipelines.api import MadeRepairs, Refusal, Repair, RepairResult, VerificationReport

_MOST_LINES: Final = 40
_MOST_CHARACTERS: Final = 100
_MOST_ELEMENTS: Final = 4
_ROUNDING: Final = 1e-6


def made_lines(made: "MadeRepairs", *, is_dry_run: bool = False, is_current: bool = False) -> Iterator[str]:
    """Yield the lines that show repairs and refusals.

    A repair is shown like a diff, with the values before (-) and after (+), and with its proof. A refusal is a defect that is not
    repaired because the evidence allows more than one explanation. It is shown with all of these explanations.

    Args:
        made: The repairs and refusals.
        is_dry_run: Whether nothing is written.
        is_current: Whether an earlier run has made the same repairs, so that nothing was written.
    """
    verb = "would be repaired" if is_dry_run else "repaired by an earlier run" if is_current else "repaired"
    values, refused = (
        counted(sum(1 + each.more for each in found), "value") for found in (made.repairs, made.refusals)
    )
    yield f"repair   {values} {verb}, {refused} refused"
    for each in made.repairs[:_MOST_LINES]:
        yield from _repair_lines(each)
    if len(made.repairs) > _MOST_LINES:
        yield f"         and {len(made.repairs) - _MOST_LINES:,} more repairs: --json lists all of them"
    yield from refusal_lines(made)


def refusal_lines(made: "MadeRepairs") -> Iterator[str]:
    """Yield the lines that show the refusals, each with its explanations."""
    for refusal in made.refusals[:_MOST_LINES]:
        yield from _refusal_lines(refusal)
    if len(made.refusals) > _MOST_LINES:
        yield f"         and {len(made.refusals) - _MOST_LINES:,} more refusals: --json lists all of them"


def findings_line(result: "RepairResult") -> Iterator[str]:
    """Yield a line that counts the findings of each rule before the repair, and such a line for the result."""
    yield f"before   {_counts(result.before)}"
    if result.after is not None:
        yield f"after    {_counts(result.after)}"
    else:
        yield "after    not verified again, since the earlier run did it: run `episeek verify DST`"


def overlay_lines(result: "RepairResult") -> Iterator[str]:
    """Yield a line that says where the videos are, if the result is an overlay."""
    if result.preparation.copies is None and not result.preparation.is_current:
        yield (
            "         It is an overlay, without videos: episeek reads them from SRC, whose path DST records. --videos link or copy "
            "makes a whole dataset, which LeRobot can read."
        )


def made_document(made: "MadeRepairs") -> dict[str, Any]:
    """Return the JSON document of repairs and refusals, each with the title of its repair rule."""
    document = made.as_document()
    for kind, members in (("repairs", made.repairs), ("refusals", made.refusals)):
        document[kind] = [{**each.as_document(), "title": each.rule.title} for each in members]
    return document


def _repair_lines(each: "Repair") -> Iterator[str]:
    yield f"{each.code}   {each.place}"
    before, after = _pair(each.before, each.after)
    yield f"       - {before}{_more(each.more)}"
    yield f"       + {after}"
    yield f"         {each.proof}"


def _refusal_lines(each: "Refusal") -> Iterator[str]:
    yield f"refused  {each.place}: {each.found}{_more(each.more)} ({each.code}: {each.rule.title})"
    for number, reading in enumerate(each.readings):
        word = "" if len(each.readings) == 1 else "or " if number else "either "
        yield f"         {word}{reading}"


def _more(count: int) -> str:
    return f" (and {count:,} more)" if count else ""


def _pair(before: object, after: object) -> tuple[str, str]:
    """Return two values as texts of limited length, in which the values can be told apart.

    Of long lists of the same length, only the first elements that differ are shown, each with its number. Of other long texts, the
    part around the first difference is shown.
    """
    old, new = _text(before), _text(after)
    if max(len(old), len(new)) <= _MOST_CHARACTERS:
        return old, new
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        unequal = [place for place, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
        differing = [place for place in unequal if not _is_rounding(before[place], after[place])] or unequal
        shown = differing[:_MOST_ELEMENTS]
        rest = f" ({len(differing)} of {len(before)} elements differ)"
        texts = (", ".join(f"[{place}] {_cut(str(values[place]), 0)}" for place in shown) for values in (before, after))
        one, other = (f"{text}{rest}" for text in texts)
        return one, other
    length = min(len(old), len(new))
    first = next((place for place in range(length) if old[place] != new[place]), length)
    start = max(0, first - _MOST_CHARACTERS // 3) if first > _MOST_CHARACTERS // 2 else 0
    return _cut(old, start), _cut(new, start)


def _is_rounding(before: object, after: object) -> bool:
    return isinstance(before, float) and isinstance(after, float) and math.isclose(before, after, rel_tol=_ROUNDING)


def _text(value: object) -> str:
    return "nothing" if value is None else str(value)


def _cut(text: str, start: int) -> str:
    """Return the text from a position on, with at most 100 characters; dots stand for what is left out."""
    part = text[start : start + _MOST_CHARACTERS - 6]
    return f"{'...' if start else ''}{part}{'...' if start + len(part) < len(text) else ''}"


def _counts(report: "VerificationReport") -> str:
    """Return the number of findings of each rule, counted as in the verdict of `episeek verify`."""
    counts: Counter[str] = Counter()
    for each in report.findings:
        counts[f"{each.code} ({each.severity})"] += 1 + each.more
    return ", ".join(f"{count} x {name}" for name, count in sorted(counts.items())) or "no findings"
