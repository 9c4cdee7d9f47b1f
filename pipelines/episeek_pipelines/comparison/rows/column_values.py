"""Compute digests of column values that do not depend on how the values are stored, and find the rows in which columns differ.

Values are compared bit for bit: NaN equals a NaN with the same bits, 0.0 differs from -0.0, a null differs from an empty text or
list, and an int32 differs from an int64. Types that can hold the same values are treated alike: lists, large lists and fixed-size
lists; strings and large strings; plain and dictionary-encoded values. Therefore a digest does not depend on row groups, encodings
or the writer of the file.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from episeek_pipelines.parquet.arrow_types import is_any_list, is_binary, is_text, storage_type
from episeek_pipelines.parquet.numpy_values import is_valid, mask_of, numpy_values, positions_of

DIGEST_BYTES = 16

BoolArray = npt.NDArray[np.bool_]
Int64Array = npt.NDArray[np.int64]


def type_text(dtype: pa.DataType) -> str:
    """Return a description of a type. All types that can hold the same values have the same description."""
    dtype = storage_type(dtype)
    if pa.types.is_dictionary(dtype):
        return type_text(dtype.value_type)
    if is_any_list(dtype):
        return f"list<{type_text(dtype.value_type)}>"
    if pa.types.is_struct(dtype):
        return f"struct<{', '.join(f'{field.name}: {type_text(field.type)}' for field in dtype)}>"
    if is_text(dtype):
        return "string"
    return "binary" if is_binary(dtype) else str(dtype)


def digests_of(values: pa.Array, bounds: Sequence[int]) -> list[bytes]:
    """Return a digest of each run of rows of an array.

    Args:
        values: The column.
        bounds: The first row of each run, ascending, and the row after the last run.
    """
    rows = np.asarray(bounds, np.int64)
    parts = [
        (part.valid, part.data, part.starts[rows].tolist())
        for part in _parts(_plain(values), np.arange(len(values) + 1, dtype=np.int64))
    ]
    start = hashlib.blake2b(type_text(values.type).encode(), digest_size=DIGEST_BYTES)
    counts = np.diff(rows).tolist()
    return [_digest(start.copy(), parts, number, count) for number, count in enumerate(counts)]


def digest_of(values: pa.Array) -> bytes:
    """Return a digest of all rows of an array."""
    return digests_of(values, [0, len(values)])[0]


def differing_rows(a: pa.Array, b: pa.Array) -> BoolArray:
    """Return, for each row, whether two arrays differ in it; shape [rows].

    The arrays must have the same length, and types with the same `type_text`.
    """
    return _differing(_plain(a), _plain(b))


def _plain(values: pa.Array) -> pa.Array:
    """Return an array with the same values but without its extension type and dictionary encoding. Nested arrays keep theirs.

    A map array is copied, so that its `keys` and `items` contain only its own rows.
    """
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if pa.types.is_map(values.type):
        # `keys` and `items` of a sliced array return the keys and items of the whole array
        return values.take(positions_of(np.arange(len(values))))
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """One of the arrays that make up the values of a column: bytes of values, or a mask of values that are not null."""

    starts: Int64Array
    """The index in `data` or `valid` at which the values of each row begin, and finally the index at which all values end."""
    data: memoryview | None = None
    valid: BoolArray | None = None
    """For a mask, whether each value is not null; None if there are no nulls."""


def _parts(values: pa.Array, rows: Int64Array) -> Iterator[_Part]:
    """Yield the arrays that make up the values of a column. Row k of the column has the values `[rows[k], rows[k + 1])`.

    The type of the column determines the number and the order of the arrays. The length of each array follows from the arrays
    before it. Therefore two ranges of rows have the same digest only if all their arrays are the same.
    """
    if pa.types.is_null(values.type):
        return
    yield _Part(rows, valid=is_valid(values) if values.null_count else None)
    if pa.types.is_struct(values.type):
        for child in _fields(values):
            yield from _parts(child, rows)
    elif is_any_list(values.type) or pa.types.is_map(values.type):
        lengths = _lengths(values)
        yield _Part(rows * 8, memoryview(lengths.tobytes()))
        yield from _parts(_plain(_elements(values)), _sums(lengths)[rows])
    elif is_text(values.type) or is_binary(values.type):
        large = _large(values)
        lengths = _lengths(large)
        yield _Part(rows * 8, memoryview(lengths.tobytes()))
        yield _Part(_sums(lengths)[rows], _bytes_of(large))
    else:
        width = 1 if pa.types.is_boolean(values.type) else int(values.type.bit_width) // 8
        yield _Part(rows * width, memoryview(_fixed(values)))


def _digest(
    digest: Any, parts: Sequence[tuple[BoolArray | None, memoryview | None, list[int]]], number: int, row_count: int
) -> bytes:
    """Return the digest of the rows of one run, a range of consecutive rows of the column.

    Args:
        digest: A hash object that has been updated with the type of the column.
        parts: (`valid`, `data`, the positions at which the runs begin) of each part of the column. See `_Part`.
        number: The number of the run.
        row_count: The number of rows of the run.
    """
    digest.update(row_count.to_bytes(8, "little"))
    for valid, data, starts in parts:
        start, stop = starts[number], starts[number + 1]
        if data is not None:
            digest.update(data[start:stop])
        elif valid is None or valid[start:stop].all():
            digest.update(b"\0")
        else:
            digest.update(b"\1" + np.packbits(valid[start:stop]).tobytes())
    result: bytes = digest.digest()
    return result


def _sums(lengths: Int64Array) -> Int64Array:
    """Return the cumulative sums of the lengths, beginning with 0 and ending with their total."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


