"""Read a Parquet file in a store with pyarrow, in few requests to the store's byte source.

The last 64 KiB are fetched first. They contain most footers, and the rest of a larger footer is fetched next. Only the requested
column chunks of the data are fetched: small chunks together with the small gaps between them, large chunks in blocks. The most
recently used bytes are kept in memory, and are not fetched again while they are kept.
"""

import os
import threading
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import ChangedFileError
from episeek.stores.byte_source import ByteRange, ByteSource

TAIL_BYTES = 1 << 16
"""Number of bytes at the end of a file that are fetched when it is opened, since pyarrow reads the end first."""

KEPT_BYTES = 1 << 24
"""Greatest number of bytes that an open file keeps: twice as many as callers read at once, so that consecutive columns share
requests."""

BLOCK_BYTES = 1 << 20
"""Greatest size, in bytes, of a block. A file with many columns is read in smaller blocks, since a block of each column is kept."""

GAP_BYTES = 1 << 16
"""Largest gap, in bytes, between two column chunks that share a request. To fetch the gap is faster than a second request."""

_PART_BYTES = 1 << 23
"""Greatest size, in bytes, of one request."""


class StoreFile:
    """A file object from which pyarrow reads a file of a byte source. Threads may share it. Errors of the source pass through.

    Args:
        source: The source of the file.
        path: Path relative to the root of the source.
        size: Size in bytes.
    """

    closed = False

    def __init__(self, source: ByteSource, path: str, size: int) -> None:
        self._source = source
        self.path = path
        self.size = size
        self._lock = threading.Lock()
        self._position = 0
        self._tail_start, self._tail = size, b""
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        """Kept ranges by their first byte, the most recently used last; they do not overlap."""
        self._starts: list[int] = []
        self._kept_bytes = 0
        self._expected: tuple[list[int], list[int]] = ([], [])
        self._block_bytes = 0
        self._is_joined = False

    def fetch_tail(self) -> None:
        """Fetch the end of the file and keep it until the file is closed."""
        with self._lock:
            self._tail_start = max(self.size - TAIL_BYTES, 0)
            self._tail = self._source.get_ranges(self.path, [(self._tail_start, self.size)])[0]

    def expect(self, ranges: Iterable[ByteRange], *, block_bytes: int, is_joined: bool) -> None:
        """Announce the ranges that will be read. A read outside of these ranges fetches only the bytes that it needs.

        Args:
            ranges: The byte ranges of column chunks, which do not overlap.
            block_bytes: Greatest number of bytes to fetch at once, unless a read needs more.
            is_joined: Whether a request may continue into the next column chunk.
        """
        ordered = sorted(ranges)
        with self._lock:
            self._expected = [start for start, _ in ordered], [stop for _, stop in ordered]
            self._block_bytes, self._is_joined = block_bytes, is_joined

    def read_at(self, start: int, stop: int) -> bytes:
        """Return the bytes `[start, stop)`, fewer at the end of the file. Raises the errors of the source."""
        with self._lock:
            return self._read_at(start, stop)

    def read(self, count: int = -1) -> bytes:
        """Return up to `count` bytes from the current position; none at the end."""
        with self._lock:
            data = self._read_at(self._position, self.size if count < 0 else self._position + count)
            self._position += len(data)
            return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the current position and return it."""
        with self._lock:
            origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
            self._position = max(origin + offset, 0)
            return self._position

    def tell(self) -> int:
        """Return the current position."""
        return self._position

    def close(self) -> None:
        """Close the file and free the kept bytes."""
        with self._lock:
            self.closed = True
            self._tail_start, self._tail = self.size, b""
            self._kept.clear()
            self._starts.clear()
            self._kept_bytes = 0

    def _read_at(self, start: int, stop: int) -> bytes:
        stop = min(stop, self.size)
        parts = []
        while start < stop:
            first, kept = self._kept_at(start)
            if first + len(kept) <= start:
                first, kept = self._fetch(*self._request(start, stop))
            part = kept[start - first : stop - first]
            parts.append(part)
            start += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _kept_at(self, position: int) -> tuple[int, bytes]:
        """Return the offset and the content of the last kept range that starts at or before a position; `(0, b"")` if none does."""
        if position >= self._tail_start:
            return self._tail_start, self._tail
        place = bisect_right(self._starts, position) - 1
        if place < 0:
            return 0, b""
        first = self._starts[place]
        self._kept.move_to_end(first)
        return first, self._kept[first]

    def _request(self, start: int, stop: int) -> ByteRange:
        """Return the range to fetch for a read of `[start, stop)`. The range may begin earlier and end later than the read."""
        place = bisect_right(self._starts, start)
        next_kept = min(self._tail_start, self._starts[place] if place < len(self._starts) else self.size)
        last_kept = self._starts[place - 1] + len(self._kept[self._starts[place - 1]]) if place else 0
        starts, stops = self._expected
        number = bisect_right(starts, start) - 1
        if number < 0 or start >= stops[number]:
            return start, min(stop, next_kept)
        end = max(stop, min(stops[number], start + self._block_bytes))
        if not self._is_joined:
            return start, min(end, next_kept)
        # the request also covers preceding columns of the same row group that did not fit into the previous request
        before = number
        while before and start == starts[before] and start - stops[before - 1] <= GAP_BYTES:
            before -= 1
            if starts[before] < last_kept or end - starts[before] > self._block_bytes:
                break
            start = starts[before]
        limit = start + self._block_bytes
        while (
            number + 1 < len(starts)
            and end == stops[number]
            and starts[number + 1] - end <= GAP_BYTES
            and stops[number + 1] <= limit
        ):
            number += 1
            end = stops[number]
        return start, min(end, next_kept)

    def _fetch(self, start: int, stop: int) -> tuple[int, bytes]:
        bounds = [*range(start, stop, _PART_BYTES), stop]
        parts = self._source.get_ranges(self.path, list(pairwise(bounds)))
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        if len(data) <= KEPT_BYTES:
            self._kept[start] = data
            self._starts.insert(bisect_left(self._starts, start), start)
            self._kept_bytes += len(data)
        while self._kept_bytes > KEPT_BYTES:
            oldest, dropped = self._kept.popitem(last=False)
            del self._starts[bisect_left(self._starts, oldest)]
            self._kept_bytes -= len(dropped)
        return start, data


class StoreParquetFile(pq.ParquetFile):  # type: ignore[misc]  # pyarrow has no annotations
    """A `pyarrow.parquet.ParquetFile` that announces to its `StoreFile` which column chunks it will read.

    Args:
        file: The file to read.
        options: Options of pyarrow. `pre_buffer` is always False, since it would keep everything that is read in memory.
    """

    def __init__(self, file: StoreFile, **options: Any) -> None:
        self._file = file
        super().__init__(pa.PythonFile(file, "r"), **{**options, "pre_buffer": False})

    def iter_batches(
        self,
        batch_size: int = 1 << 16,
        row_groups: Sequence[int] | None = None,
        columns: Sequence[str] | None = None,
        use_threads: bool = True,
        use_pandas_metadata: bool = False,
    ) -> Any:
        """Yield batches as pyarrow does. A batch larger than `KEPT_BYTES`, the bytes kept in memory, may be fetched twice."""
        self._expect(row_groups, columns, is_read_at_once=False)
        return super().iter_batches(batch_size, row_groups, columns, use_threads, use_pandas_metadata)

    def read(
        self, columns: Sequence[str] | None = None, use_threads: bool = True, use_pandas_metadata: bool = False
    ) -> pa.Table:
        """Return the whole file as a table, as pyarrow does."""
        self._expect(None, columns, is_read_at_once=True)
        return super().read(columns, use_threads, use_pandas_metadata)

    def read_row_group(
        self, i: int, columns: Sequence[str] | None = None, use_threads: bool = True, use_pandas_metadata: bool = False
    ) -> pa.Table:
        """Return one row group as a table, as pyarrow does."""
        self._expect([i], columns, is_read_at_once=True)
        return super().read_row_group(i, columns, use_threads, use_pandas_metadata)

    def read_row_groups(
        self,
        row_groups: Sequence[int],
        columns: Sequence[str] | None = None,
        use_threads: bool = True,
        use_pandas_metadata: bool = False,
    ) -> pa.Table:
        """Return several row groups as one table, as pyarrow does."""
        self._expect(row_groups, columns, is_read_at_once=True)
        return super().read_row_groups(row_groups, columns, use_threads, use_pandas_metadata)

    def _expect(
        self, row_groups: Sequence[int] | None, columns: Sequence[str] | None, *, is_read_at_once: bool
    ) -> None:
        footer = self.metadata
        groups = range(footer.num_row_groups) if row_groups is None else row_groups
        leaves = _leaves(self.reader.column_paths, columns)
        ranges = [
            _chunk_range(footer.row_group(group).column(leaf))
            for group in groups
            # pyarrow itself raises an error for row groups that do not exist
            if 0 <= group < footer.num_row_groups
            for leaf in leaves
        ]
        # pyarrow reads a table column by column: if all columns exceeded the kept bytes, each would be fetched several times
        is_joined = not is_read_at_once or sum(stop - start for start, stop in ranges) <= KEPT_BYTES // 2
        block_bytes = min(BLOCK_BYTES, max(KEPT_BYTES // (2 * max(len(leaves), 1)), TAIL_BYTES))
        self._file.expect(ranges, block_bytes=block_bytes, is_joined=is_joined)


def open_store_parquet(source: ByteSource, path: str, *, file_size: int | None, **options: Any) -> StoreParquetFile:
    """Open a Parquet file in a store.

    Args:
        source: The source of the file.
        path: Path relative to the root of the source.
        file_size: Size in bytes; None to ask the source.
        options: Options of pyarrow.

    Raises:
        ChangedFileError: The size of the file is not `file_size`.
        MissingFileError, ReadError: Errors of the source.
        pyarrow.ArrowInvalid: The file is not Parquet.
    """
    file = StoreFile(source, path, source.identity(path).size if file_size is None else file_size)
    file.fetch_tail()
    require_size(source, path, file_size)
    return StoreParquetFile(file, **options)


def require_size(source: ByteSource, path: str, file_size: int | None) -> None:
    """Raise ChangedFileError if the size of a file is not `file_size`, the size in a listing.

    Call this function after reading from the file. Most stores send the size together with the bytes, so that the call then makes
    no request.

    Raises:
        ChangedFileError: The file has another size.
    """
    if file_size is not None and (found := source.identity(path).size) != file_size:
        expected, hint = (
            f"{file_size} bytes, as in the listing",
            "run the command again when the file no longer changes",
        )
        raise ChangedFileError(f"{source.root.rstrip('/')}/{path}", f"{found} bytes", expected, hint)


def _leaves(paths: Sequence[Sequence[str]], columns: Sequence[str] | None) -> list[int]:
    """Return the numbers of the leaf columns that belong to the given columns. As in pyarrow, names of columns may contain dots."""
    wanted = None if columns is None else set(columns)
    return [
        number
        for number, path in enumerate(paths)
        if wanted is None or any(".".join(path[:depth]) in wanted for depth in range(1, len(path) + 1))
    ]


def _chunk_range(chunk: pq.ColumnChunkMetaData) -> ByteRange:
    start = chunk.data_page_offset
    if chunk.dictionary_page_offset is not None and 0 < chunk.dictionary_page_offset < start:
        start = chunk.dictionary_page_offset
    return start, start + max(chunk.total_compressed_size, 0)
