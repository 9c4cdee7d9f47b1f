"""Parquet tables as arrays on the bytes of their file: nothing is decoded, and no memory grows with the number of rows.

The mapped columns of the sidecars are REQUIRED, PLAIN and uncompressed, with one data page in each column chunk. The values of
a column chunk are therefore one little-endian array that ends where the chunk ends (Parquet format: ColumnMetaData, PageHeader,
PLAIN encoding); those of a BOOLEAN column are bits, eight in a byte, from the lowest one on. Each page header is checked before
its chunk is used. A table that another tool rewrote, with compression for example, is read into memory with a warning.
"""

import mmap
import os
import warnings
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import MissingSidecarError, SidecarLayoutError, SidecarLayoutWarning, first_line

_PAGE_HEADER_BYTES = 256
_DATA_PAGE, _DATA_PAGE_V2 = 0, 3

Buffer = mmap.mmap | bytes


class MappedColumn:
    """One column of a table: a read-only array for each row group, indexed by row number over all of them.

    Values may be unaligned. Index single rows or slices: searching a whole column, or arithmetic on it, would copy it first.
    """

    __slots__ = ("_segments", "_starts", "dtype")

    def __init__(self, segments: list[npt.NDArray[Any]], dtype: np.dtype[Any]) -> None:
        self._segments = segments
        self._starts = list(accumulate(map(len, segments), initial=0))
        self.dtype = dtype

    def __len__(self) -> int:
        return self._starts[-1]

    def __repr__(self) -> str:
        return f"MappedColumn({len(self)} x {self.dtype}, {len(self._segments)} row groups)"

    def value(self, row: int) -> Any:
        """Return the value of one row as a numpy scalar. Raises IndexError."""
        segment, position = self._place_of(row)
        return self._segments[segment][position]

    def _place_of(self, row: int) -> tuple[int, int]:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        segment = self._segment_of(row)
        return segment, row - self._starts[segment]

    def slice(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return rows `[start, stop)`: a view, or a copy if they lie in several row groups. Raises IndexError."""
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"rows [{start}, {stop}) of {len(self)}")
        if start == stop:
            return np.empty(0, self.dtype)
        first, last = self._segment_of(start), self._segment_of(stop - 1)
        parts = [
            self._values(
                i, max(start, self._starts[i]) - self._starts[i], min(stop, self._starts[i + 1]) - self._starts[i]
            )
            for i in range(first, last + 1)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _values(self, segment: int, start: int, stop: int) -> npt.NDArray[Any]:
        return self._segments[segment][start:stop]

    def _segment_of(self, row: int) -> int:
        if len(self._segments) == 1:
            return 0
        return bisect_right(self._starts, row) - 1


class MappedBits(MappedColumn):
    """A BOOLEAN column: arrays of bytes with eight rows each. Slices are unpacked copies."""

    __slots__ = ()

    def __init__(self, segments: list[npt.NDArray[np.uint8]], row_counts: list[int]) -> None:
        super().__init__(segments, np.dtype(np.bool_))
        self._starts = list(accumulate(row_counts, initial=0))

    def value(self, row: int) -> Any:
        """Return the value of one row as a numpy scalar. Raises IndexError."""
        segment, position = self._place_of(row)
        return self._values(segment, position, position + 1)[0]

    def _values(self, segment: int, start: int, stop: int) -> npt.NDArray[np.bool_]:
        first = start // 8
        bits = np.unpackbits(self._segments[segment][first : -(-stop // 8)], bitorder="little")
        return bits[start - 8 * first : stop - 8 * first].view(np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class MappedTable:
    """The mapped columns of one sidecar table, and the key-value metadata of its footer."""

    name: str
    row_count: int
    columns: Mapping[str, MappedColumn]
    metadata: Mapping[str, str]
    is_mapped: bool
    """False if the table had to be read into memory."""


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
    fields = [field for field in schema if field.name not in unmapped]
    found = footer.schema.names
    groups = [footer.row_group(group) for group in range(footer.num_row_groups)]
    group_rows = [group.num_rows for group in groups]
    if sum(group_rows) != footer.num_rows:
        counts = f"{sum(group_rows)} rows in row groups, {footer.num_rows} in the footer"
        raise SidecarLayoutError(where, counts, "the same number")
    if found != schema.names:
        raise SidecarLayoutError(where, f"columns {found}", f"columns {schema.names}")
    found_types = dict(zip(found, footer.schema.to_arrow_schema().types, strict=True))
    # the physical type alone does not tell floats from integers, nor signed from unsigned ones
    for field in fields:
        if found_types[field.name] != field.type:
            found_type = f"column {field.name!r} of type {found_types[field.name]}"
            raise SidecarLayoutError(where, found_type, str(field.type))
    reason = ""
    columns = {}
    for field in fields:
        dtype = np.dtype(field.type.to_pandas_dtype())
        position = found.index(field.name)
        stored_as = footer.schema.column(position)
        segments = []
        for group, rows in zip(groups, group_rows, strict=True):
            offset, reason = values_offset(buffer, group.column(position), stored_as, rows, dtype)
            if reason:
                break
            segments.append(stored_values(buffer, offset, rows, dtype))
        if reason:
            reason = f"column {field.name!r} {reason}"
            break
        for segment in segments:
            segment.setflags(write=False)
        columns[field.name] = MappedBits(segments, group_rows) if dtype == np.bool_ else MappedColumn(segments, dtype)
    if reason:
        warnings.warn(
            f"{where}: {reason}: reading the table into memory instead of mapping it; run `episeek index` to write it again",
            SidecarLayoutWarning,
            stacklevel=3,
        )
        columns = _read_columns(buffer, fields, where)
    return MappedTable(name, footer.num_rows, columns, footer_metadata(footer), not reason)


def values_offset(buffer: Buffer, chunk: Any, column: Any, row_count: int, dtype: np.dtype[Any]) -> tuple[int, str]:
    """Return the position of the values of a column chunk in the file, or the reason why they cannot be mapped.

    Returns:
        The offset in bytes and an empty text; or 0 and a clause that follows the name of the column.
    """
    bits = {"BOOLEAN": 1, "INT32": 32, "INT64": 64, "DOUBLE": 64, "FLOAT": 32}.get(chunk.physical_type)
    if bits != (1 if dtype == np.bool_ else 8 * dtype.itemsize):
        return 0, f"is stored as {chunk.physical_type}"
    if column.max_definition_level or column.max_repetition_level:
        return 0, "is not REQUIRED"
    if chunk.compression != "UNCOMPRESSED":
        return 0, f"is compressed with {chunk.compression}"
    # RLE is that of levels, and of booleans without PLAIN
    if chunk.has_dictionary_page or not {"PLAIN"} <= set(chunk.encodings) <= {"PLAIN", "RLE"}:
        return 0, f"is encoded with {', '.join(chunk.encodings)}"
    values_bytes = -(-chunk.num_values * bits // 8)
    offset = chunk.data_page_offset + chunk.total_compressed_size - values_bytes
    if (
        chunk.num_values != row_count
        or chunk.data_page_offset < 0
        or not 0 < offset - chunk.data_page_offset <= _PAGE_HEADER_BYTES
    ):
        return 0, "has more than one data page"
    if offset + values_bytes > len(buffer):
        return 0, "reaches past the end of the file"
    page_type, page_bytes = _page_header(bytes(buffer[chunk.data_page_offset : offset]))
    if page_type not in (_DATA_PAGE, _DATA_PAGE_V2) or page_bytes != values_bytes:
        return 0, "has more than one data page"
    return offset, ""


def stored_values(buffer: Buffer, offset: int, row_count: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return the values of a column chunk as an array on the bytes of its file; of a BOOLEAN one, its packed bytes."""
    if dtype == np.bool_:
        return np.ndarray(-(-row_count // 8), np.uint8, buffer, offset)
    return np.ndarray(row_count, dtype.newbyteorder("<"), buffer, offset)


def _page_header(data: bytes) -> tuple[int, int]:
    """Return the type and the compressed size of a page, in bytes; (-1, -1) if `data` is not a page header.

    They are among the first three fields of PageHeader, all of them i32, in Thrift's compact protocol.
    """
    position, values = 0, []
    for _ in range(3):
        if position >= len(data) or data[position] != 0x15:
            # the byte of a field whose id is the next one and whose type is i32 is 0x15
            return -1, -1
        position += 1
        value = shift = 0
        while position < len(data) and shift < 35:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        values.append((value >> 1) ^ -(value & 1))
    return values[0], values[2]


def _read_columns(buffer: Buffer, fields: list[pa.Field], where: str) -> dict[str, MappedColumn]:
    columns = {}
    try:
        table = read_whole(buffer, [field.name for field in fields])
    except (pa.ArrowException, OSError) as error:
        raise SidecarLayoutError(where, first_line(error), "a readable Parquet table") from None
    for field in fields:
        column = table[field.name]
        if column.null_count:
            raise SidecarLayoutError(
                where, f"{column.null_count} nulls in column {field.name!r}", "a value in every row"
            )
        array = column.to_numpy()
        array.setflags(write=False)
        columns[field.name] = MappedColumn([array] if len(array) else [], array.dtype)
    return columns
