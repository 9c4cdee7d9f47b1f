"""Make a footer for recovered row groups: FileMetaData of parquet.thrift, without statistics."""

from collections.abc import Sequence
from typing import Any, Final

from episeek_pipelines.parquet.recovery.layout import Chunk, GroupLayout
from episeek_pipelines.parquet.recovery.pages.headers import MAGIC, Page
from episeek_pipelines.parquet.recovery.pages.leaves import Template
from episeek_pipelines.parquet.recovery.pages.rows import RLE
from episeek_pipelines.parquet.recovery.pages.thrift import BINARY, I32, I64, LIST, STRUCT, write_struct

_VERSION, _ELEMENTS, _ROW_COUNT, _GROUPS, _METADATA, _CREATED_BY, _ORDERS = range(1, 8)
_COPIED: Final = (_VERSION, _ELEMENTS, _METADATA, _CREATED_BY, _ORDERS)

Fields = dict[int, tuple[int, Any]]


def footer_of(template: Template, groups: Sequence[GroupLayout], codec: int) -> bytes:
    """Return the bytes that follow the last row group of a file: the footer, its length and the magic number.

    Schema elements, key-value metadata and column orders are the same as pyarrow writes for the schema.
    """
    fields: Fields = {number: template.footer[number] for number in _COPIED if number in template.footer}
    fields[_ROW_COUNT] = I64, sum(group.row_count for group in groups)
    fields[_GROUPS] = LIST, (STRUCT, [_row_group(group, codec) for group in groups])
    data = write_struct(fields)
    return data + len(data).to_bytes(4, "little") + MAGIC


def _row_group(group: GroupLayout, codec: int) -> Fields:
    return {
        1: (LIST, (STRUCT, [{2: (I64, 0), 3: (STRUCT, _column(chunk, codec))} for chunk in group.chunks])),
        2: (I64, sum(_uncompressed_bytes(chunk.parts) for chunk in group.chunks)),
        3: (I64, group.row_count),
        5: (I64, group.chunks[0].parts[0].start),
        6: (I64, sum(_compressed_bytes(chunk.parts) for chunk in group.chunks)),
    }


def _column(chunk: Chunk, codec: int) -> Fields:
    data = [page for page in chunk.parts if page.kind != "dictionary"]
    encodings = sorted({page.encoding for page in chunk.parts} | {RLE})
    fields: Fields = {
        1: (I32, chunk.leaf.physical_type),
        2: (LIST, (I32, encodings)),
        3: (LIST, (BINARY, [name.encode() for name in chunk.leaf.path])),
        4: (I32, codec),
        5: (I64, sum(page.value_count for page in data)),
        6: (I64, _uncompressed_bytes(chunk.parts)),
        7: (I64, _compressed_bytes(chunk.parts)),
        9: (I64, data[0].start),
    }
    if chunk.parts[0].kind == "dictionary":
        fields[11] = I64, chunk.parts[0].start
    return fields


def _uncompressed_bytes(pages: Sequence[Page]) -> int:
    return sum(page.header_bytes + page.uncompressed_bytes for page in pages)


def _compressed_bytes(pages: Sequence[Page]) -> int:
    return pages[-1].stop - pages[0].start
