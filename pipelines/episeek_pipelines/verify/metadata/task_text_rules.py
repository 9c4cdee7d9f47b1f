"""TSK047: find texts of tasks that are placeholders instead of instructions, and texts that differ only in their spelling.

Nothing is guessed. A placeholder is a text from a fixed list, or a text without a letter. Two texts differ only in their spelling
if they have the same normal form.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import pyarrow as pa

from episeek_pipelines.dataset.task_table import text_column
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.quoting import quoted
from episeek_pipelines.verify.rules import TASK_TEXTS
from episeek_pipelines.verify.rules.metadata import SAME_TASK_REMEDY
from episeek_schemas import layout

PLACEHOLDERS: Final = frozenset(
    (
        "task", "tasks", "my task", "dummy task", "test task", "default task", "task name", "task description", "test", "testing",
        "todo", "tbd", "unnamed", "untitled", "default", "dummy", "placeholder", "example", "unknown", "undefined", "none", "null",
        "nan", "na", "n a", "no task", "description",
    )
)  # fmt: skip
"""Texts that tools and forms fill in, as lower-case words. A text with a number after one of them is also a placeholder."""

_BETWEEN_WORDS: Final = re.compile(r"[\W_]+")
_NUMBER_AT_END: Final = re.compile(r"\s*\d+$")
_FULL_STOPS: Final = ".\N{IDEOGRAPHIC FULL STOP}"


def check_task_texts(table: pa.Table) -> Iterator[Finding]:
    """Yield TSK047 for meta/tasks.parquet: one finding for placeholders, and one for texts that differ only in their spelling.

    Equal texts are not reported here, since TSK014 reports them.
    """
    name = text_column(table)
    if name is None:
        return
    texts: list[str | None] = table[name].to_pylist()
    empty = [row for row, text in enumerate(texts) if text is not None and is_placeholder(text)]
    if empty:
        where = Location(file=layout.TASKS_PATH, row=empty[0], column=name)
        found, more = f"task {quoted(texts[empty[0]])}", len(empty) - 1
        yield finding(TASK_TEXTS, found, "an instruction, in words", where, more=more)
    pairs = list(_nearly_equal(texts, {*empty}))
    if pairs:
        row, first = pairs[0]
        text, other = texts[row] or "", texts[first] or ""
        yield finding(
            TASK_TEXTS,
            f"task {quoted(text)}, which differs from {quoted(other)} in row {first} only in {difference(text, other)}",
            "one text for one task",
            Location(file=layout.TASKS_PATH, row=row, column=name),
            more=len(pairs) - 1,
            remedy=SAME_TASK_REMEDY,
        )


def is_placeholder(text: str) -> bool:
    """Return whether a text is a placeholder: it has no letter, or is one of `PLACEHOLDERS` with or without a number.

    >>> [is_placeholder(text) for text in ("", "Task_3", "TODO", "42", "test the switch", "pick")]
    [True, True, True, True, False, False]
    """
    words = _BETWEEN_WORDS.sub(" ", normal_form(text)).strip()
    return not any(each.isalpha() for each in words) or _NUMBER_AT_END.sub("", words) in PLACEHOLDERS


def normal_form(text: str) -> str:
    """Return the normal form of a text. Texts that differ only in their spelling have the same normal form.

    It has the Unicode form NFKC, is case-folded, and has neither invisible characters nor a full stop at its end. White space is
    removed at both ends, and replaced by single spaces elsewhere.
    """
    for change in _STEPS.values():
        text = change(text)
    return _STEPS["white space"](text)


def difference(text: str, other: str) -> str:
    """Return in words how two texts with the same normal form differ, such as "white space" or "white space and a full stop"."""
    alone = [name for name, change in _STEPS.items() if change(text) == change(other)]
    if alone:
        return alone[0]
    # A step is needed if the texts differ without it.
    needed = [name for name in _STEPS if _without_step(text, name) != _without_step(other, name)] or list(_STEPS)
    return " and ".join(filter(None, (", ".join(needed[:-1]), needed[-1])))


def _nearly_equal(texts: Sequence[str | None], left_out: set[int]) -> Iterator[tuple[int, int]]:
    """Yield (row, first row) for each text that has the same normal form as a different text in an earlier row."""
    first_rows: dict[str, int] = {}
    for row, text in enumerate(texts):
        if text is None or row in left_out:
            continue
        first = first_rows.setdefault(normal_form(text), row)
        if first != row and texts[first] != text:
            yield row, first


def _composed(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _caseless(text: str) -> str:
    return unicodedata.normalize("NFKC", text.casefold())


def _single_spaced(text: str) -> str:
    return " ".join(text.split())


def _seen(text: str) -> str:
    return "".join(each for each in text if unicodedata.category(each) not in ("Cf", "Cc") or each.isspace())


def _without_step(text: str, name: str) -> str:
    """Return the result of applying all steps of the normal form to a text, except the step `name`."""
    for each, change in _STEPS.items():
        text = text if each == name else change(text)
    return text


def _without_stop(text: str) -> str:
    return text.rstrip().rstrip(_FULL_STOPS)


_STEPS: Final[dict[str, Callable[[str], str]]] = {
    "Unicode form": _composed,
    "characters that cannot be seen": _seen,
    "upper and lower case": _caseless,
    "white space": _single_spaced,
    "a full stop": _without_stop,
}
