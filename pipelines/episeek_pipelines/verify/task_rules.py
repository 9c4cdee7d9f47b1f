"""TSK014: `meta/tasks.parquet`, the `tasks` of `meta/episodes` and the `task_index` of the rows name the same tasks.

LeRobot takes the text of a row's task from the table by position: `tasks.iloc[task_index].name`. So numbers have to be 0 to n-1
in the order of the rows, however the table came to be.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from episeek_pipelines.verify.arrays import Int64Array
from episeek_pipelines.verify.arrow_types import is_any_list, is_text
from episeek_pipelines.verify.findings import Finding, Location, finding
from episeek_pipelines.verify.quoting import quoted
from episeek_pipelines.verify.rules import TASKS
from episeek_schemas import layout, lerobot

TOTAL_TASKS: Final = "total_tasks"

_OTHER_TASK_COLUMNS: Final = ("annotation.", "language_")


def check_tasks(document: Mapping[str, object], table: pa.Table | None) -> Iterator[Finding]:
    """TSK014, the part in meta/tasks.parquet.

    Args:
        document: meta/info.json as parsed.
        table: meta/tasks.parquet, None when there is no such file.
    """
    where = Location(file=layout.TASKS_PATH)
    if table is None:
        if document.get("total_episodes") != 0:  # LeRobot writes the table with the first episode
            yield finding(TASKS, "no such file; expected the tasks and their numbers", where)
        return
    text_column, numbers = _text_column(table), _column(table, lerobot.TASK_INDEX, pa.types.is_integer)
    if text_column is None:
        yield finding(TASKS, f"columns {_names(table)}; expected one with the text of each task", where)
    else:
        yield from _check_texts(text_column, table[text_column])
    if numbers is None:
        found = f"columns {_names(table)}"
        yield finding(TASKS, f"{found}; expected the integer column {lerobot.TASK_INDEX!r}", where)
    else:
        yield from _check_numbers(numbers)
    total = document.get(TOTAL_TASKS, table.num_rows)
    if isinstance(total, bool) or total != table.num_rows:
        message = f"{TOTAL_TASKS} {quoted(total)}; expected {table.num_rows}, the rows of {layout.TASKS_PATH}"
        yield finding(TASKS, message, Location(file=layout.INFO_PATH, column=TOTAL_TASKS))


def task_numbers(table: pa.Table | None) -> dict[str, int]:
    """The number of each task of meta/tasks.parquet; of a task that is there twice, the first. Without both columns empty."""
    known: dict[str, int] = {}
    for text, number in _numbered_texts(table):
        known.setdefault(text, number)
    return known


def task_texts(table: pa.Table | None) -> dict[int, str]:
    """The task of each number, as `task_numbers`."""
    known: dict[int, str] = {}
    for text, number in _numbered_texts(table):
        known.setdefault(number, text)
    return known


def check_episode_tasks(
    path: str, tasks_column: pa.ChunkedArray, known: Collection[str], first_row: int = 0
) -> Iterator[Finding]:
    """TSK014, the part in one file of meta/episodes: each episode names one or more tasks of the table.

    Args:
        path: The file.
        tasks_column: Its column `tasks`, a list of strings for each episode, or some rows of it.
        known: The tasks of meta/tasks.parquet; empty where it cannot be used, which is found there.
        first_row: Of the file, where `tasks_column` starts.
    """
    lists = _string_lists(tasks_column)
    if lists is None:
        where = Location(file=path, column=lerobot.TASKS)
        yield finding(
            TASKS, f"{lerobot.TASKS} of type {quoted(str(tasks_column.type))}; expected lists of strings", where
        )
        return
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    empty = np.flatnonzero(lengths == 0)
    if len(empty):
        where = Location(file=path, row=first_row + int(empty[0]), column=lerobot.TASKS)
        yield finding(TASKS, "no task; expected one or more", where, more=len(empty) - 1)
    values, rows = pc.list_flatten(lists), pc.list_parent_indices(lists).to_numpy()
    is_known = pc.is_in(values, value_set=pa.array(sorted(known), pa.large_string()))
    unknown = np.flatnonzero(~np.asarray(is_known, np.bool_))
    if known and len(unknown):
        where = Location(file=path, row=first_row + int(rows[unknown[0]]), column=lerobot.TASKS)
        message = f"task {quoted(values[unknown[0]].as_py())}; expected one of {layout.TASKS_PATH}"
        yield finding(TASKS, message, where, more=len(np.unique(rows[unknown])) - 1)


def names_tasks_elsewhere(features: Mapping[str, object]) -> bool:
    """Whether other columns than task_index say what is done: then an episode may name tasks that no task_index is of."""
    return any(key.startswith(_OTHER_TASK_COLUMNS) for key in features)


@dataclass(slots=True)
class _UnknownTask:
    """The first of some rows without a task of the table, and how many there are."""

    row: int
    episode_index: int
    task_index: int | None
    count: int = 0


@dataclass(slots=True)
class TaskScan:
    """TSK014, the part in one data file: which tasks the rows of each episode are of.

    Takes the rows batch by batch, in order; memory grows with the distinct pairs of a known episode and a known task.
    """

    path: str
    task_text: Mapping[int, str]
    """By task_index, from meta/tasks.parquet; empty where it cannot be used, which is found there: then nothing is found here."""
    episode_tasks: Mapping[int, Collection[str]]
    """What `tasks` of meta/episodes says, by episode_index. Episodes that are not here, or name nothing, are not compared."""
    expects_every_task: bool = True
    """Whether every task that an episode names has to have rows: not when `names_tasks_elsewhere`, nor when the episode has
    rows in other files.
    """
    _row_count: int = field(default=0, init=False)
    _used: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict, init=False)
    """First row and rows, by (episode_index, task_index)."""
    _unknown: list[_UnknownTask] = field(default_factory=list, init=False)
    """The first row of each kind, null and not null."""

    def add(
        self, episode_index: Int64Array, task_index: Int64Array, is_null: npt.NDArray[np.bool_] | None = None
    ) -> None:
        """The next rows of the file.

        Args:
            episode_index: Shape [rows].
            task_index: Shape [rows].
            is_null: Where task_index is null, shape [rows]; what `task_index` holds there does not matter.
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
        """After the last row: a finding of each kind, with its first place."""
        for unknown in sorted(self._unknown, key=lambda kind: kind.row):
            found = f"{lerobot.TASK_INDEX} {quoted(unknown.task_index)}"
            where = Location(self.path, unknown.episode_index, row=unknown.row, column=lerobot.TASK_INDEX)
            message = f"{found}; expected the number of a task of {layout.TASKS_PATH}"
            yield finding(TASKS, message, where, more=unknown.count - 1)
        texts = set(self.task_text.values())
        used: dict[int, set[str]] = {}
        unnamed: list[tuple[int, int, int, int]] = []
        for (episode, number), (row, count) in self._used.items():
            named = self.episode_tasks.get(episode)
            if not named or not texts.issuperset(named):  # unknown ones are found in meta/episodes
                continue
            used.setdefault(episode, set()).add(self.task_text[number])
            if self.task_text[number] not in named:
                unnamed.append((row, episode, number, count))
        if unnamed:
            row, episode, number, count = min(unnamed)
            found = f"{lerobot.TASK_INDEX} {number}, {quoted(self.task_text[number])}, in {count} rows"
            message = f"{found}; expected {_one_of(self.episode_tasks[episode])}, as meta/episodes says"
            where = Location(self.path, episode, row=row, column=lerobot.TASK_INDEX)
            yield finding(TASKS, message, where, more=len({pair[1] for pair in unnamed}) - 1)
        without_rows = {
            episode: sorted(set(self.episode_tasks[episode]) - tasks)
            for episode, tasks in used.items()
            if self.expects_every_task and tasks <= set(self.episode_tasks[episode]) != tasks
        }
        if without_rows:
            episode = min(without_rows)
            found = f"no row of task {quoted(without_rows[episode][0])}"
            message = f"{found}; expected one or more, as meta/episodes names it"
            where = Location(self.path, episode, column=lerobot.TASK_INDEX)
            yield finding(TASKS, message, where, more=len(without_rows) - 1)


