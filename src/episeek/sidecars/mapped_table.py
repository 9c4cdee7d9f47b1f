"""Parquet tables as arrays on the bytes of their file: nothing is decoded, and no memory grows with the number of rows.

`episeek.sidecars.column_chunks` says where the arrays lie. Each page header is checked before its chunk is used. A table that
another tool rewrote, with compression for example, is read into memory with a warning.
"""

import mmap
import os
import warnings
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import MissingSidecarError, SidecarLayoutError, SidecarLayoutWarning, first_line
from episeek.sidecars.column_chunks import TableLayout, page_problem, stored_values, table_layout, unmappable

Buffer = mmap.mmap | bytes

RowRange = tuple[int, int]
"""`[start, stop)`, in rows of a table."""

LoadSegments = Callable[[int, int], list[npt.NDArray[Any]]]


class MappedColumn:
    """One column of a table: a read-only array for each run of rows, indexed by row number over all of them.

    Values may be unaligned. Index single rows or slices: searching a whole column, or arithmetic on it, would copy it first.

    Args:
        segments: The arrays; None for one that `load` gives when it is needed.
        dtype: The type of the values.
        row_counts: Rows of each array; None for their lengths.
        load: Returns the arrays with positions `[first, stop)`.
    """

    __slots__ = ("_load", "_segments", "_starts", "dtype")

    def __init__(
        self,
        segments: Sequence[npt.NDArray[Any] | None],
        dtype: np.dtype[Any],
        row_counts: Sequence[int] | None = None,
        load: LoadSegments | None = None,
    ) -> None:
        self._segments = list(segments)
        self._load = load
        counts = [len(segment) for segment in segments if segment is not None] if row_counts is None else row_counts
        self._starts = list(accumulate(counts, initial=0))
        self.dtype = dtype

    def __len__(self) -> int:
        return self._starts[-1]

    def __repr__(self) -> str:
        return f"MappedColumn({len(self)} x {self.dtype}, {len(self._segments)} row groups)"

    def value(self, row: int) -> Any:
        """Return the value of one row as a numpy scalar. Raises IndexError, and what `slice` raises."""
        segment, position = self._place_of(row)
        return self._segment(segment)[position]

    def _place_of(self, row: int) -> tuple[int, int]:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        segment = self._segment_of(row)
        return segment, row - self._starts[segment]

    def slice(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return rows `[start, stop)`: a view, or a copy if they lie in several row groups.

        Raises:
            IndexError: There are no such rows.
            SidecarLayoutError: The table is damaged.
            ChangedFileError, ReadError: The rows have to be fetched, and the store has another table now, or fails.
        """
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"rows [{start}, {stop}) of {len(self)}")
        if start == stop:
            return np.empty(0, self.dtype)
        first, last = self._segment_of(start), self._segment_of(stop - 1)
        self._require(first, last + 1)
        parts = [
            self._values(
                i, max(start, self._starts[i]) - self._starts[i], min(stop, self._starts[i + 1]) - self._starts[i]
            )
            for i in range(first, last + 1)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _values(self, segment: int, start: int, stop: int) -> npt.NDArray[Any]:
        return self._segment(segment)[start:stop]

    def _segment(self, position: int) -> npt.NDArray[Any]:
        segment = self._segments[position]
        if segment is None:
            self._require(position, position + 1)
            segment = self._segments[position]
            assert segment is not None
        return segment

    def _require(self, first: int, stop: int) -> None:
        if self._load is not None and any(segment is None for segment in self._segments[first:stop]):
            self._segments[first:stop] = self._load(first, stop)

    def _segment_of(self, row: int) -> int:
        if len(self._segments) == 1:
            return 0
        return bisect_right(self._starts, row) - 1


class MappedBits(MappedColumn):
    """A BOOLEAN column: arrays of bytes with eight rows each. Slices are unpacked copies."""

    __slots__ = ()

    def value(self, row: int) -> Any:
        """Return the value of one row as a numpy scalar. Raises IndexError, and what `slice` raises."""
        segment, position = self._place_of(row)
        return self._values(segment, position, position + 1)[0]

    def _values(self, segment: int, start: int, stop: int) -> npt.NDArray[np.bool_]:
        first = start // 8
        bits = np.unpackbits(self._segment(segment)[first : -(-stop // 8)], bitorder="little")
        return bits[start - 8 * first : stop - 8 * first].view(np.bool_)


def lazy_columns(
    dtypes: Mapping[str, np.dtype[Any]],
    row_counts: Sequence[int],
    load: Callable[[str, int, int], list[npt.NDArray[Any]]],
) -> dict[str, MappedColumn]:
    """Return columns whose arrays are made when they are needed.

    Args:
        dtypes: The type of each column, by its name.
        row_counts: Rows of each array.
        load: Returns the arrays of a column with positions `[first, stop)`.
    """
    unloaded = [None] * len(row_counts)
    return {
        name: (MappedBits if dtype == np.bool_ else MappedColumn)(unloaded, dtype, row_counts, partial(load, name))
        for name, dtype in dtypes.items()
    }


@dataclass(frozen=True, slots=True, eq=False)
class MappedTable:
    """The mapped columns of one sidecar table, and the key-value metadata of its footer."""

    name: str
    row_count: int
    columns: Mapping[str, MappedColumn]
    metadata: Mapping[str, str]
    is_mapped: bool
    """False if the table had to be read into memory."""
    load: Callable[[Sequence[RowRange]], None] | None = None
    """Fetches what is missing of ranges of rows; None where all rows are on this machine."""

    def fetch(self, rows: Sequence[RowRange]) -> None:
        """Fetch what is missing of ranges `[start, stop)` of rows together, where the table is in a store.

        Raises:
            IndexError: There are no such rows.
            SidecarLayoutError: The table is damaged.
            ChangedFileError, ReadError: The store has another table now, or fails.
        """
        if self.load is not None:
            self.load(rows)


def open_buffer(path: str) -> Buffer:
    """Map a local file.

    Raises:
        MissingSidecarError: There is no such file.
        SidecarLayoutError: The file is empty or cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        hint = "run `episeek prepare` or `episeek index`"
        raise MissingSidecarError(path, "no such file", "a sidecar table", hint) from None
    except OSError as error:
        raise SidecarLayoutError(path, str(error), "a readable file") from error
    try:
        return mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
    except (ValueError, OSError) as error:
        raise SidecarLayoutError(path, str(error), "a Parquet table") from error
    finally:
        os.close(handle)


def read_footer(buffer: Buffer, *, where: str) -> pq.FileMetaData:
    """Return the footer of a Parquet file that is in memory or mapped.

    Raises:
        SidecarLayoutError: The file has no footer.
    """
    try:
        return pq.ParquetFile(pa.BufferReader(pa.py_buffer(buffer))).metadata
    except (pa.ArrowException, OSError) as error:
        raise SidecarLayoutError(where, first_line(error), "a Parquet table with its footer") from None


def read_whole(buffer: Buffer, columns: list[str] | None = None) -> pa.Table:
    """Return columns of a Parquet file that is in memory or mapped, decoded. Raises what pyarrow raises.

    The calling thread does all the work: a process that ends soon after Arrow's threads have read a table may abort
    (apache/arrow#34314).

    Args:
        buffer: The file.
        columns: Names of columns; None for all of them.
    """
    file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(buffer)), pre_buffer=False)
    return file.read(columns=columns, use_threads=False)


