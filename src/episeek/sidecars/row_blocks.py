"""Fetch rows of a table in a store in blocks when they are needed, keep the blocks on this machine, and map them.

A block is a row group, or a part of a large row group. All columns of its rows are fetched together. A row group that is not larger
than a block takes one request, because its column chunks follow one another. In a larger row group the columns are far apart, and a
block takes one or two requests for each column (its values and its page header), all at the same time.

Threads that need the same block share its request. Processes share the files of the blocks. Each file appears complete or not at
all, and a file with impossible contents is fetched again.
"""

import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from episeek.errors import SidecarError
from episeek.sidecars.column_chunks import TableLayout, page_problem, stored_values, table_layout, values_bytes
from episeek.sidecars.mapped_columns import MappedColumn, lazy_columns
from episeek.sidecars.mapped_table import (
    Buffer,
    MappedTable,
    RowRange,
    footer_metadata,
    open_buffer,
    open_table,
    read_columns,
)
from episeek.sidecars.remote_file import RemoteFile
from episeek.stores.byte_source import STORE_IN_FLIGHT, ByteRange
from episeek.stores.processes.per_process import PerProcess
from episeek.stores.requests.range_plan import WantedRange, fetch_planned, plan_requests
from episeek_schemas.sidecars import ROW_GROUP_ROWS


def open_in_blocks(file: RemoteFile, schema: pa.Schema, *, name: str) -> MappedTable:
    """Open a table in a store, whose rows are fetched in blocks when they are needed.

    Args:
        file: The table.
        schema: The columns that the format requires; all of them are mapped.
        name: The name of the table.

    Raises:
        SidecarLayoutError: Columns or types differ.
        ChangedFileError, ReadError: The table cannot be mapped, and the store does not deliver the whole table.

    Warns:
        SidecarLayoutWarning: The table cannot be mapped, and was fetched whole and read into memory.
    """
    layout = table_layout(file.footer, schema, where=file.where, file_bytes=file.identity.size)
    if layout.problem:
        return open_table(file.fetch_whole(), schema, name=name, where=file.where)
    blocks = RowBlocks(file, layout)
    columns = lazy_columns(layout.dtypes, blocks.row_counts, blocks.segments)
    return MappedTable(name, file.footer.num_rows, columns, footer_metadata(file.footer), True, blocks.fetch_rows)


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows `[start, start + row_count)` of a row group."""

    group: int
    start: int
    row_count: int


class _InProgress:
    """The blocks that the threads of this process are fetching now."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.futures: dict[int, Future[None]] = {}


