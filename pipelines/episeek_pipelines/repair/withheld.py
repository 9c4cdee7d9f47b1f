"""Take back what repairs have written into a draft if they are not to be made.

All repairs are planned in one draft, whatever the selection, so that no proof depends on it. Afterwards the draft gets back its
old values wherever a repair is not to be made. A repair is also not made, but refused, if its value builds on a repair that is left
out (`RepairRule.needs`) and that concerns the same values.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from episeek_pipelines.repair import registry
from episeek_pipelines.repair.draft import DataEdit, Draft
from episeek_pipelines.repair.info_document import TOTAL_TASKS
from episeek_pipelines.repair.values import Place, Refusal, Repair
from episeek_schemas import layout, lerobot

_OF_TASKS: Final = (lerobot.TASKS, lerobot.TASK_INDEX, TOTAL_TASKS)
"""The columns and keys whose values refer to the rows of meta/tasks.parquet."""

_OF_ROWS: Final = (registry.ROW_NUMBERS.code, registry.TIMESTAMPS.code, registry.ROW_TASKS.code)
"""The repairs of single columns of rows, on which only statistics of the same column build."""


@dataclass(frozen=True, slots=True, eq=False)
class DraftValues:
    """The values of a draft that repairs write, at one moment."""

    columns: Mapping[str, npt.NDArray[Any]]
    task_texts: Sequence[list[str] | None]
    tasks: pa.Table | None
    info: Mapping[str, Any]
    statistics: Mapping[str, Any]
    episode_statistics: Mapping[str, Any]
    edits: Mapping[str, DataEdit]

    @classmethod
    def of(cls, draft: Draft) -> "DraftValues":
        """Return a copy of the values that a draft has now. Repairs replace the parts of documents as a whole."""
        return cls(
            {name: values.copy() for name, values in draft.columns.items()},
            list(draft.task_texts),
            draft.tasks,
            dict(draft.info),
            dict(draft.statistics),
            dict(draft.episode_statistics),
            {
                path: DataEdit(
                    dict(edit.types), edit.features, {name: list(edits) for name, edits in edit.numbers.items()}
                )
                for path, edit in draft.edits.items()
            },
        )


def take_back(draft: Draft, before: DraftValues, after: DraftValues) -> None:
    """Undo in a draft what one repair has written. The changes of other repairs stay.

    Args:
        draft: The draft after all repairs.
        before: Its values before this repair.
        after: Its values after this repair.
    """
    for name, values in before.columns.items():
        is_changed = (values != after.columns[name]) & ~(np.isnan(values) & np.isnan(after.columns[name]))
        draft.columns[name][is_changed] = values[is_changed]
    for row, (texts, new) in enumerate(zip(before.task_texts, after.task_texts, strict=True)):
        if texts != new:
            draft.task_texts[row] = texts
    if before.tasks is not after.tasks:
        draft.tasks = before.tasks
    _restore(draft.info, before.info, after.info)
    _restore(draft.statistics, before.statistics, after.statistics)
    for feature in after.episode_statistics.keys() - before.episode_statistics.keys():
        del draft.episode_statistics[feature]
    for path, edit in after.edits.items():
        _take_back_edit(draft, path, before.edits.get(path, DataEdit()), edit)


def keep_files_without_footer(draft: Draft) -> None:
    """Leave the files of a draft as they are that would get a new footer."""
    for path, file in draft.evidence.data.items():
        if file.recovered is not None:
            draft.edits.pop(path, None)
    draft.keeps_episodes |= bool(draft.evidence.episodes.recovered)


def needed_by(draft: Draft, repairs: Iterable[Repair], left_out: Sequence[Repair]) -> tuple[str, ...]:
    """Return the codes of repairs that are left out, and on which the values of other repairs build.

    Args:
        draft: The draft, for its files.
        repairs: The repairs of one kind whose values are judged.
        left_out: All repairs before them that are not to be made.
    """
    found = {each.code for made in repairs for each in left_out if _builds_on(draft, made, each)}
    return tuple(sorted(found))


def need_refusal(repairs: Sequence[Repair], needs: Sequence[str]) -> Refusal:
    """Return the refusal of repairs whose values build on the repairs `needs`, which are left out."""
    first = repairs[0]
    more = sum(1 + each.more for each in repairs) - 1
    return _refusal(first.code, first.place, needs, more)


def request_refusal(rule: registry.RepairRule, left_out: Sequence[Repair]) -> Refusal | None:
    """Return the refusal of a repair on request (REP022, REP023) if repairs are left out that it builds on, and None otherwise."""
    needs = sorted({each.code for each in left_out} & {*rule.needs})
    place = Place(layout.STATS_PATH if rule is registry.PICTURES else layout.EPISODES_DIR)
    return _refusal(rule.code, place, needs, 0) if needs else None


def _refusal(code: str, place: Place, needs: Sequence[str], more: int) -> Refusal:
    names = " and ".join(f"{each} ({registry.REPAIRS[each].title})" for each in needs)
    readings = (f"needs {', '.join(needs)}: choose these repairs together, or none of them",)
    return Refusal(code, place, f"a proved value that builds on {names}, which is left out", readings, more)


def _builds_on(draft: Draft, made: Repair, left_out: Repair) -> bool:
    if left_out.code not in made.rule.needs:
        return False
    place, other = made.place, left_out.place
    if other.file == layout.TASKS_PATH:
        return place.column in _OF_TASKS
    if None not in (place.camera, other.camera) and place.camera != other.camera:
        return False
    if place.file in draft.evidence.data:
        is_other_column = left_out.code == registry.COLUMN_TYPES.code and place.column not in (
            other.column,
            lerobot.DATA_FEATURES_KEY,
        )
        return place.file == other.file and not is_other_column
    return left_out.code not in _OF_ROWS or place.column == other.column


def _restore(document: dict[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    for key in before.keys() | after.keys():
        if key not in before:
            document.pop(key, None)
        elif key not in after or before[key] is not after[key]:
            document[key] = before[key]


def _take_back_edit(draft: Draft, path: str, before: DataEdit, after: DataEdit) -> None:
    edit = draft.edits.get(path)
    if edit is None:
        return
    for name in after.types.keys() - before.types.keys():
        del edit.types[name]
    if before.features != after.features:
        edit.features = before.features
    for name, edits in after.numbers.items():
        added = {id(each) for each in edits[len(before.numbers.get(name, ())) :]}
        edit.numbers[name] = [each for each in edit.numbers[name] if id(each) not in added]
        if not edit.numbers[name]:
            del edit.numbers[name]
    if edit == DataEdit() and draft.evidence.data[path].recovered is None:
        del draft.edits[path]
