"""Convert Arrow columns to NumPy arrays, and NumPy arrays and texts to Arrow arrays, without importing pandas.

`to_numpy`, `array` and `scalar` of pyarrow import pandas if it is installed, which takes longer than reading a small dataset.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def numpy_values(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return the values of a column of integers, floats or booleans, shape [row_count], read-only; nulls are 0 or False."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    arrays = [_values(chunk) for chunk in chunks]
    empty = np.zeros(0, np.dtype(column.type.to_pandas_dtype()))
    values = arrays[0] if len(arrays) == 1 else np.concatenate([empty, *arrays])
    values.setflags(write=False)
    return values


def is_valid(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Return whether each row has a value, shape [row_count]."""
    return numpy_values(column.is_valid())


def float_values(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Return the values of a column of numbers as float64, shape [row_count], read-only; nulls are NaN."""
    values = numpy_values(column.cast(pa.float64()))
    if column.null_count:
        values = np.where(is_valid(column), values, np.nan)
        values.setflags(write=False)
    return values


def mask_of(is_kept: npt.NDArray[np.bool_]) -> pa.BooleanArray:
    """Return an array of booleans as an Arrow array, as pyarrow's `filter` takes it."""
    bits = np.packbits(is_kept, bitorder="little")
    return pa.BooleanArray.from_buffers(pa.bool_(), len(is_kept), [None, pa.py_buffer(bits)])


def positions_of(rows: npt.NDArray[np.int64]) -> pa.Int64Array:
    """Return row numbers as an Arrow array, the form that pyarrow's `take` accepts."""
    return pa.Int64Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows))])


def large_strings(texts: Sequence[str]) -> pa.LargeStringArray:
    """Return texts as an Arrow array."""
    encoded = [text.encode() for text in texts]
    stops = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return pa.LargeStringArray.from_buffers(len(encoded), pa.py_buffer(stops), pa.py_buffer(b"".join(encoded)))


def _values(chunk: pa.Array) -> npt.NDArray[Any]:
    if pa.types.is_boolean(chunk.type):
        return _values(chunk.cast(pa.uint8())).view(np.bool_)
    dtype = np.dtype(chunk.type.to_pandas_dtype())
    buffer = chunk.buffers()[1]
    if not len(chunk) or buffer is None:
        return np.zeros(len(chunk), dtype)
    values = np.frombuffer(buffer, dtype, count=len(chunk), offset=chunk.offset * dtype.itemsize)
    # the bytes of the buffer are undefined where a value is null
    return np.where(is_valid(chunk), values, np.zeros(1, dtype)) if chunk.null_count else values