def _one_of(tasks: Collection[str]) -> str:
    first = sorted(tasks)
    return quoted(first[0]) + (f" or {len(first) - 1} others" if len(first) > 1 else "")


def _keys(by_number: Mapping[int, object]) -> Int64Array:
    return np.fromiter(by_number, np.int64, len(by_number))


def _check_texts(column: str, values: pa.ChunkedArray) -> Iterator[Finding]:
    texts = _texts(values)
    null = [row for row, text in enumerate(texts) if text is None]
    if null:
        where = Location(file=layout.TASKS_PATH, row=null[0], column=column)
        yield finding(TASKS, "null; expected the text of a task", where, more=len(null) - 1)
    first_row: dict[str, int] = {}
    again = [
        (row, text) for row, text in enumerate(texts) if text is not None and first_row.setdefault(text, row) != row
    ]
    if again:
        row, text = again[0]
        message = f"task {quoted(text)}, which row {first_row[text]} has, too; expected each task once"
        yield finding(TASKS, message, Location(file=layout.TASKS_PATH, row=row, column=column), more=len(again) - 1)


def _check_numbers(values: pa.ChunkedArray) -> Iterator[Finding]:
    numbers = values.to_pylist()
    wrong = [row for row, number in enumerate(numbers) if number != row]
    if wrong:
        row = wrong[0]
        found = "null" if numbers[row] is None else numbers[row]
        message = f"{lerobot.TASK_INDEX} {found} in row {row}; expected {row}: LeRobot looks tasks up by position"
        where = Location(file=layout.TASKS_PATH, row=row, column=lerobot.TASK_INDEX)
        yield finding(TASKS, message, where, more=len(wrong) - 1)


