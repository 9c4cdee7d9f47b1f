"""Read the parts of a Parquet file before its footer: pages with their headers, and copies of column metadata.

Source: parquet.thrift of apache/parquet-format, structs PageHeader and ColumnChunk. Arrow 17 and earlier versions write a copy of
each column chunk's metadata after its pages. Footers, page indexes and Bloom filters are not mistaken for such parts, since their
first fields have other types.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from episeek_pipelines.parquet.recovery.pages.source import Bytes
from episeek_pipelines.parquet.recovery.pages.thrift import (
    BINARY,
    I32,
    I64,
    LIST,
    STRUCT,
    TRUE,
    CutStructError,
    MalformedStructError,
    read_struct,
)

MAGIC: Final = b"PAR1"

FOOTER: Final = "the remains of a footer, which holds no rows"
"""The `reason` of a `PartList` if a footer, or the beginning of one, follows its last part."""

PageKind = Literal["data", "dictionary", "data v2"]

_KINDS: Final[dict[int, tuple[PageKind, int]]] = {0: ("data", 5), 2: ("dictionary", 7), 3: ("data v2", 8)}
"""The kind of page, and the field id of the header of this kind, for each PageType."""

_FIRST_WINDOW: Final = 1 << 12
_MAX_HEADER_BYTES: Final = 1 << 26
"""Greatest size of a page header in bytes. It may contain the smallest and the largest value of the page, which may be pictures."""
_MAX_VALUES: Final = 1 << 12
_MAX_BOUND_BYTES: Final = 1 << 14
"""Greatest total size, in bytes, of the two extremes of a page. Longer extremes are ignored, since the extremes of all pages are
kept in memory.

pyarrow writes no extremes above 4 KiB.
"""


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its header at `[start, body_start)`, its contents at `[body_start, stop)`."""

    start: int
    body_start: int
    stop: int
    kind: PageKind
    uncompressed_bytes: int
    """Uncompressed size of the contents, in bytes."""
    value_count: int
    """Number of values, including nulls; for a dictionary page, the number of its entries."""
    encoding: int
    """Number of the Encoding in parquet.thrift."""
    row_count: int | None
    """Number of rows; None except for data pages of version 2."""
    level_bytes: tuple[int, int]
    """Sizes, in bytes, of the repetition levels and of the definition levels; (0, 0) except for data pages of version 2."""
    is_compressed: bool
    bounds: tuple[bytes, bytes] | None
    """The smallest and the largest value in plain encoding; None unless the header contains both in full."""

    @property
    def header_bytes(self) -> int:
        """Size of the header in bytes."""
        return self.body_start - self.start


@dataclass(frozen=True, slots=True)
class ChunkCopy:
    """The bytes `[start, stop)` of a file, which contain a copy of a column chunk's metadata directly after the chunk."""

    start: int
    stop: int
    path: tuple[str, ...]
    physical_type: int
    codec: int
    value_count: int
    compressed_bytes: int
    """Size of the chunk's pages and their headers, in bytes."""


Part = Page | ChunkCopy


@dataclass(frozen=True, slots=True)
class PartList:
    """The parts of a file, up to the first byte at which no part begins."""

    parts: Sequence[Part]
    stop: int
    """The end of the last part."""
    reason: str
    """A noun phrase for the bytes after the last part; empty if the last part ends at the end of the file."""


def read_parts(source: Bytes) -> PartList:
    """Return the pages and copies of column metadata of a file, from byte 4 to the first incomplete or invalid part."""
    parts: list[Part] = []
    position = len(MAGIC)
    while position < source.size:
        try:
            part = _read_part(source, position)
        except MalformedStructError as error:
            return PartList(parts, position, str(error))
        if part.stop > source.size:
            size, held = part.stop - position, source.size - position
            return PartList(parts, position, f"a page of {size:,} bytes that is cut off after {held:,}")
        parts.append(part)
        position = part.stop
    return PartList(parts, position, "")


def _begins_a_footer(data: bytes) -> bool:
    """Return whether bytes begin with FileMetaData: its field `version` (1 or 2), and its field `schema`, a list of structs.

    In a page header and in a copy of column metadata, the field after the first one is a number.
    """
    fields = bytes([1 << 4 | I32, 1 << 4 | LIST])
    return len(data) >= 4 and data[0:3:2] == fields and data[1] in (1 << 1, 2 << 1) and data[3] & 15 == STRUCT


