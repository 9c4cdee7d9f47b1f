"""Read the rows of a data file with the edits of all repairs so far, one row group at a time."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from episeek_pipelines.parquet.numpy_values import is_valid, numpy_values
from episeek_pipelines.repair.draft import DataEdit, Draft, numbers_of
from episeek_pipelines.repair.row_runs import plain_numbers
from episeek_pipelines.repair.schemas import converted, edited_schema


def repaired_rows(draft: Draft, path: str, names: Sequence[str]) -> Iterator[pa.Table]:
    """Yield a table with the columns `names` for each row group of a data file, after the edits of the draft.

    Raises:
        ReadError: The store or the system failed.
    """
    edit, fps = draft.edits.get(path, DataEdit()), draft.evidence.info.fps
    first = 0
    with draft.evidence.open_data(path) as file:
        schema = edited_schema(file.schema_arrow, edit)
        kept = pa.schema([schema.field(name) for name in names], schema.metadata)
        for number in range(file.num_row_groups):
            table = file.read_row_group(number, columns=list(names), use_threads=False)
            columns = [_column(table, name, edit, first, fps) for name in names]
            yield _without(pa.table(columns, schema=kept), edit, first)
            first += len(table)


def _without(table: pa.Table, edit: DataEdit, first: int) -> pa.Table:
    """Return a table without the rows that the edit drops. The table's row 0 is the row `first` of the data file."""
    if not edit.dropped:
        return table
    stays = np.ones(len(table), np.bool_)
    for start, stop in edit.dropped:
        stays[max(start - first, 0) : max(stop - first, 0)] = False
    return table if stays.all() else table.filter(pa.array(stays))


def _column(table: pa.Table, name: str, edit: DataEdit, first: int, fps: float) -> pa.ChunkedArray:
    column, target = table[name], edit.types.get(name, table.schema.field(name).type)
    numbers = edit.numbers.get(name)
    if numbers is None:
        if target == column.type:
            return column
        new = converted(column, target)
        assert new is not None
        return new
    plain = plain_numbers(column)
    assert plain is not None
    values = numpy_values(plain)
    if values.dtype != np.uint64:
        # The new numbers may exceed the type of the old ones.
        values = values.astype(np.float64 if pa.types.is_floating(plain.type) else np.int64)
    covered = numbers_of(numbers, first, np.zeros(len(values), np.float64) - 1, fps) >= 0
    changed = numbers_of(numbers, first, values, fps)
    return pa.chunked_array([pa.array(changed, mask=~(covered | is_valid(plain))).cast(target)])
