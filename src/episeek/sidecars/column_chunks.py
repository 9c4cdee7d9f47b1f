"""Find the values of a table's columns in its Parquet file: one array for each column chunk.

The mapped columns of the sidecars are REQUIRED, PLAIN and uncompressed, with one data page in each column chunk. The values of
a column chunk are therefore one little-endian array that ends where the chunk ends (Parquet format: ColumnMetaData, PageHeader,
PLAIN encoding). The values of a BOOLEAN column are bits, eight in a byte, the lowest bit first. The footer gives the offset of the
values, and the page header, which precedes the values, shows that they are a single page.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import SidecarLayoutError

_PAGE_HEADER_BYTES = 256
_DATA_PAGE, _DATA_PAGE_V2 = 0, 3

SEVERAL_PAGES = "has more than one data page"


@dataclass(frozen=True, slots=True)
class ChunkPlace:
    """The byte offsets of a column chunk in its file."""

    page_start: int
    """First byte of the page header."""
    values_start: int
    """First byte of the values, where the page header ends."""
    stop: int
    """End of the values and of the chunk."""


class TableLayout:
    """The mapped columns of a table and the offsets of their values, from the footer alone.

    Row groups are examined when they are needed, so that a table with thousands of them is opened quickly. A tool writes all row
    groups of a table in the same way, so `problem` describes the first row group only.

    Args:
        footer: The footer of the table.
        dtypes: The mapped columns and the types of their values.
        where: The file, for messages.
        file_bytes: Size of the file.
    """

    def __init__(
        self, footer: pq.FileMetaData, dtypes: Mapping[str, np.dtype[Any]], *, where: str, file_bytes: int
    ) -> None:
        self.where = where
        self.dtypes = dtypes
        self._footer = footer
        self._file_bytes = file_bytes
        self._positions = {name: position for position, name in enumerate(footer.schema.names)}
        self.group_rows = tuple(footer.row_group(group).num_rows for group in range(footer.num_row_groups))
        """Number of rows of each row group."""
        problems = (f"column {name!r} {self._find(name, 0)[1]}" for name in dtypes if not self._find(name, 0)[0])
        self.problem = next(problems, "") if self.group_rows else ""
        """Why the table cannot be mapped; empty if it can be mapped."""

    def place(self, name: str, group: int) -> ChunkPlace:
        """Return the byte offsets of a column chunk. Raises SidecarLayoutError if it cannot be mapped."""
        place, problem = self._find(name, group)
        if place is None:
            raise unmappable(self.where, name, group, problem)
        return place

    def _find(self, name: str, group: int) -> tuple[ChunkPlace | None, str]:
        position = self._positions[name]
        chunk = self._footer.row_group(group).column(position)
        stored_as = self._footer.schema.column(position)
        return chunk_place(chunk, stored_as, self.group_rows[group], self.dtypes[name], self._file_bytes)


def unmappable(where: str, name: str, group: int, problem: str) -> SidecarLayoutError:
    """Return the error for a column chunk whose values cannot be used as an array directly from the bytes of the file.

    It is an error only in later row groups: a column with such values in the first row group is read in another way.
    """
    found = f"column {name!r}, which {problem} in row group {group}"
    return SidecarLayoutError(
        where, found, "plain values in one data page", "run `episeek index` to write the table again"
    )


def table_layout(
    footer: pq.FileMetaData, schema: pa.Schema, *, where: str, file_bytes: int, unmapped: frozenset[str] = frozenset()
) -> TableLayout:
    """Check the columns of a table, and return its layout.

    Args:
        footer: The footer of the table.
        schema: The columns that the format requires.
        where: The file, for messages.
        file_bytes: Size of the file.
        unmapped: Names of columns to skip.

    Raises:
        SidecarLayoutError: Columns or types differ, or the footer contradicts itself.
    """
    fields = [field for field in schema if field.name not in unmapped]
    found = footer.schema.names
    if found != schema.names:
        raise SidecarLayoutError(where, f"columns {found}", f"columns {schema.names}")
    found_types = dict(zip(found, footer.schema.to_arrow_schema().types, strict=True))
    # `chunk_place` compares only widths, which do not distinguish floats, signed integers and unsigned integers
    for field in fields:
        if found_types[field.name] != field.type:
            found_type = f"column {field.name!r} of type {found_types[field.name]}"
            raise SidecarLayoutError(where, found_type, str(field.type))
    dtypes = {field.name: np.dtype(field.type.to_pandas_dtype()) for field in fields}
    layout = TableLayout(footer, dtypes, where=where, file_bytes=file_bytes)
    if sum(layout.group_rows) != footer.num_rows:
        counts = f"{sum(layout.group_rows)} rows in row groups, {footer.num_rows} in the footer"
        raise SidecarLayoutError(where, counts, "the same number")
    return layout


def chunk_place(
    chunk: Any, column: Any, row_count: int, dtype: np.dtype[Any], file_bytes: int
) -> tuple[ChunkPlace | None, str]:
    """Return the byte offsets of a column chunk and an empty text, or None and the reason why its values cannot be mapped.

    The reason is a clause for a message, such as "is compressed with ZSTD". The page header is not read: `page_problem` checks it.
    """
    bits = {"BOOLEAN": 1, "INT32": 32, "INT64": 64, "DOUBLE": 64, "FLOAT": 32}.get(chunk.physical_type)
    if bits != (1 if dtype == np.bool_ else 8 * dtype.itemsize):
        return None, f"is stored as {chunk.physical_type}"
    if column.max_definition_level or column.max_repetition_level:
        return None, "is not REQUIRED"
    if chunk.compression != "UNCOMPRESSED":
        return None, f"is compressed with {chunk.compression}"
    # together with PLAIN, RLE is the encoding of the levels
    if chunk.has_dictionary_page or not {"PLAIN"} <= set(chunk.encodings) <= {"PLAIN", "RLE"}:
        return None, f"is encoded with {', '.join(chunk.encodings)}"
    start, value_count = chunk.data_page_offset, chunk.num_values
    stop = start + chunk.total_compressed_size
    values_start = stop - values_bytes(value_count, dtype)
    if value_count != row_count or start < 0 or not 0 < values_start - start <= _PAGE_HEADER_BYTES:
        return None, SEVERAL_PAGES
    if stop > file_bytes:
        return None, "reaches past the end of the file"
    return ChunkPlace(start, values_start, stop), ""


def values_bytes(row_count: int, dtype: np.dtype[Any]) -> int:
    """Return the size, in bytes, of the values of `row_count` rows in a file."""
    return -(-row_count // 8) if dtype == np.bool_ else row_count * dtype.itemsize


def page_problem(place: ChunkPlace, header: bytes) -> str:
    """Return why the values of a column chunk are not one array, judged by its page header; empty if they are one array."""
    page_type, page_bytes = _page_header(header)
    is_whole = page_type in (_DATA_PAGE, _DATA_PAGE_V2) and page_bytes == place.stop - place.values_start
    return "" if is_whole else SEVERAL_PAGES


def values_offset(buffer: Any, chunk: Any, column: Any, row_count: int, dtype: np.dtype[Any]) -> tuple[int, str]:
    """Return the offset of the values of a column chunk in a file that is in memory or mapped, or why they cannot be mapped.

    Returns:
        The offset in bytes and an empty text, or 0 and a clause for a message, such as "is compressed with ZSTD".
    """
    place, problem = chunk_place(chunk, column, row_count, dtype, len(buffer))
    if place is not None:
        problem = page_problem(place, bytes(buffer[place.page_start : place.values_start]))
    return (0, problem) if place is None or problem else (place.values_start, "")


def stored_values(buffer: Any, offset: int, row_count: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return the values of a column chunk as a read-only view of the bytes of its file; for a BOOLEAN column, the packed bytes."""
    if dtype == np.bool_:
        values: npt.NDArray[Any] = np.ndarray(-(-row_count // 8), np.uint8, buffer, offset)
    else:
        values = np.ndarray(row_count, dtype.newbyteorder("<"), buffer, offset)
    values.setflags(write=False)
    return values


def _page_header(data: bytes) -> tuple[int, int]:
    """Return the type and the compressed size of a page, in bytes; (-1, -1) if `data` is not a page header.

    Both numbers are among the first three fields of PageHeader, which are i32 in Thrift's compact protocol.
    """
    position, values = 0, []
    for _ in range(3):
        if position >= len(data) or data[position] != 0x15:
            # 0x15 announces a field of type i32 whose id follows the previous id
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
