"""Make and read meta/tasks.parquet in LeRobot's form: the numbers of the tasks, and their texts as the pandas index."""

import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from episeek_pipelines.parquet.arrow_types import is_text
from episeek_pipelines.parquet.numpy_values import large_strings
from episeek_schemas import lerobot

UNNAMED_INDEX: Final = lerobot.TASK_TEXT_COLUMNS[0]
"""The column in which LeRobot stores the texts: `__index_level_0__`, as pandas names an index without a name in a Parquet file."""


def task_table(texts: Sequence[str], *, numbers: Sequence[int] | None = None) -> pa.Table:
    """Return a table of tasks.

    Args:
        texts: The text of each task.
        numbers: The number of each task; None for 0, 1, 2 and so on.
    """
    counted = np.arange(len(texts)) if numbers is None else np.array(numbers, np.int64)
    table = pa.table({lerobot.TASK_INDEX: pa.array(counted), UNNAMED_INDEX: large_strings(texts)})
    return with_index(table, UNNAMED_INDEX)


def with_index(table: pa.Table, column: str) -> pa.Table:
    """Return a table of tasks with metadata that makes pandas use `column`, which contains the texts, as the index."""
    name = None if column == UNNAMED_INDEX else column
    document: dict[str, Any] = {
        "index_columns": [column],
        "column_indexes": [
            {
                "name": None,
                "field_name": None,
                "pandas_type": "unicode",
                "numpy_type": "object",
                "metadata": {"encoding": "UTF-8"},
            }
        ],
        "columns": [
            {
                "name": lerobot.TASK_INDEX,
                "field_name": lerobot.TASK_INDEX,
                "pandas_type": "int64",
                "numpy_type": "int64",
                "metadata": None,
            },
            {"name": name, "field_name": column, "pandas_type": "unicode", "numpy_type": "object", "metadata": None},
        ],
    }
    return table.replace_schema_metadata({"pandas": json.dumps(document)})


def pandas_index(table: pa.Table) -> str | None:
    """Return the column that pandas uses as the index of a table, or None if pandas uses row numbers or several columns."""
    try:
        columns = json.loads((table.schema.metadata or {})[b"pandas"])["index_columns"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    is_one = isinstance(columns, list) and len(columns) == 1
    return columns[0] if is_one and isinstance(columns[0], str) and columns[0] in table.column_names else None


def text_column(table: pa.Table) -> str | None:
    """Return the column with the texts of the tasks, or None if the column is unknown.

    The pandas index is preferred, then a column with one of LeRobot's names, then the only column of texts.
    """
    names = [
        name for name in table.column_names if table.column_names.count(name) == 1 and _holds_text(table[name].type)
    ]
    likely = (pandas_index(table), *lerobot.TASK_TEXT_COLUMNS)
    return next((name for name in likely if name in names), names[0] if len(names) == 1 else None)


def _holds_text(kind: pa.DataType) -> bool:
    return is_text(kind.value_type if pa.types.is_dictionary(kind) else kind)