def _differing(a: pa.Array, b: pa.Array) -> BoolArray:
    if pa.types.is_null(a.type) or not len(a):
        return np.zeros(len(a), np.bool_)
    valid_a, valid_b = is_valid(a), is_valid(b)
    differs: BoolArray = valid_a != valid_b
    both = valid_a & valid_b
    if pa.types.is_struct(a.type):
        for one, other in zip(_fields(a), _fields(b), strict=True):
            differs |= both & _differing(one, other)
        return differs
    if is_any_list(a.type) or pa.types.is_map(a.type):
        lengths = _lengths(a), _lengths(b)
        differs |= both & (lengths[0] != lengths[1])
        # elements are compared only if both lists have the same length, so that each element has a counterpart
        same = both & (lengths[0] == lengths[1])
        chosen = [
            _elements(side).filter(mask_of(np.repeat(same, length)))
            for side, length in zip((a, b), lengths, strict=True)
        ]
        rows = np.repeat(np.arange(len(a)), np.where(same, lengths[0], 0))
        elements = _differing(_plain(chosen[0]), _plain(chosen[1]))
        differs[rows[elements]] = True
        return differs
    if is_text(a.type) or is_binary(a.type):
        unequal = pc.not_equal(_large(a).cast(pa.large_binary()), _large(b).cast(pa.large_binary()))
        differs |= both & numpy_values(unequal)
        return differs
    one, other = (np.frombuffer(_fixed(side), np.uint8).reshape(len(a), -1) for side in (a, b))
    differs |= both & (one != other).any(axis=1)
    return differs


def _fields(values: pa.Array) -> Iterator[pa.Array]:
    """Yield the fields of an array of structs. The fields of a null struct are null."""
    for child in values.flatten():
        yield _plain(child)


def _lengths(values: pa.Array) -> Int64Array:
    """Return the length of each list, text or byte string; 0 for nulls."""
    if pa.types.is_fixed_size_list(values.type):
        lengths = np.full(len(values), values.type.list_size, np.int64)
    elif is_any_list(values.type) or pa.types.is_map(values.type):
        lengths = np.diff(numpy_values(values.offsets)).astype(np.int64)
    else:
        lengths = np.diff(_offsets(values))
    return np.where(is_valid(values), lengths, 0).astype("<i8") if values.null_count else lengths.astype("<i8")


def _elements(values: pa.Array) -> pa.Array:
    """Return the elements of all lists in `values`, one list after the other. A list that is null has no elements."""
    if pa.types.is_map(values.type):
        return pa.StructArray.from_arrays([values.keys, values.items], ["key", "value"])
    return values.flatten()


def _large(values: pa.Array) -> pa.Array:
    large = pa.large_string() if is_text(values.type) else pa.large_binary()
    return values if values.type == large else values.cast(large)


def _offsets(values: pa.Array) -> Int64Array:
    return (
        np.frombuffer(values.buffers()[1], np.int64, len(values) + 1, values.offset * 8)
        if len(values)
        else np.zeros(1, np.int64)
    )


def _bytes_of(values: pa.Array) -> memoryview:
    """Return the concatenated bytes of the values of a large string or large binary array, without nulls."""
    if values.null_count:
        values = values.drop_null()
    if not len(values) or values.buffers()[2] is None:
        return memoryview(b"")
    offsets = _offsets(values)
    return memoryview(values.buffers()[2])[int(offsets[0]) : int(offsets[-1])]


def _fixed(values: pa.Array) -> bytes:
    """Return the bytes of values of a fixed width, with zeros in place of nulls."""
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8())
    width = int(values.type.bit_width) // 8
    buffer = values.buffers()[1]
    if not len(values) or buffer is None:
        return bytes(len(values) * width)
    data = np.frombuffer(buffer, np.uint8, len(values) * width, values.offset * width).reshape(len(values), width)
    if values.null_count:
        data = np.where(is_valid(values)[:, None], data, 0).astype(np.uint8)
    return data.tobytes()
