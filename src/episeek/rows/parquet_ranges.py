"""Read Parquet files in ranges: the footer once, and then only the column chunks of the row groups that are needed."""

import io
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import ParquetError, first_line
from episeek.stores.byte_source import ByteSource
from episeek.stores.requests.range_plan import WantedRange, fetch_planned, plan_requests

_TAIL_BYTES = 1 << 16
"""Number of bytes that are read at the end of a file. Most footers are not larger, and take one request."""

_FOOTER_END = 8
"""Number of bytes after the footer: its length as a little-endian uint32, and the magic number."""

_READABLE = "a whole Parquet file"


class ParquetRanges:
    """One Parquet file of a source, with its footer. Safe to use from several threads.

    Raises:
        MissingFileError: The file does not exist.
        ParquetError: The file has no readable footer.
        ReadError: The store does not deliver the file.
    """

    def __init__(self, source: ByteSource, path: str) -> None:
        self._source = source
        self.path = path
        self.where = f"{source.root}/{path}"
        self._size = source.identity(path).size
        self.metadata = self._read_footer()
        self.column_names = list(self.metadata.schema.to_arrow_schema().names)
        """Names of the top-level columns, in order."""
        self._leaf_names = [_prefixes(self.metadata.schema.column(k).path) for k in range(len(self.metadata.schema))]
        counts = [self.metadata.row_group(k).num_rows for k in range(self.metadata.num_row_groups)]
        self._row_group_start = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).tolist()

    @property
    def row_count(self) -> int:
        """Number of rows of the file."""
        return int(self.metadata.num_rows)

    def read(self, start: int, stop: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return rows `[start, stop)`. The row groups that contain these rows are fetched whole.

        Column chunks that are close together share a request.

        Args:
            start: First row, from 0.
            stop: End of the rows, exclusive.
            columns: Names of columns; None for all.

        Raises:
            ParquetError: The file has fewer rows, lacks a column, or is damaged.
            ReadError: The store does not deliver the file.
        """
        if not 0 <= start <= stop <= self.row_count:
            raise ParquetError(self.where, f"{self.row_count} rows", f"rows [{start}, {stop})")
        first = max(bisect_right(self._row_group_start, start) - 1, 0)
        groups = [
            k for k in range(first, self.metadata.num_row_groups) if self._row_group_start[k] < stop or k == first
        ]
        names = self.column_names
        missing = [name for name in columns or () if name not in names]
        if missing:
            raise ParquetError(self.where, f"no column {missing[0]!r}", f"one of {names}")
        try:
            table = pq.ParquetFile(self._segments(groups, columns), metadata=self.metadata, pre_buffer=False)
            rows = table.read_row_groups(groups, columns=None if columns is None else list(columns), use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise ParquetError(self.where, first_line(error), _READABLE) from error
        origin = self._row_group_start[first]
        return (rows if columns is None else rows.select(list(columns))).slice(start - origin, stop - start)

    def _read_footer(self) -> pq.FileMetaData:
        tail_start = max(self._size - _TAIL_BYTES, 0)
        tail = self._source.get_ranges(self.path, [(tail_start, self._size)])[0]
        if len(tail) < _FOOTER_END or tail[-4:] != b"PAR1":
            raise ParquetError(self.where, "no footer at its end", _READABLE)
        length = int.from_bytes(tail[-_FOOTER_END:-4], "little") + _FOOTER_END
        if length > self._size:
            raise ParquetError(self.where, f"a footer of {length} bytes in a file of {self._size} bytes", _READABLE)
        if length > len(tail):
            tail = self._source.get_ranges(self.path, [(self._size - length, tail_start)])[0] + tail
        try:
            # pyarrow reads the footer alone if the magic number with which a file begins precedes it
            return pq.read_metadata(pa.BufferReader(b"PAR1" + tail[-length:]))
        except (pa.ArrowException, OSError) as error:
            raise ParquetError(self.where, first_line(error), _READABLE) from error

    def _segments(self, groups: Sequence[int], columns: Sequence[str] | None) -> "_Segments":
        """Fetch the column chunks of row groups, and return a file object from which pyarrow can read them."""
        chosen = None if columns is None else set(columns)
        is_chosen = [chosen is None or not chosen.isdisjoint(names) for names in self._leaf_names]
        wanted = []
        for group in groups:
            row_group = self.metadata.row_group(group)
            for number in range(row_group.num_columns):
                if is_chosen[number]:
                    chunk = row_group.column(number)
                    first = chunk.dictionary_page_offset if chunk.has_dictionary_page else None
                    start = chunk.data_page_offset if first is None else min(first, chunk.data_page_offset)
                    wanted.append(WantedRange(self.path, start, start + chunk.total_compressed_size))
        requests = plan_requests(wanted)
        for request in requests:
            if request.start < 0 or request.stop > self._size:
                found = f"column chunks at bytes {request.start} to {request.stop} in a file of {self._size} bytes"
                raise ParquetError(self.where, found, _READABLE)
        bodies = fetch_planned(
            self._source,
            [WantedRange(self.path, request.start, request.stop) for request in requests],
            [replace(request, members=(number,)) for number, request in enumerate(requests)],
            max_in_flight=max(len(requests), 1),
        )
        return _Segments(self._size, [(request.start, body) for request, body in zip(requests, bodies, strict=True)])


def _prefixes(path: str) -> frozenset[str]:
    """Return the names by which pyarrow selects a leaf column: its path, and every part of the path that ends before a dot.

    Names of columns contain dots themselves, so the path does not show where the name of the column ends.
    """
    parts = path.split(".")
    return frozenset(".".join(parts[: count + 1]) for count in range(len(parts)))


class _Segments(io.RawIOBase):
    """A file object with only some parts of a file, which are in memory. Reading any other part raises OSError."""

    def __init__(self, size: int, parts: list[tuple[int, memoryview]]) -> None:
        super().__init__()
        self._size = size
        self._parts = parts
        self._starts = [start for start, _ in parts]
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the current position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the current position and return it."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = origin + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes from the current position, or all bytes to the end if `size` is negative."""
        stop = self._size if size < 0 else min(self._position + size, self._size)
        number = bisect_right(self._starts, self._position) - 1
        if number < 0:
            raise OSError(f"bytes {self._position} to {stop} were not fetched")
        start, part = self._parts[number]
        if stop - start > len(part):
            raise OSError(f"bytes {self._position} to {stop} were not fetched")
        data = bytes(part[self._position - start : stop - start])
        self._position = stop
        return data
