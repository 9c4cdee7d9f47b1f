"""Compare the smallest and the largest value of each column chunk with those recorded in its page headers.

In a page without a checksum, an altered value is noticed only if the altered or the original value is an extreme of its chunk.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from episeek_pipelines.parquet.arrow_types import is_any_list, is_binary, is_text, storage_type
from episeek_pipelines.parquet.recovery.layout import Chunk

Read = Callable[[bytes], Any]
Bounds = tuple[Any, Any]

_UNSIGNED: Final = {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}
_FLOATS: Final = {4: "<f", 8: "<d"}


class ExtremeChecks:
    """Compares the extremes of the columns of one row group, batch by batch, with the extremes recorded in its page headers.

    A chunk is skipped if one of its pages records no extremes, or if its type is not a number, a text or bytes.

    Args:
        schema: The schema of the file.
        chunks: The column chunks, in the order of the leaf columns.
    """

    def __init__(self, schema: pa.Schema, chunks: Sequence[Chunk]) -> None:
        self._expected: list[Bounds | None] = []
        types = [kind for field in schema for kind in _leaf_types(field.type)]
        if len(types) == len(chunks):
            self._expected = [_expected(kind, chunk) for kind, chunk in zip(types, chunks, strict=True)]
        self._found: list[Bounds | None] = [None] * len(self._expected)
        self._names = [chunk.leaf.name for chunk in chunks]

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the next rows of the row group."""
        if not self._expected:
            return
        leaves = [leaf for column in batch.columns for leaf in _leaf_values(column)]
        for number, (leaf, expected) in enumerate(zip(leaves, self._expected, strict=True)):
            bounds = None if expected is None else _extremes(leaf)
            if bounds is not None:
                before = self._found[number] or bounds
                self._found[number] = min(before[0], bounds[0]), max(before[1], bounds[1])

    def problem(self) -> str:
        """Return a noun phrase for the first column whose extremes differ; empty if none does."""
        for name, expected, found in zip(self._names, self._expected, self._found, strict=False):
            # -0.0 equals 0.0 here, since writers may record either zero as an extreme
            if expected is not None and found != expected:
                return f"values of column {name!r} whose extremes differ from those in its page headers"
        return ""


def _expected(kind: pa.DataType, chunk: Chunk) -> Bounds | None:
    read = _reader(kind)
    pages = [page for page in chunk.parts if page.kind != "dictionary" and page.value_count]
    bounds = [page.bounds for page in pages]
    if read is None or not bounds or None in bounds:
        return None
    try:
        lows, highs = [read(low) for low, _ in filter(None, bounds)], [read(high) for _, high in filter(None, bounds)]
    except struct.error:
        return None
    return min(lows), max(highs)


def _reader(kind: pa.DataType) -> Read | None:
    """Return a function that decodes a PLAIN encoded value of a type, or None for a type whose values are not compared."""
    if is_text(kind) or is_binary(kind):
        is_view = pa.types.is_string_view(kind) or pa.types.is_binary_view(kind)
        return None if is_view else bytes
    if pa.types.is_floating(kind) and kind.byte_width in _FLOATS:
        return lambda data: struct.unpack(_FLOATS[kind.byte_width], data)[0]
    if pa.types.is_integer(kind):
        # narrow integers are stored in 4 bytes
        width = max(kind.byte_width, 4)
        form = _UNSIGNED[width] if pa.types.is_unsigned_integer(kind) else _UNSIGNED[width].lower()
        return lambda data: struct.unpack(form, data)[0]
    return None


def _extremes(values: pa.Array) -> Bounds | None:
    if pa.types.is_floating(values.type):
        values = values.filter(pc.invert(pc.is_nan(values)))
    found = pc.min_max(values.cast(pa.large_binary()) if is_text(values.type) else values)
    low, high = found["min"].as_py(), found["max"].as_py()
    return None if low is None else (low, high)


def _leaf_types(kind: pa.DataType) -> Iterator[pa.DataType]:
    kind = storage_type(kind)
    if pa.types.is_struct(kind):
        for field in kind:
            yield from _leaf_types(field.type)
    elif is_any_list(kind):
        yield from _leaf_types(kind.value_type)
    else:
        yield kind


def _leaf_values(values: pa.Array) -> Iterator[pa.Array]:
    """Yield the values of each leaf column below a column, without the values under a null."""
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if pa.types.is_struct(values.type):
        for child in values.flatten():
            yield from _leaf_values(child)
    elif is_any_list(values.type):
        yield from _leaf_values(values.flatten())
    else:
        yield values
