"""Read rows of a Parquet file by number, in any order and in bounded memory. Reading from front to back is the fastest."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_BATCH_BYTES = 8 << 20
_MAX_BATCH_ROWS = 1 << 16


class RowCursor:
    """Reads ranges of rows of a Parquet file.

    A read of later rows continues where the previous read ended. A read of earlier rows starts again at their row group.
    """

    def __init__(self, file: pq.ParquetFile, *, columns: list[str] | None = None) -> None:
        self._file = file
        self._columns = columns
        footer = file.metadata
        self._starts = np.cumsum([0, *(footer.row_group(group).num_rows for group in range(footer.num_row_groups))])
        total_bytes = sum(footer.row_group(group).total_byte_size for group in range(footer.num_row_groups))
        self._batch_rows = max(1, min(_MAX_BATCH_ROWS, _BATCH_BYTES * max(footer.num_rows, 1) // max(total_bytes, 1)))
        # `schema_arrow` converts the whole schema at each access
        schema = file.schema_arrow
        self._schema = schema if columns is None else pa.schema([schema.field(name) for name in columns])
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._batch: pa.RecordBatch | None = None
        self._row = 0
        """Number, in the file, of the first row of `_batch`."""
        self.bytes_read = 0

    def read(self, start: int, count: int) -> pa.Table:
        """Return the rows `[start, start + count)`.

        Raises:
            EOFError: The file has fewer rows than its footer says.
        """
        group = max(int(np.searchsorted(self._starts, start, side="right")) - 1, 0)
        if self._batch is None or start < self._row or int(self._starts[group]) > self._row + len(self._batch):
            self._restart(group)
        parts: list[pa.RecordBatch] = []
        wanted, stop = start, start + count
        while wanted < stop:
            batch = self._batch
            if batch is None:
                raise EOFError(f"no row {wanted}")
            end = self._row + len(batch)
            if wanted >= end:
                self._row = end
                self._batch = self._next()
                continue
            taken = min(stop, end) - wanted
            parts.append(batch.slice(wanted - self._row, taken))
            wanted += taken
        return pa.Table.from_batches(parts, self._schema) if parts else self._schema.empty_table()

    def _restart(self, group: int) -> None:
        groups = list(range(group, self._file.num_row_groups))
        self._batches = self._file.iter_batches(
            self._batch_rows, row_groups=groups, columns=self._columns, use_threads=False
        )
        self._row = int(self._starts[group])
        self._batch = self._next()

    def _next(self) -> pa.RecordBatch | None:
        batch = next(self._batches, None)
        if batch is not None:
            self.bytes_read += batch.nbytes
        return batch


def batch_rows(file: pq.ParquetFile, columns: Sequence[str]) -> int:
    """Return the number of rows with which a batch of the given columns takes a few megabytes."""
    footer = file.metadata
    wanted = column_numbers(footer, columns)
    sizes = [
        footer.row_group(group).column(number).total_uncompressed_size
        for group in range(footer.num_row_groups)
        for number in wanted
    ]
    row_bytes = sum(sizes) / max(footer.num_rows, 1)
    return max(1, min(_MAX_BATCH_ROWS, int(_BATCH_BYTES / max(row_bytes, 1))))


def column_numbers(footer: pq.FileMetaData, names: Sequence[str]) -> list[int]:
    """Return the numbers of the leaf columns that belong to the given columns of a Parquet file."""
    wanted = set(names)
    paths = [footer.schema.column(number).path for number in range(footer.num_columns)]
    return [number for number, path in enumerate(paths) if path in wanted or _top_level(path, wanted)]


def column_bytes(footer: pq.FileMetaData, names: Sequence[str]) -> int:
    """Return the compressed size, in bytes, of the given columns of a Parquet file."""
    numbers = column_numbers(footer, names)
    groups = [footer.row_group(group) for group in range(footer.num_row_groups)]
    return sum(group.column(number).total_compressed_size for group in groups for number in numbers)


def _top_level(path: str, wanted: set[str]) -> bool:
    """Return whether a leaf column such as `action.list.element` belongs to one of the columns `wanted`. Names may contain dots."""
    parts = path.split(".")
    return any(".".join(parts[:count]) in wanted for count in range(1, len(parts)))
