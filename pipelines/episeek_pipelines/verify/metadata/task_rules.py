"""TSK014: check `meta/tasks.parquet`, `meta/subtasks.parquet`, and `tasks` of `meta/episodes`.

LeRobot looks up the text of a row's task by position: `tasks.iloc[task_index].name`. Therefore the texts have to be the pandas
index of the table, and the numbers have to be 0 to n-1 in the order of its rows. The same applies to subtasks. `data.task_scan`
checks the numbers in the rows of data files.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from episeek_pipelines.dataset.task_table import pandas_index, text_column
from episeek_pipelines.parquet.arrow_types import is_any_list, is_text
from episeek_pipelines.parquet.numpy_values import large_strings, numpy_values
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.quoting import quoted
from episeek_pipelines.verify.rules import TASKS
from episeek_schemas import layout, lerobot

TOTAL_TASKS: Final = "total_tasks"

TOTAL_REMEDY: Final = (
    "run `episeek repair SRC DST`, or set total_tasks in meta/info.json to the number of rows of meta/tasks.parquet; "
    "`episeek verify --level rows` reports each task_index of the data files that the table does not have"
)
ORDER_REMEDY: Final = (
    "run `episeek repair SRC DST`, or sort the rows of the table by task_index; do not renumber them, since the rows of data files "
    "refer to these numbers"
)
INDEX_REMEDY: Final = (
    "run `episeek repair SRC DST`, or write the table with the column of the texts as its pandas index, as LeRobot does: "
    "`read_parquet(path).set_index(column).to_parquet(path)`"
)


def check_tasks(document: Mapping[str, object], table: pa.Table | None) -> Iterator[Finding]:
    """Yield TSK014 for defects of meta/tasks.parquet, and for a wrong number of tasks in meta/info.json.

    Args:
        document: Parsed meta/info.json.
        table: The table of meta/tasks.parquet; None without such a file.
    """
    if table is None:
        # LeRobot writes the table together with the first episode, so a dataset without episodes has none.
        if document.get("total_episodes") != 0:
            where = Location(file=layout.TASKS_PATH)
            yield finding(TASKS, "no such file", "a table of tasks and their numbers", where)
        return
    yield from _check_table(layout.TASKS_PATH, table, lerobot.TASK_INDEX)
    total = document.get(TOTAL_TASKS, table.num_rows)
    if isinstance(total, bool) or total != table.num_rows:
        yield finding(
            TASKS,
            f"{TOTAL_TASKS} {quoted(total)}",
            f"{table.num_rows}, the rows of {layout.TASKS_PATH}",
            Location(file=layout.INFO_PATH, column=TOTAL_TASKS),
            remedy=TOTAL_REMEDY,
        )


def check_subtasks(table: pa.Table) -> Iterator[Finding]:
    """Yield TSK014 for defects of meta/subtasks.parquet, the table that a dataset with the feature `subtask_index` needs."""
    return _check_table(layout.SUBTASKS_PATH, table, lerobot.SUBTASK_INDEX)


def _check_table(path: str, table: pa.Table, number_column: str) -> Iterator[Finding]:
    where = Location(file=path)
    name, numbers = text_column(table), _column(table, number_column, pa.types.is_integer)
    if name is None:
        yield finding(TASKS, f"columns {_names(table)}", "a column with the text of each task", where)
    else:
        yield from _check_texts(path, name, table[name])
        index = pandas_index(table)
        if index != name:
            found = "a row number" if index is None else f"column {quoted(index)}"
            yield finding(
                TASKS,
                f"{found} as the pandas index, and texts in column {quoted(name)}",
                "the texts as the pandas index, which LeRobot takes for the task",
                Location(file=path, column=name),
                remedy=INDEX_REMEDY,
            )
    if numbers is None:
        yield finding(TASKS, f"columns {_names(table)}", f"the integer column {number_column!r}", where)
    else:
        yield from _check_numbers(path, number_column, numbers)


def task_numbers(table: pa.Table | None) -> dict[str, int]:
    """Return the number (task_index) of each task of meta/tasks.parquet, by its text.

    For a text that occurs twice, the first number is returned. The result is empty without a table, or if a column is missing.
    """
    numbers: dict[str, int] = {}
    for text, number in _numbered_texts(table):
        numbers.setdefault(text, number)
    return numbers


def task_texts(table: pa.Table | None) -> dict[int, str]:
    """Return the text of each task of meta/tasks.parquet, by its number (task_index).

    For a number that occurs twice, the first text is returned. The result is empty without a table, or if a column is missing.
    """
    texts: dict[int, str] = {}
    for text, number in _numbered_texts(table):
        texts.setdefault(number, text)
    return texts


def texts_by_position(table: pa.Table) -> tuple[str, ...] | None:
    """Return the texts of the tasks in the order of their numbers, or None if the numbers do not run from 0 without a gap.

    TSK014 reports the tables for which the result is None.
    """
    numbers = task_numbers(table)
    texts = sorted(numbers, key=numbers.__getitem__)
    return tuple(texts) if [numbers[text] for text in texts] == list(range(len(texts))) else None


def check_episode_tasks(
    path: str, tasks_column: pa.ChunkedArray, listed: Collection[str], first_row: int = 0
) -> Iterator[Finding]:
    """Yield TSK014 for episodes in one file of meta/episodes that have no task, or a task that meta/tasks.parquet does not list.

    Args:
        path: Path of the file.
        tasks_column: The column `tasks` of the file, or some rows of it: a list of strings for each episode.
        listed: The texts of the tasks in meta/tasks.parquet. If it is empty, the tasks of episodes are not compared with it.
        first_row: Number in the file of the first row of `tasks_column`.
    """
    lists = _string_lists(tasks_column)
    if lists is None:
        where = Location(file=path, column=lerobot.TASKS)
        yield finding(TASKS, f"{lerobot.TASKS} of type {quoted(str(tasks_column.type))}", "lists of strings", where)
        return
    lengths = numpy_values(pc.list_value_length(lists))
    empty = np.flatnonzero(lengths == 0)
    if len(empty):
        where = Location(file=path, row=first_row + int(empty[0]), column=lerobot.TASKS)
        yield finding(TASKS, "no task", "one or more tasks", where, more=len(empty) - 1)
    values, rows = pc.list_flatten(lists), numpy_values(pc.list_parent_indices(lists))
    is_listed = pc.is_in(values, value_set=large_strings(sorted(listed)))
    unlisted = np.flatnonzero(~numpy_values(is_listed))
    if listed and len(unlisted):
        where = Location(file=path, row=first_row + int(rows[unlisted[0]]), column=lerobot.TASKS)
        text = values[unlisted[0]].as_py()
        is_spaced = text is not None and text.split() in [each.split() for each in listed]
        yield finding(
            TASKS,
            f"task {quoted(text)}{', which differs from a listed task only in white space' if is_spaced else ''}",
            f"a task of {layout.TASKS_PATH}",
            where,
            more=len(np.unique(rows[unlisted])) - 1,
        )


def _check_texts(path: str, column: str, values: pa.ChunkedArray) -> Iterator[Finding]:
    texts = _texts(values)
    null = [row for row, text in enumerate(texts) if text is None]
    if null:
        where = Location(file=path, row=null[0], column=column)
        yield finding(TASKS, "null", "the text of a task", where, more=len(null) - 1)
    first_row: dict[str, int] = {}
    repeated = [
        (row, text) for row, text in enumerate(texts) if text is not None and first_row.setdefault(text, row) != row
    ]
    if repeated:
        row, text = repeated[0]
        yield finding(
            TASKS,
            f"task {quoted(text)}, which is also in row {first_row[text]}",
            "each task once",
            Location(file=path, row=row, column=column),
            more=len(repeated) - 1,
        )


def _check_numbers(path: str, column: str, values: pa.ChunkedArray) -> Iterator[Finding]:
    numbers = values.to_pylist()
    wrong = [row for row, number in enumerate(numbers) if number != row]
    if wrong:
        row = wrong[0]
        found = "null" if numbers[row] is None else numbers[row]
        where = Location(file=path, row=row, column=column)
        yield finding(
            TASKS,
            f"{column} {found} in row {row}",
            f"{row}, since LeRobot looks up a task by its row number",
            where,
            more=len(wrong) - 1,
            remedy=ORDER_REMEDY if set(numbers) == set(range(len(numbers))) else "",
        )


def _column(table: pa.Table, name: str, is_type: Any) -> pa.ChunkedArray | None:
    """Return the column `name`; None unless exactly one column has this name and `is_type` accepts the type of its values."""
    if table.column_names.count(name) != 1:
        return None
    column = table[name]
    value_type = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return column if is_type(value_type) else None


def _texts(values: pa.ChunkedArray) -> list[str | None]:
    texts: list[str | None] = values.to_pylist()
    return texts


def _string_lists(column: pa.ChunkedArray) -> pa.Array | None:
    """Return a column as one array of lists of strings; None if it does not contain lists of strings."""
    kind = column.type
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.large_list(pa.large_string()))
    if not is_any_list(kind):
        return None
    value_type = kind.value_type.value_type if pa.types.is_dictionary(kind.value_type) else kind.value_type
    if not is_text(value_type) and not pa.types.is_null(value_type):
        return None
    lists = pa.large_list(pa.large_string())
    return pa.concat_arrays([pa.nulls(0, lists), *(chunk.cast(lists) for chunk in column.chunks)])


def _numbered_texts(table: pa.Table | None) -> Iterator[tuple[str, int]]:
    name = None if table is None else text_column(table)
    numbers = None if table is None else _column(table, lerobot.TASK_INDEX, pa.types.is_integer)
    if table is None or name is None or numbers is None:
        return
    for text, number in zip(_texts(table[name]), numbers.to_pylist(), strict=True):
        if text is not None and number is not None and 0 <= number < 1 << 63:
            yield text, number


def _names(table: pa.Table) -> str:
    return quoted(
        ", ".join(f"{name} {kind}" for name, kind in zip(table.column_names, table.schema.types, strict=True))
    )
