"""Writing one mapped table: REQUIRED columns, PLAIN, uncompressed, one data page per column chunk, at most 2^24 rows a
row group.
"""

from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from episeek_schemas.sidecars import MAX_ROW_GROUP_ROWS

_ONE_PAGE_BYTES = 1 << 30
_ONE_PAGE_ROWS = (1 << 31) - 1


class MappableWriter:
    """Collects arrays and writes a row group whenever `max_row_group_rows` rows are there; use it in a `with` block.

    Args:
        stream: A binary file; it stays open.
        schema: The table's columns.
        metadata: The footer's key-value metadata.
        dictionary_columns: Columns that may be dictionary encoded, since nobody maps them.
        max_row_group_rows: Rows of a full row group.
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
        self._waiting: list[dict[str, npt.NDArray[np.generic]]] = []
        self._waiting_rows = 0
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
        if kind is None and self._waiting_rows:
            self._flush()
        self._writer.close()

    def append(self, columns: dict[str, npt.NDArray[np.generic]]) -> None:
        """Add rows: one array per column, all of the same length."""
        rows = len(columns[self._schema.names[0]])
        position = 0
        while position < rows:
            take = min(rows - position, self._limit - self._waiting_rows)
            self._waiting.append({name: values[position : position + take] for name, values in columns.items()})
            self._waiting_rows += take
            position += take
            if self._waiting_rows == self._limit:
                self._flush()

    def _flush(self) -> None:
        arrays = [
            pa.array(np.concatenate([part[field.name] for part in self._waiting]), type=field.type)
            for field in self._schema
        ]
        self._waiting, self._waiting_rows = [], 0
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema), row_group_size=self._limit)