def footer_metadata(footer: pq.FileMetaData) -> dict[str, str]:
    """Return the key-value metadata of a footer as text, without the entry of Arrow."""
    pairs = footer.metadata or {}
    return {
        key.decode("utf-8", "replace"): value.decode("utf-8", "replace")
        for key, value in pairs.items()
        if key != b"ARROW:schema"
    }


def open_table(
    buffer: Buffer, schema: pa.Schema, *, name: str, where: str, unmapped: frozenset[str] = frozenset()
) -> MappedTable:
    """Open one table.

    Args:
        buffer: The file, mapped or in memory; the arrays keep it alive.
        schema: The columns that the format demands.
        name: The name of the table.
        where: The file, for messages.
        unmapped: Names of columns to skip.

    Raises:
        SidecarLayoutError: Columns or types differ, there are nulls, or the file is damaged.

    Warns:
        SidecarLayoutWarning: The table cannot be mapped and was read into memory instead.
    """
    footer = read_footer(buffer, where=where)
    layout = table_layout(footer, schema, where=where, file_bytes=len(buffer), unmapped=unmapped)
    problem = layout.problem or _first_page_problem(buffer, layout)
    if problem:
        columns = read_columns(buffer, layout, problem, stacklevel=4)
    else:
        columns = lazy_columns(layout.dtypes, layout.group_rows, partial(_mapped_segments, buffer, layout))
    return MappedTable(name, footer.num_rows, columns, footer_metadata(footer), not problem)


def _first_page_problem(buffer: Buffer, layout: TableLayout) -> str:
    """Return why the first row group cannot be mapped. Other tools write all row groups in one way."""
    for name in layout.dtypes if layout.group_rows else ():
        place = layout.place(name, 0)
        problem = page_problem(place, bytes(buffer[place.page_start : place.values_start]))
        if problem:
            return f"column {name!r} {problem}"
    return ""


def _mapped_segments(buffer: Buffer, layout: TableLayout, name: str, first: int, stop: int) -> list[npt.NDArray[Any]]:
    segments = []
    for group in range(first, stop):
        place = layout.place(name, group)
        problem = page_problem(place, bytes(buffer[place.page_start : place.values_start]))
        if problem:
            raise unmappable(layout.where, name, group, problem)
        segments.append(stored_values(buffer, place.values_start, layout.group_rows[group], layout.dtypes[name]))
    return segments


def read_columns(buffer: Buffer, layout: TableLayout, problem: str, *, stacklevel: int) -> dict[str, MappedColumn]:
    """Return the columns of a table that cannot be mapped, decoded.

    Args:
        buffer: The file.
        layout: Its columns.
        problem: Why it cannot be mapped.
        stacklevel: Whom the warning names as its cause, as for `warnings.warn`.

    Raises:
        SidecarLayoutError: The file is damaged, or there are nulls.

    Warns:
        SidecarLayoutWarning: Always.
    """
    warnings.warn(
        f"{layout.where}: {problem}: reading the table into memory instead of mapping it; run `episeek index` to write it again",
        SidecarLayoutWarning,
        stacklevel=stacklevel,
    )
    columns = {}
    try:
        table = read_whole(buffer, list(layout.dtypes))
    except (pa.ArrowException, OSError) as error:
        raise SidecarLayoutError(layout.where, first_line(error), "a readable Parquet table") from None
    for name in layout.dtypes:
        column = table[name]
        if column.null_count:
            raise SidecarLayoutError(
                layout.where, f"{column.null_count} nulls in column {name!r}", "a value in every row"
            )
        array = column.to_numpy()
        array.setflags(write=False)
        columns[name] = MappedColumn([array] if len(array) else [], array.dtype)
    return columns
