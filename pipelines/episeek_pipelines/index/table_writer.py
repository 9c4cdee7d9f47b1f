"""Write a Parquet table that readers can memory-map: REQUIRED columns, PLAIN, uncompressed, one data page per column chunk.

A row group has at most 2^24 rows.
"""

from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from episeek_schemas.sidecars import MAX_ROW_GROUP_ROWS

_ONE_PAGE_BYTES = 1 << 30
_ONE_PAGE_ROWS = (1 << 31) - 1
_INITIAL_CAPACITY_ROWS = 1 << 16


class MappableWriter:
    """Collects rows and writes a row group whenever it has `max_row_group_rows` rows; use it in a `with` block.

    Args:
        stream: A binary file, which the writer does not close.
        schema: The table's columns.
        metadata: The footer's key-value metadata.
        dictionary_columns: Columns that may be dictionary encoded, because readers do not map them.
        max_row_group_rows: Number of rows in a full row group.
    """

    def __init__(
        self,
        stream: BinaryIO,
        schema: pa.Schema,
        metadata: dict[str, str],
        *,
        dictionary_columns: tuple[str, ...] = (),
        max_row_group_rows: int = MAX_ROW_GROUP_ROWS,
    ) -> None:
        self._schema = schema.with_metadata(metadata)
        self._limit = max_row_group_rows
        self._filled = 0
        self._capacity = min(_INITIAL_CAPACITY_ROWS, max_row_group_rows)
        self._columns: dict[str, npt.NDArray[np.generic]] = {
            field.name: np.empty(self._capacity, field.type.to_pandas_dtype()) for field in schema
        }
        plain = {name: "PLAIN" for name in schema.names if name not in dictionary_columns}
        self._writer = pq.ParquetWriter(
            stream,
            self._schema,
            compression="none",
            use_dictionary=list(dictionary_columns),
            column_encoding=plain,
            data_page_size=_ONE_PAGE_BYTES,
            max_rows_per_page=_ONE_PAGE_ROWS,
            write_batch_size=self._limit,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._filled:
            self._flush()
        self._writer.close()

    def append(self, columns: dict[str, npt.NDArray[Any]]) -> None:
        """Add rows, given as one array per column, all of the same length."""
        rows = len(columns[self._schema.names[0]])
        position = 0
        while position < rows:
            take = min(rows - position, self._limit - self._filled)
            self._grow(self._filled + take)
            for name, values in columns.items():
                self._columns[name][self._filled : self._filled + take] = values[position : position + take]
            self._filled += take
            position += take
            if self._filled == self._limit:
                self._flush()

    def _grow(self, rows: int) -> None:
        if rows <= self._capacity:
            return
        while self._capacity < rows:
            self._capacity = min(2 * self._capacity, self._limit)
        for name, column in self._columns.items():
            larger = np.empty(self._capacity, column.dtype)
            larger[: self._filled] = column[: self._filled]
            self._columns[name] = larger

    def _flush(self) -> None:
        arrays = [pa.array(self._columns[field.name][: self._filled], type=field.type) for field in self._schema]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema), row_group_size=self._limit)
        self._filled = 0
