"""The leaf columns of a declared Arrow schema, and the parts of a footer that follow from the schema alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from episeek_pipelines.parquet.recovery.pages.thrift import Struct, read_struct

BOOLEAN, INT32, INT64, INT96, FLOAT, DOUBLE, BYTE_ARRAY, FIXED_LEN_BYTE_ARRAY = range(8)
"""Physical types of parquet.thrift."""

_VALUE_BYTES: Final = {INT32: 4, INT64: 8, INT96: 12, FLOAT: 4, DOUBLE: 8}
_OPTIONAL: Final = 1
_REPEATED: Final = 2


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf column of a Parquet schema."""

    path: tuple[str, ...]
    physical_type: int
    value_bytes: int | None
    """Size of a plain value in bytes; None for byte arrays, and for booleans, which take one bit."""
    max_definition_level: int
    max_repetition_level: int

    @property
    def name(self) -> str:
        """The path of the column as text, with dots."""
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Template:
    """The parts of a footer that pyarrow writes for an Arrow schema."""

    schema: pa.Schema
    footer: Struct
    """FileMetaData of a file without rows: schema elements, key-value metadata with `ARROW:schema`, column orders."""
    leaves: tuple[Leaf, ...]


def template_of(schema: pa.Schema) -> Template:
    """Return the footer that pyarrow writes for a schema, and its leaf columns in their order within a row group."""
    stream = BytesIO()
    pq.ParquetWriter(stream, schema).close()
    data = stream.getvalue()
    length = int.from_bytes(data[-8:-4], "little")
    footer, _ = read_struct(data[-8 - length : -8], max_values=1 << 24)
    return Template(schema, footer, _leaves(footer[2][1][1]))


def _leaves(elements: Sequence[Any]) -> tuple[Leaf, ...]:
    """Return the leaf columns of a schema, given its elements in depth-first order."""
    leaves: list[Leaf] = []
    # for each incomplete group: the number of missing children, its path, and its two maximum levels
    groups: list[tuple[int, tuple[str, ...], int, int]] = []
    for number, element in enumerate(elements):
        while groups and not groups[-1][0]:
            groups.pop()
        path: tuple[str, ...] = ()
        definition = repetition = 0
        if number:
            missing, path, definition, repetition = groups[-1]
            groups[-1] = missing - 1, path, definition, repetition
            path = (*path, element[4][1].decode())
            kind = element[3][1]
            definition += kind in (_OPTIONAL, _REPEATED)
            repetition += kind == _REPEATED
        if 1 not in element:
            groups.append((element[5][1], path, definition, repetition))
            continue
        physical = element[1][1]
        width = element[2][1] if physical == FIXED_LEN_BYTE_ARRAY else _VALUE_BYTES.get(physical)
        leaves.append(Leaf(path, physical, width, definition, repetition))
    return tuple(leaves)