def _text_column(table: pa.Table) -> str | None:
    names = [name for name in table.column_names if _column(table, name, is_text) is not None]
    return next((name for name in lerobot.TASK_TEXT_COLUMNS if name in names), names[0] if len(names) == 1 else None)


def _column(table: pa.Table, name: str, is_type: Any) -> pa.ChunkedArray | None:
    """The column, when there is exactly one of the name and its type is right."""
    if table.column_names.count(name) != 1:
        return None
    column = table[name]
    value_type = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return column if is_type(value_type) else None


def _texts(values: pa.ChunkedArray) -> list[str | None]:
    texts: list[str | None] = values.to_pylist()
    return texts


def _string_lists(column: pa.ChunkedArray) -> pa.Array | None:
    """One array of lists of strings, or None for another type."""
    kind = column.type
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.large_list(pa.large_string()))
    if not is_any_list(kind):
        return None
    value_type = kind.value_type.value_type if pa.types.is_dictionary(kind.value_type) else kind.value_type
    if not is_text(value_type) and not pa.types.is_null(value_type):
        return None
    lists = pa.large_list(pa.large_string())
    return pa.concat_arrays([pa.array([], lists), *(chunk.cast(lists) for chunk in column.chunks)])


def _numbered_texts(table: pa.Table | None) -> Iterator[tuple[str, int]]:
    text_column = None if table is None else _text_column(table)
    numbers = None if table is None else _column(table, lerobot.TASK_INDEX, pa.types.is_integer)
    if table is None or text_column is None or numbers is None:
        return
    for text, number in zip(_texts(table[text_column]), numbers.to_pylist(), strict=True):
        if text is not None and number is not None and 0 <= number < 1 << 63:
            yield text, number


def _names(table: pa.Table) -> str:
    return quoted(
        ", ".join(f"{name} {kind}" for name, kind in zip(table.column_names, table.schema.types, strict=True))
    )
