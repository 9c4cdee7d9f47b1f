"""Map Parquet tables as views of the bytes of their file. Nothing is decoded, and memory does not grow with the number of rows.

`episeek.sidecars.column_chunks` finds the offsets of the arrays. Each page header is checked before its chunk is used. A table that
another tool rewrote, for example with compression, is read into memory with a warning.
"""

import mmap
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import MissingSidecarError, SidecarLayoutError, SidecarLayoutWarning, first_line
from episeek.sidecars.column_chunks import TableLayout, page_problem, stored_values, table_layout, unmappable
from episeek.sidecars.mapped_columns import MappedColumn, lazy_columns

Buffer = mmap.mmap | bytes

RowRange = tuple[int, int]
"""A range `[start, stop)` of rows of a table."""


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
    """Function that fetches the missing parts of ranges of rows; None if all rows are on this machine."""

    def fetch(self, rows: Sequence[RowRange]) -> None:
        """Fetch the missing parts of ranges `[start, stop)` of rows together, if the table is in a store.

        Raises:
            IndexError: The rows do not exist.
            SidecarLayoutError: The table is damaged.
            ChangedFileError, ReadError: The table in the store has changed, or the store fails.
        """
        if self.load is not None:
            self.load(rows)


def open_buffer(path: str) -> Buffer:
    """Map a local file.

    Raises:
        MissingSidecarError: The file does not exist.
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
    """Decode and return columns of a Parquet file that is in memory or mapped. Errors of pyarrow pass through.

    The calling thread does all the work: a process that ends soon after Arrow's threads have read a table may abort
    (apache/arrow#34314).

    Args:
        buffer: The file.
        columns: Names of columns; None for all of them.
    """
    file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(buffer)), pre_buffer=False)
    return file.read(columns=columns, use_threads=False)


def footer_metadata(footer: pq.FileMetaData) -> dict[str, str]:
    """Return the key-value metadata of a footer as text, without Arrow's own entry."""
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
        schema: The columns that the format requires.
        name: The name of the table.
        where: The file, for messages.
        unmapped: Names of columns to skip.

    Raises:
        SidecarLayoutError: Columns or types differ, values are null, or the file is damaged.

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
    """Return why the first row group, which is written like all others, cannot be mapped; empty if it can be mapped."""
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
    """Decode and return the columns of a table that cannot be mapped.

    Args:
        buffer: The file.
        layout: The columns of the table.
        problem: Why the table cannot be mapped.
        stacklevel: The stack frame that the warning names as its cause, as for `warnings.warn`.

    Raises:
        SidecarLayoutError: The file is damaged, or values are null.

    Warns:
        SidecarLayoutWarning: Always.
    """
    warnings.warn(
        f"{layout.where}: {problem}: reading the table into memory instead of mapping it; "
        "run `episeek index` to write the table again",
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
