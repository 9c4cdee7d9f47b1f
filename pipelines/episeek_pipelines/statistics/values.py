"""Read columns of numbers, or of nested lists of numbers, as arrays of the samples from which statistics are computed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from episeek_pipelines.parquet.arrow_types import is_any_list, is_number, storage_type
from episeek_pipelines.parquet.numpy_values import numpy_values


@dataclass(frozen=True, slots=True)
class Unusable:
    """The result for a column from which no statistics can be computed."""

    reason: str
    """A noun phrase that names the reason, for example "null"."""


def sample_values(column: pa.Array) -> npt.NDArray[Any] | Unusable:
    """Return the numbers of a column as an array of shape [rows, samples per row, dimensions], or an `Unusable` with the reason.

    A row with a number or a flat list is one sample. In nested lists, the innermost lists are the samples: LeRobot keeps the last
    dimension of an array and flattens the others (`RunningQuantileStats.update`). The array has the type of the column, except that
    float16 becomes float32, because float16 cannot represent the edges of 5,000 bins.
    """
    rows = len(column)
    sizes: list[int] = []
    values = _storage(column)
    while is_any_list(values.type):
        if values.null_count:
            return Unusable("null")
        if pa.types.is_fixed_size_list(values.type):
            sizes.append(values.type.list_size)
        else:
            lengths = numpy_values(pc.list_value_length(values))
            if len(lengths) and int(lengths.min()) != int(lengths.max()):
                return Unusable(f"lists of {int(lengths.min())} to {int(lengths.max())} values")
            sizes.append(int(lengths[0]) if len(lengths) else 0)
        values = _storage(values.flatten())
    kind = values.type
    if not (is_number(kind) or pa.types.is_boolean(kind)):
        return Unusable(f"values of type {kind}")
    if values.null_count:
        return Unusable("null")
    if 0 in sizes and rows:
        return Unusable("empty lists")
    if pa.types.is_float16(kind):
        values = values.cast(pa.float32())
    width = sizes[-1] if sizes else 1
    inner = int(np.prod(sizes[:-1], dtype=np.int64))
    return numpy_values(values).reshape(rows, inner, width)


def _storage(values: pa.Array) -> pa.Array:
    return values.storage if storage_type(values.type) is not values.type else values
