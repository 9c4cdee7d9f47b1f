"""TSK014: `meta/tasks.parquet` and the `tasks` of `meta/episodes` name the same tasks; `task_scan` has the part over rows.

LeRobot takes the text of a row's task from the table by position: `tasks.iloc[task_index].name`. So numbers have to be 0 to n-1
in the order of the rows, however the table came to be.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from episeek_pipelines.parquet.arrow_types import is_any_list, is_text
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.quoting import quoted
from episeek_pipelines.verify.rules import TASKS
from episeek_schemas import layout, lerobot

TOTAL_TASKS: Final = "total_tasks"


def check_tasks(document: Mapping[str, object], table: pa.Table | None) -> Iterator[Finding]:
    """TSK014, the part in meta/tasks.parquet.

    Args:
        document: meta/info.json as parsed.
        table: meta/tasks.parquet, None when there is no such file.
    """
    where = Location(file=layout.TASKS_PATH)
    if table is None:
        if document.get("total_episodes") != 0:  # LeRobot writes the table with the first episode
            yield finding(TASKS, "no such file", "the tasks and their numbers", where)
        return
    text_column, numbers = _text_column(table), _column(table, lerobot.TASK_INDEX, pa.types.is_integer)
    if text_column is None:
        yield finding(TASKS, f"columns {_names(table)}", "one with the text of each task", where)
    else:
        yield from _check_texts(text_column, table[text_column])
    if numbers is None:
        found = f"columns {_names(table)}"
        yield finding(TASKS, found, f"the integer column {lerobot.TASK_INDEX!r}", where)
    else:
        yield from _check_numbers(numbers)
    total = document.get(TOTAL_TASKS, table.num_rows)
    if isinstance(total, bool) or total != table.num_rows:
        yield finding(
            TASKS,
            f"{TOTAL_TASKS} {quoted(total)}",
            f"{table.num_rows}, the rows of {layout.TASKS_PATH}",
            Location(file=layout.INFO_PATH, column=TOTAL_TASKS),
        )


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


def texts_by_position(table: pa.Table) -> tuple[str, ...] | None:
    """The tasks by number, where the numbers run from 0 without a gap; otherwise None, and TSK014 says so."""
    numbers = task_numbers(table)
    texts = sorted(numbers, key=numbers.__getitem__)
    return tuple(texts) if [numbers[text] for text in texts] == list(range(len(texts))) else None


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
        yield finding(TASKS, f"{lerobot.TASKS} of type {quoted(str(tasks_column.type))}", "lists of strings", where)
        return
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    empty = np.flatnonzero(lengths == 0)
    if len(empty):
        where = Location(file=path, row=first_row + int(empty[0]), column=lerobot.TASKS)
        yield finding(TASKS, "no task", "one or more", where, more=len(empty) - 1)
    values, rows = pc.list_flatten(lists), pc.list_parent_indices(lists).to_numpy()
    is_known = pc.is_in(values, value_set=pa.array(sorted(known), pa.large_string()))
    unknown = np.flatnonzero(~np.asarray(is_known, np.bool_))
    if known and len(unknown):
        where = Location(file=path, row=first_row + int(rows[unknown[0]]), column=lerobot.TASKS)
        yield finding(
            TASKS,
            f"task {quoted(values[unknown[0]].as_py())}",
            f"one of {layout.TASKS_PATH}",
            where,
            more=len(np.unique(rows[unknown])) - 1,
        )


def _check_texts(column: str, values: pa.ChunkedArray) -> Iterator[Finding]:
    texts = _texts(values)
    null = [row for row, text in enumerate(texts) if text is None]
    if null:
        where = Location(file=layout.TASKS_PATH, row=null[0], column=column)
        yield finding(TASKS, "null", "the text of a task", where, more=len(null) - 1)
    first_row: dict[str, int] = {}
    again = [
        (row, text) for row, text in enumerate(texts) if text is not None and first_row.setdefault(text, row) != row
    ]
    if again:
        row, text = again[0]
        yield finding(
            TASKS,
            f"task {quoted(text)}, which row {first_row[text]} has, too",
            "each task once",
            Location(file=layout.TASKS_PATH, row=row, column=column),
            more=len(again) - 1,
        )


def _check_numbers(values: pa.ChunkedArray) -> Iterator[Finding]:
    numbers = values.to_pylist()
    wrong = [row for row, number in enumerate(numbers) if number != row]
    if wrong:
        row = wrong[0]
        found = "null" if numbers[row] is None else numbers[row]
        where = Location(file=layout.TASKS_PATH, row=row, column=lerobot.TASK_INDEX)
        yield finding(
            TASKS,
            f"{lerobot.TASK_INDEX} {found} in row {row}",
            f"{row}: LeRobot looks tasks up by position",
            where,
            more=len(wrong) - 1,
        )


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