class RowBlocks:
    """The blocks of one table. Safe to use from several threads, and in forked processes."""

    def __init__(self, file: RemoteFile, layout: TableLayout) -> None:
        self._file = file
        self._layout = layout
        self._blocks = [
            _Block(group, start, min(ROW_GROUP_ROWS, rows - start))
            for group, rows in enumerate(layout.group_rows)
            for start in range(0, rows, ROW_GROUP_ROWS)
        ]
        self.row_counts = [block.row_count for block in self._blocks]
        """Number of rows of each block."""
        self._starts = list(accumulate(self.row_counts, initial=0))
        self._buffers: dict[int, Buffer] = {}
        self._in_progress: PerProcess[_InProgress] = PerProcess(_InProgress)
        self._decoded: dict[str, MappedColumn] | None = None

    def segments(self, name: str, first: int, stop: int) -> list[npt.NDArray[Any]]:
        """Return the values of one column in blocks `[first, stop)`, after fetching missing blocks.

        Raises:
            SidecarLayoutError: The table is damaged.
            ChangedFileError, ReadError: The table in the store has changed, or the store fails.
        """
        self._fetch(range(first, stop))
        return [self._values(name, number) for number in range(first, stop)]

    def fetch_rows(self, rows: Sequence[RowRange]) -> None:
        """Fetch the missing blocks of ranges `[start, stop)` of rows together.

        Raises IndexError if rows do not exist, and the errors of `segments`.
        """
        numbers: set[int] = set()
        for start, stop in rows:
            if not 0 <= start <= stop <= self._starts[-1]:
                raise IndexError(f"rows [{start}, {stop}) of a table of {self._starts[-1]} rows")
            if start < stop:
                numbers.update(range(bisect_right(self._starts, start) - 1, bisect_right(self._starts, stop - 1)))
        self._fetch(sorted(numbers))

    # --- the parts of a block ---

    def _ranges(self, block: _Block) -> Iterator[ByteRange]:
        """Yield the byte ranges of a block in the file: for each column its page header and then its values."""
        for name, dtype in self._layout.dtypes.items():
            place = self._layout.place(name, block.group)
            start = place.values_start + values_bytes(block.start, dtype)
            yield place.page_start, place.values_start
            yield start, start + values_bytes(block.row_count, dtype)

    def _values(self, name: str, number: int) -> npt.NDArray[Any]:
        block, dtype = self._blocks[number], self._layout.dtypes[name]
        if self._decoded is not None:
            values = self._decoded[name].slice(self._starts[number], self._starts[number + 1])
            return np.packbits(values, bitorder="little") if dtype == np.bool_ else values
        position = 2 * list(self._layout.dtypes).index(name) + 1
        offset = sum(stop - start for start, stop in list(self._ranges(block))[:position])
        return stored_values(self._buffers[number], offset, block.row_count, dtype)

    def _problem(self, block: _Block, data: Buffer) -> str:
        """Return why `data` cannot be the bytes of a block; empty if it can be."""
        ranges = list(self._ranges(block))
        if len(data) != sum(stop - start for start, stop in ranges):
            return "another length"
        position = 0
        for number, name in enumerate(self._layout.dtypes):
            (start, stop), (first, last) = ranges[2 * number : 2 * number + 2]
            problem = page_problem(
                self._layout.place(name, block.group), bytes(data[position : position + stop - start])
            )
            if problem:
                return f"column {name!r} {problem}"
            position += stop - start + last - first
        return ""

    # --- fetching ---

    def _fetch(self, numbers: Iterable[int]) -> None:
        missing = [number for number in numbers if number not in self._buffers]
        while missing and self._decoded is None:
            self._fetch_or_wait(missing)
            missing = [number for number in missing if number not in self._buffers]

    def _fetch_or_wait(self, missing: Sequence[int]) -> None:
        """Fetch the blocks that no other thread fetches, and wait for the others."""
        state = self._in_progress.get()
        mine: dict[int, Future[None]] = {}
        others = []
        with state.lock:
            for number in missing:
                future = state.futures.get(number)
                if future is not None:
                    others.append(future)
                elif number not in self._buffers:
                    mine[number] = state.futures[number] = Future()
        failure: BaseException | None = None
        try:
            self._load(list(mine))
        except BaseException as error:
            failure = error
            raise
        finally:
            with state.lock:
                for number in mine:
                    del state.futures[number]
            for future in mine.values():
                if failure is None:
                    future.set_result(None)
                elif isinstance(failure, Exception):
                    future.set_exception(failure)
                else:
                    # only this thread was interrupted, so the waiting threads try again
                    future.cancel()
        for future in others:
            try:
                future.result()
            except CancelledError:
                if not future.cancelled():
                    raise

    def _load(self, numbers: Sequence[int]) -> None:
        """Map the blocks that are on this machine, and fetch the others."""
        missing = []
        for number in numbers:
            buffer = self._kept(number)
            if buffer is None:
                missing.append(number)
            else:
                self._buffers[number] = buffer
        if not missing:
            return
        file = self._file
        ranges = [list(self._ranges(self._blocks[number])) for number in missing]
        wanted = [WantedRange(file.path, start, stop) for parts in ranges for start, stop in parts]
        bodies = iter(fetch_planned(file.source, wanted, plan_requests(wanted), max_in_flight=STORE_IN_FLIGHT))
        fetched = [b"".join(next(bodies) for _ in parts) for parts in ranges]
        file.require_same()
        for number, data in zip(missing, fetched, strict=True):
            problem = self._problem(self._blocks[number], data)
            if problem:
                # another tool wrote several small pages, which only the page headers show
                self._decoded = read_columns(file.fetch_whole(), self._layout, problem, stacklevel=3)
                return
            kept = None if file.kept is None else file.kept.keep(self._name(number), [data])
            buffer = None if kept is None else self._kept(number)
            self._buffers[number] = data if buffer is None else buffer

    def _kept(self, number: int) -> Buffer | None:
        """Map the local copy of a block, or return None if the copy is missing or its bytes cannot be those of the block."""
        if self._file.kept is None:
            return None
        try:
            buffer = open_buffer(str(self._file.kept.path(self._name(number))))
        except SidecarError:
            return None
        return None if self._problem(self._blocks[number], buffer) else buffer

    def _name(self, number: int) -> str:
        return f"{Path(self._file.path).name}.rows-{self._starts[number]}-{self._starts[number + 1]}"
