"""A Parquet file of a store: what pyarrow asks for, in few requests over the store's byte source.

The last 64 KiB are fetched first, which holds most footers; of a larger one, what is missing. Of the data exactly the column
chunks that are asked for: small ones together, with what lies between them where that is little, large ones in blocks. Bytes
that were fetched are kept, the most recently used ones, and not fetched again while they are.
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
"""Fetched when a file is opened; pyarrow looks there first."""

KEPT_BYTES = 1 << 24
"""Of one open file: twice what callers read at once, so that columns which are read one after the other share requests."""

BLOCK_BYTES = 1 << 20
"""At most what is fetched before it is asked for; less of a file with many columns, whose blocks all have to be kept."""

GAP_BYTES = 1 << 16
"""Between two column chunks, fetched along: asking twice takes longer."""

_PART_BYTES = 1 << 23
"""Of one request."""


class StoreFile:
    """One file of a source, as pyarrow reads files. May be read from several threads; errors of the source go through it.

    Args:
        source: Where the file is.
        path: Relative to the source's root.
        size: Bytes.
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
        """By where they start, the one used last behind the others; they do not overlap."""
        self._starts: list[int] = []
        self._kept_bytes = 0
        self._expected: tuple[list[int], list[int]] = ([], [])
        self._block_bytes = 0
        self._is_joined = False

    def fetch_tail(self) -> None:
        """Fetch the end of the file, and keep it as long as the file is open."""
        with self._lock:
            self._tail_start = max(self.size - TAIL_BYTES, 0)
            self._tail = self._source.get_ranges(self.path, [(self._tail_start, self.size)])[0]

    def expect(self, ranges: Iterable[ByteRange], *, block_bytes: int, is_joined: bool) -> None:
        """Say what will be read; what is not expected is fetched as it is asked for.

        Args:
            ranges: Column chunks, which do not overlap.
            block_bytes: How much of them to fetch at once.
            is_joined: Whether a request may go on into the next chunk.
        """
        ordered = sorted(ranges)
        with self._lock:
            self._expected = [start for start, _ in ordered], [stop for _, stop in ordered]
            self._block_bytes, self._is_joined = block_bytes, is_joined

    def read_at(self, start: int, stop: int) -> bytes:
        """The bytes `[start, stop)`, fewer where the file ends. Raises what the source raises."""
        with self._lock:
            return self._read_at(start, stop)

    def read(self, count: int = -1) -> bytes:
        """Up to `count` bytes from the current position; none at the end."""
        with self._lock:
            data = self._read_at(self._position, self.size if count < 0 else self._position + count)
            self._position += len(data)
            return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the current position; returns it."""
        with self._lock:
            origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
            self._position = max(origin + offset, 0)
            return self._position

    def tell(self) -> int:
        """The current position."""
        return self._position

    def close(self) -> None:
        """Forget what was kept."""
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
        """Where the last kept range starts that starts not behind a position, and its bytes."""
        if position >= self._tail_start:
            return self._tail_start, self._tail
        place = bisect_right(self._starts, position) - 1
        if place < 0:
            return 0, b""
        first = self._starts[place]
        self._kept.move_to_end(first)
        return first, self._kept[first]

    def _request(self, start: int, stop: int) -> ByteRange:
        """What to ask for where nothing is kept of `start`: from there or before it, to `stop`, behind it, or what is kept."""
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
        # a column before it in the last row group that the request before this one had no room for
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
    """A `pyarrow.parquet.ParquetFile` that tells its file which column chunks it is about to read.

    Args:
        file: What it reads from.
        options: As pyarrow takes them; `pre_buffer` is left out, which would hold all that is read.
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
        """As pyarrow's. Column chunks share requests: a batch has to be less than what is kept."""
        self._expect(row_groups, columns, is_read_at_once=False)
        return super().iter_batches(batch_size, row_groups, columns, use_threads, use_pandas_metadata)

    def read(
        self, columns: Sequence[str] | None = None, use_threads: bool = True, use_pandas_metadata: bool = False
    ) -> pa.Table:
        """As pyarrow's."""
        self._expect(None, columns, is_read_at_once=True)
        return super().read(columns, use_threads, use_pandas_metadata)

    def read_row_group(
        self, i: int, columns: Sequence[str] | None = None, use_threads: bool = True, use_pandas_metadata: bool = False
    ) -> pa.Table:
        """As pyarrow's."""
        self._expect([i], columns, is_read_at_once=True)
        return super().read_row_group(i, columns, use_threads, use_pandas_metadata)

    def read_row_groups(
        self,
        row_groups: Sequence[int],
        columns: Sequence[str] | None = None,
        use_threads: bool = True,
        use_pandas_metadata: bool = False,
    ) -> pa.Table:
        """As pyarrow's."""
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
            if 0 <= group < footer.num_row_groups  # of another one pyarrow complains
            for leaf in leaves
        ]
        # what is read at once is read column by column: more than what is kept would be fetched again for each column
        is_joined = not is_read_at_once or sum(stop - start for start, stop in ranges) <= KEPT_BYTES // 2
        block_bytes = min(BLOCK_BYTES, max(KEPT_BYTES // (2 * max(len(leaves), 1)), TAIL_BYTES))
        self._file.expect(ranges, block_bytes=block_bytes, is_joined=is_joined)


def open_store_parquet(source: ByteSource, path: str, *, file_size: int | None, **options: Any) -> StoreParquetFile:
    """Open a file of a store.

    Args:
        source: Where it is.
        path: Relative to the source's root.
        file_size: Bytes; None asks the source.
        options: As pyarrow takes them.

    Raises:
        ChangedFileError: It has another size than `file_size`.
        MissingFileError, ReadError: As the source's.
        pyarrow.ArrowInvalid: It is not Parquet.
    """
    file = StoreFile(source, path, source.identity(path).size if file_size is None else file_size)
    file.fetch_tail()
    require_size(source, path, file_size)
    return StoreParquetFile(file, **options)


def require_size(source: ByteSource, path: str, file_size: int | None) -> None:
    """That a file of which bytes were read has the size that a listing said; most stores say it with the bytes.

    Raises:
        ChangedFileError: It has another one.
    """
    if file_size is not None and (found := source.identity(path).size) != file_size:
        expected = f"{file_size}, as it was listed: the file is being replaced"
        raise ChangedFileError(f"{source.root.rstrip('/')}/{path}", f"{found} bytes", expected)


def _leaves(paths: Sequence[Sequence[str]], columns: Sequence[str] | None) -> list[int]:
    """Leaf columns that belong to some columns, as pyarrow finds them: names may hold dots themselves."""
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
