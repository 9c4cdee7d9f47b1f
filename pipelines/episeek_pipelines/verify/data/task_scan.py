"""TSK014: check that the rows of an episode have the tasks that `meta/episodes` declares for it."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from episeek_pipelines.verify.findings.arrays import Int64Array
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.quoting import quoted
from episeek_pipelines.verify.rules import TASKS
from episeek_pipelines.words import counted
from episeek_schemas import layout, lerobot

_OTHER_TASK_COLUMNS: Final = ("annotation.", "language_")


def has_other_task_columns(features: Mapping[str, object]) -> bool:
    """Return whether columns other than task_index contain tasks.

    If so, an episode may declare tasks that the task_index of no row refers to.
    """
    return any(key.startswith(_OTHER_TASK_COLUMNS) for key in features)


@dataclass(slots=True)
class _UnknownTask:
    """Rows whose task is not in the table of tasks: the first such row, and the number of such rows."""

    row: int
    episode_index: int
    task_index: int | None
    count: int = 0


@dataclass(slots=True)
class TaskScan:
    """Compares the tasks in the rows of one data file with the tasks that are declared for the rows' episodes (TSK014).

    The rows are added batch by batch, in order. Memory grows with the number of distinct pairs of a listed episode and a listed
    task.
    """

    path: str
    task_text: Mapping[int, str]
    """Texts by task_index, from meta/tasks.parquet. Empty if that file cannot be used; then no row is compared."""
    episode_tasks: Mapping[int, Collection[str]]
    """Declared tasks by episode_index, from meta/episodes. Episodes without an entry, or with no tasks in it, are not compared."""
    expects_every_task: bool = True
    """Whether every declared task must have rows.

    It has to be False if `has_other_task_columns` is true for the dataset.
    """
    _row_count: int = field(default=0, init=False)
    _used: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict, init=False)
    """The first row and the number of rows, by (episode_index, task_index)."""
    _unknown: list[_UnknownTask] = field(default_factory=list, init=False)
    """Rows with an unknown task: one entry for nulls, and one for numbers that are not in the table."""

    def add(
        self, episode_index: Int64Array, task_index: Int64Array, is_null: npt.NDArray[np.bool_] | None = None
    ) -> None:
        """Scan the next rows of the file.

        Args:
            episode_index: Shape [rows].
            task_index: Shape [rows].
            is_null: Whether task_index is null, shape [rows]. `task_index` is ignored in these rows. None if no row is null.
        """
        first_row, self._row_count = self._row_count, self._row_count + len(episode_index)
        if not self.task_text:
            return
        null = np.zeros(len(episode_index), np.bool_) if is_null is None else is_null
        is_task = ~null & np.isin(task_index, _keys(self.task_text))
        self._add_unknown(np.flatnonzero(null), episode_index, None, first_row)
        self._add_unknown(np.flatnonzero(~null & ~is_task), episode_index, task_index, first_row)
        rows = np.flatnonzero(is_task & np.isin(episode_index, _keys(self.episode_tasks)))
        if not len(rows):
            return
        order = rows[np.lexsort((rows, task_index[rows], episode_index[rows]))]
        episodes, numbers = episode_index[order], task_index[order]
        is_start = np.ones(len(order), np.bool_)
        is_start[1:] = (episodes[1:] != episodes[:-1]) | (numbers[1:] != numbers[:-1])
        starts = np.flatnonzero(is_start)
        counts = np.diff(starts, append=len(order))
        for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
            pair = (int(episodes[start]), int(numbers[start]))
            row, before = self._used.get(pair, (first_row + int(order[start]), 0))
            self._used[pair] = (row, before + count)

    def _add_unknown(
        self, rows: Int64Array, episode_index: Int64Array, task_index: Int64Array | None, first_row: int
    ) -> None:
        if not len(rows):
            return
        unknown = next((kind for kind in self._unknown if (kind.task_index is None) == (task_index is None)), None)
        if unknown is None:
            row = int(rows[0])
            number = None if task_index is None else int(task_index[row])
            unknown = _UnknownTask(first_row + row, int(episode_index[row]), number)
            self._unknown.append(unknown)
        unknown.count += len(rows)

    def findings(self) -> Iterator[Finding]:
        """Yield one finding for each kind of defect, at its first row or episode, after all rows were scanned."""
        for unknown in sorted(self._unknown, key=lambda kind: kind.row):
            found = f"{lerobot.TASK_INDEX} {quoted(unknown.task_index)}"
            where = Location(self.path, unknown.episode_index, row=unknown.row, column=lerobot.TASK_INDEX)
            yield finding(TASKS, found, f"the number of a task of {layout.TASKS_PATH}", where, more=unknown.count - 1)
        texts = set(self.task_text.values())
        used: dict[int, set[str]] = {}
        undeclared: list[tuple[int, int, int, int]] = []
        for (episode, number), (row, count) in self._used.items():
            declared = self.episode_tasks.get(episode)
            # If an episode declares a task that is not in the table, `check_episode_tasks` reports this.
            if not declared or not texts.issuperset(declared):
                continue
            used.setdefault(episode, set()).add(self.task_text[number])
            if self.task_text[number] not in declared:
                undeclared.append((row, episode, number, count))
        if undeclared:
            row, episode, number, count = min(undeclared)
            found = f"{lerobot.TASK_INDEX} {number}, {quoted(self.task_text[number])}, in {counted(count, 'row')}"
            where = Location(self.path, episode, row=row, column=lerobot.TASK_INDEX)
            yield finding(
                TASKS,
                found,
                f"{_one_of(self.episode_tasks[episode])}, as declared in meta/episodes",
                where,
                more=len({pair[1] for pair in undeclared}) - 1,
            )
        without_rows = {
            episode: sorted(set(self.episode_tasks[episode]) - tasks)
            for episode, tasks in used.items()
            if self.expects_every_task and tasks <= set(self.episode_tasks[episode]) != tasks
        }
        if without_rows:
            episode = min(without_rows)
            found = f"no row of task {quoted(without_rows[episode][0])}"
            where = Location(self.path, episode, column=lerobot.TASK_INDEX)
            yield finding(
                TASKS, found, "one or more, since meta/episodes declares it", where, more=len(without_rows) - 1
            )


def _one_of(tasks: Collection[str]) -> str:
    first = sorted(tasks)
    return quoted(first[0]) + (f" or {len(first) - 1} others" if len(first) > 1 else "")


def _keys(by_number: Mapping[int, object]) -> Int64Array:
    return np.fromiter(by_number, np.int64, len(by_number))