def _read_part(source: Bytes, start: int) -> Part:
    window = _FIRST_WINDOW
    while True:
        stop = min(start + window, source.size)
        data = source.read_at(start, stop)
        if _begins_a_footer(data):
            raise MalformedStructError(FOOTER)
        try:
            fields, length = read_struct(data, max_values=_MAX_VALUES)
        except CutStructError:
            if stop == source.size:
                raise CutStructError("a page header that is cut off, or another struct") from None
            if window >= _MAX_HEADER_BYTES:
                raise MalformedStructError(f"no page header within {_MAX_HEADER_BYTES} bytes") from None
            window *= 8
            continue
        return _page(fields, start, length) if 1 in fields else _chunk_copy(fields, start, length)


def _page(fields: dict[int, tuple[int, Any]], start: int, length: int) -> Page:
    kind_number = _field(fields, 1, I32)
    if kind_number not in _KINDS:
        raise MalformedStructError(f"a page of type {kind_number}")
    kind, header_id = _KINDS[kind_number]
    if not {*fields} <= {1, 2, 3, 4, header_id}:
        raise MalformedStructError("a page header with fields of another kind of page")
    uncompressed, compressed = _size(fields, 2), _size(fields, 3)
    header = _field(fields, header_id, STRUCT)
    value_count = _size(header, 1)
    levels, row_count, is_compressed = (0, 0), None, True
    if kind == "data v2":
        _size(header, 2)
        row_count, encoding = _size(header, 3), _field(header, 4, I32)
        levels = _size(header, 6), _size(header, 5)
        is_compressed = header.get(7, (TRUE, True))[1] is not False
    else:
        encoding = _field(header, 2, I32)
    if kind == "data" and (_field(header, 3, I32), _field(header, 4, I32)) != (_RLE, _RLE):
        raise MalformedStructError("a page whose levels have an encoding other than RLE")
    statistics = header.get({"data": 5, "data v2": 8}.get(kind, 0), (STRUCT, {}))[1]
    return Page(
        start=start,
        body_start=start + length,
        stop=start + length + compressed,
        kind=kind,
        uncompressed_bytes=uncompressed,
        value_count=value_count,
        encoding=encoding,
        row_count=row_count,
        level_bytes=levels,
        is_compressed=is_compressed,
        bounds=_bounds(statistics),
    )


_RLE: Final = 3


def _bounds(statistics: Any) -> tuple[bytes, bytes] | None:
    if not isinstance(statistics, dict):
        raise MalformedStructError("statistics that are not a struct")
    # the flags 7 and 8 say whether max_value and min_value are exact
    if any(statistics.get(number, (0,))[0] != BINARY for number in (5, 6)):
        return None
    if any(statistics.get(number, (TRUE,))[0] != TRUE for number in (7, 8)):
        return None
    low, high = statistics[6][1], statistics[5][1]
    return (low, high) if len(low) + len(high) <= _MAX_BOUND_BYTES else None


def _chunk_copy(fields: dict[int, tuple[int, Any]], start: int, length: int) -> ChunkCopy:
    if {*fields} != {2, 3}:
        raise MalformedStructError("a struct that is not a page header")
    _field(fields, 2, I64)
    metadata = _field(fields, 3, STRUCT)
    item_kind, path = _field(metadata, 3, LIST)
    if item_kind != BINARY and path:
        raise MalformedStructError("column metadata whose path is not a list of names")
    try:
        names = tuple(name.decode() for name in path)
    except UnicodeDecodeError:
        raise MalformedStructError("column metadata whose path is not UTF-8") from None
    return ChunkCopy(
        start=start,
        stop=start + length,
        path=names,
        physical_type=_field(metadata, 1, I32),
        codec=_field(metadata, 4, I32),
        value_count=_field(metadata, 5, I64),
        compressed_bytes=_field(metadata, 7, I64),
    )


def _field(fields: Any, number: int, kind: int) -> Any:
    found, value = fields.get(number, (0, None))
    if found != kind:
        is_so = f"field {number} has type {found}, not {kind}" if found else f"field {number} is missing"
        raise MalformedStructError(f"a struct that is not a page header: {is_so}")
    return value


def _size(fields: Any, number: int) -> int:
    value: int = _field(fields, number, I32)
    if value < 0:
        raise MalformedStructError(f"a page header with {value} in field {number}")
    return value
