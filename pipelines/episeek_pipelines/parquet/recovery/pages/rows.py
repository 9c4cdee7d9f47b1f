"""Decide whether a page can belong to a leaf column, and count the rows that begin in the page if it does."""

from dataclasses import dataclass
from typing import Final

from episeek_pipelines.parquet.recovery.pages.codecs import page_contents
from episeek_pipelines.parquet.recovery.pages.headers import Page
from episeek_pipelines.parquet.recovery.pages.leaves import (
    BOOLEAN,
    BYTE_ARRAY,
    DOUBLE,
    FIXED_LEN_BYTE_ARRAY,
    FLOAT,
    INT32,
    INT64,
    Leaf,
)
from episeek_pipelines.parquet.recovery.pages.levels import LevelCounts, count_levels
from episeek_pipelines.parquet.recovery.pages.source import Bytes

PLAIN, PLAIN_DICTIONARY, RLE, DELTA_BINARY_PACKED, DELTA_LENGTH, DELTA_STRINGS, RLE_DICTIONARY, BYTE_STREAM_SPLIT = (
    *(0, 2, 3, 5),
    *(6, 7, 8, 9),
)
"""Numbers of the Encodings in parquet.thrift."""

DICTIONARY_ENCODINGS: Final = frozenset({PLAIN_DICTIONARY, RLE_DICTIONARY})

_TYPES: Final = {
    RLE: {BOOLEAN},
    DELTA_BINARY_PACKED: {INT32, INT64},
    DELTA_LENGTH: {BYTE_ARRAY},
    DELTA_STRINGS: {BYTE_ARRAY, FIXED_LEN_BYTE_ARRAY},
    BYTE_STREAM_SPLIT: {INT32, INT64, FLOAT, DOUBLE, FIXED_LEN_BYTE_ARRAY},
}
"""The physical types of each encoding that does not allow all types (Encodings.md of apache/parquet-format)."""

_PREFIX_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class PageRows:
    """The rows that begin in a data page."""

    row_count: int
    begins_row: bool
    """Whether the first value of the page is the first of its row."""


def dictionary_fits(page: Page, leaf: Leaf) -> bool:
    """Return whether a dictionary page may belong to a leaf column."""
    if leaf.physical_type == BOOLEAN or page.encoding not in (PLAIN, PLAIN_DICTIONARY):
        return False
    if leaf.value_bytes is None:
        return page.uncompressed_bytes >= page.value_count * _PREFIX_BYTES
    return page.uncompressed_bytes == page.value_count * leaf.value_bytes


def header_fits(page: Page, leaf: Leaf, *, has_dictionary: bool) -> bool:
    """Return whether a data page may belong to a leaf column, judged by its encoding and the sizes of its minimum and maximum."""
    width = 1 if leaf.physical_type == BOOLEAN else leaf.value_bytes
    if width is not None and page.bounds is not None and any(len(bound) != width for bound in page.bounds):
        return False
    return _encoding_fits(page, leaf, has_dictionary=has_dictionary)


def rows_of_page(source: Bytes, page: Page, leaf: Leaf, codec: int, *, has_dictionary: bool) -> PageRows | None:
    """Return the rows of a data page of a leaf column, or None if the page cannot belong to the column.

    Levels are counted. If the type has a fixed size, the bytes of the values have to fit their number. Values are not decoded.
    """
    if not header_fits(page, leaf, has_dictionary=has_dictionary):
        return None
    if page.kind == "data v2":
        return _rows_of_version_2(source, page, leaf)
    if not leaf.max_repetition_level and leaf.value_bytes is None and leaf.physical_type != BOOLEAN:
        # each value is a row, so the header suffices; these pages may be large and are not read
        return PageRows(page.value_count, begins_row=True)
    data = page_contents(source, page, codec)
    if data is None:
        return None
    position = 0
    counts: list[LevelCounts | None] = []
    for max_level in (leaf.max_repetition_level, leaf.max_definition_level):
        if not max_level:
            counts.append(None)
            continue
        length = int.from_bytes(data[position : position + _PREFIX_BYTES], "little")
        start = position + _PREFIX_BYTES
        position = start + length
        if position > len(data):
            return None
        found = count_levels(data[start:position], max_level=max_level, value_count=page.value_count)
        if found is None:
            return None
        counts.append(found)
    if not _values_fit(page, leaf, counts[1], data[position : position + 1], len(data) - position):
        return None
    return _rows(page, counts[0])


def _rows_of_version_2(source: Bytes, page: Page, leaf: Leaf) -> PageRows | None:
    position = page.body_start
    counts: list[LevelCounts | None] = []
    for max_level, length in zip((leaf.max_repetition_level, leaf.max_definition_level), page.level_bytes, strict=True):
        stop = position + length
        if stop > page.stop or bool(length) > bool(max_level):
            return None
        found = None
        if max_level:
            found = count_levels(source.read_at(position, stop), max_level=max_level, value_count=page.value_count)
            if found is None:
                return None
        counts.append(found)
        position = stop
    values = page.uncompressed_bytes - sum(page.level_bytes)
    if values < 0 or not _values_fit(page, leaf, counts[1], None, values):
        return None
    rows = _rows(page, counts[0])
    # in version 2, a row never continues on the next page
    return rows if rows.row_count == page.row_count and rows.begins_row else None


def _encoding_fits(page: Page, leaf: Leaf, *, has_dictionary: bool) -> bool:
    if page.encoding == PLAIN:
        return True
    if page.encoding in DICTIONARY_ENCODINGS:
        return has_dictionary
    return leaf.physical_type in _TYPES.get(page.encoding, ())


def _values_fit(page: Page, leaf: Leaf, definitions: LevelCounts | None, first: bytes | None, size: int) -> bool:
    """Return whether the values of a page, judged by their number and encoding, can have a total size of `size` bytes.

    `first` is the first of these bytes, or None if the bytes are compressed.
    """
    present = page.value_count if definitions is None else definitions.counts[-1]
    if page.encoding in DICTIONARY_ENCODINGS:
        # the first byte is the bit width of the indices
        return not present or (size > 0 and (first is None or first[0] <= 32))
    if page.encoding == PLAIN and leaf.physical_type == BOOLEAN:
        return size == (present + 7) // 8
    if leaf.value_bytes is not None and page.encoding in (PLAIN, BYTE_STREAM_SPLIT):
        return size == present * leaf.value_bytes
    if page.encoding == PLAIN:
        return size >= present * _PREFIX_BYTES
    return True


def _rows(page: Page, repetitions: LevelCounts | None) -> PageRows:
    if repetitions is None:
        return PageRows(page.value_count, begins_row=True)
    return PageRows(repetitions.counts[0], begins_row=repetitions.first == 0)
