"""Convert the columns of data files for a comparison, so that an episode's position in its dataset does not count.

`episode_index` and `index` become numbers relative to the episode, and `task_index` becomes the text of the task. Each field of a
struct becomes a column, so that the bytes and the path of a picture are compared separately. The results are the compared columns.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from episeek_pipelines.comparison.rows.column_values import type_text
from episeek_pipelines.parquet.arrow_types import is_any_list, is_binary, is_text, storage_type
from episeek_pipelines.parquet.numpy_values import large_strings, numpy_values
from episeek_schemas import lerobot

MAX_SMALL_BYTES = (1 << 31) - 1
"""Greatest size, in bytes, of an array with 32-bit offsets."""

PLACE_COLUMNS = (lerobot.EPISODE_INDEX, lerobot.INDEX)
"""Columns whose values change if the episode gets another number, or if other rows precede it in the dataset."""

TEXT_COLUMNS = (lerobot.TASK_INDEX, lerobot.SUBTASK_INDEX)
"""Columns of numbers that stand for texts. The texts are compared."""

LENGTH_COLUMNS = (*PLACE_COLUMNS, lerobot.FRAME_INDEX, lerobot.TIMESTAMP, *TEXT_COLUMNS)
"""Columns that record no measurements: they contain row numbers, times and numbers of tasks."""


def tells_episodes_apart(name: str, type_words: str) -> bool:
    """Return whether the values of a column usually differ between any two episodes, as measurements do.

    Flags and counters, such as `next.done`, may be equal in many episodes.
    """
    is_measured = any(word in type_words for word in ("float", "double", "binary", "list"))
    return is_measured and name not in LENGTH_COLUMNS


@dataclass(frozen=True, slots=True, eq=False)
class EpisodePlace:
    """The number of an episode, and the number of its first row in the dataset.

    For a table with rows of several episodes, both are arrays with one value for each row of the table.
    """

    number: int | npt.NDArray[np.int64]
    first_row: int | npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of tasks by `task_index`, and the texts of subtasks by `subtask_index`."""

    tasks: Mapping[int, str]
    subtasks: Mapping[int, str]

    def of(self, column: str) -> Mapping[int, str]:
        """Return the texts for the column `task_index` or `subtask_index`, by number; empty if the dataset has no such texts."""
        return self.tasks if column == lerobot.TASK_INDEX else self.subtasks


def column_types(schema: pa.Schema) -> tuple[tuple[str, str], ...]:
    """Return the name and the type of each compared column, sorted by name. `type_text` describes the types."""
    return tuple(sorted((name, type_text(dtype)) for name, dtype in _leaves(schema)))


def column_forms(schema: pa.Schema) -> tuple[tuple[str, str], ...]:
    """Return the name of each column and how it is stored beyond its type, sorted by name.

    The form says whether the length of lists is part of the type, and whether the file declares a feature for the column, without
    which `datasets` and LeRobot's StreamingLeRobotDataset decode no pictures.
    """
    try:
        features = json.loads((schema.metadata or {})[lerobot.DATA_FEATURES_KEY.encode()])["info"]["features"]
        declared = {*features}
    except (KeyError, TypeError, ValueError, RecursionError):
        declared = set()
    found = []
    for name in dict.fromkeys(schema.names):
        dtype = storage_type(schema.field(name).type)
        fixed = f"lists of fixed size {dtype.list_size}" if pa.types.is_fixed_size_list(dtype) else ""
        lists = fixed or ("lists of any size" if is_any_list(dtype) else "values")
        found.append((name, f"{lists}, {'a declared feature' if name in declared else 'no declared feature'}"))
    return tuple(sorted(found))


def compared_columns(table: pa.Table, place: EpisodePlace, texts: Texts) -> Iterator[tuple[str, pa.Array]]:
    """Yield the name and the values of each compared column, in any order.

    Args:
        table: The rows of one episode or of several episodes.
        place: The numbers of these episodes and of their first rows.
        texts: The texts of tasks and subtasks.
    """
    for name in dict.fromkeys(table.schema.names):
        values = _combined(table[name])
        if name in PLACE_COLUMNS and pa.types.is_integer(values.type):
            yield name, _relative(values, place.number if name == lerobot.EPISODE_INDEX else place.first_row)
        elif name in TEXT_COLUMNS and pa.types.is_integer(values.type):
            yield name, _texts_of(values, texts.of(name))
        elif pa.types.is_struct(storage_type(values.type)):
            storage = values.storage if isinstance(values, pa.ExtensionArray) else values
            for field, child in zip(storage.type, storage.flatten(), strict=True):
                yield f"{name}.{field.name}", child
            yield name, storage.is_valid()
        else:
            yield name, values


def place_columns(table: pa.Table) -> Iterator[tuple[str, pa.Array]]:
    """Yield the name and the stored values of the columns `episode_index` and `index`, if the table has them."""
    for name in PLACE_COLUMNS:
        if name in table.schema.names:
            yield name, _combined(table[name])


def _leaves(schema: pa.Schema) -> Iterator[tuple[str, pa.DataType]]:
    for name in dict.fromkeys(schema.names):
        dtype = storage_type(schema.field(name).type)
        if pa.types.is_struct(dtype):
            yield name, pa.bool_()
            for field in dtype:
                yield f"{name}.{field.name}", field.type
        else:
            yield name, dtype


def _combined(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    if isinstance(column.type, pa.ExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
    if column.nbytes >= MAX_SMALL_BYTES:
        column = column.cast(_large(column.type))
    return column.combine_chunks()


def _large(dtype: pa.DataType) -> pa.DataType:
    """Return a type for the same values with 64-bit instead of 32-bit offsets, such as large_string for string."""
    if is_text(dtype) or is_binary(dtype):
        return pa.large_string() if is_text(dtype) else pa.large_binary()
    if pa.types.is_struct(dtype):
        return pa.struct([field.with_type(_large(field.type)) for field in dtype])
    return pa.large_list(dtype.value_field.with_type(_large(dtype.value_type))) if pa.types.is_list(dtype) else dtype


def _relative(values: pa.Array, start: int | npt.NDArray[np.int64]) -> pa.Array:
    """Return a column of numbers minus `start`.

    Large uint64 values wrap around in the same way in both datasets, so that equal values stay equal.
    """
    numbers = numpy_values(values).astype(np.int64) - start
    array = pa.Int64Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(np.ascontiguousarray(numbers))])
    return array if not values.null_count else pc.if_else(values.is_valid(), array, pa.scalar(None, pa.int64()))


def _texts_of(values: pa.Array, texts: Mapping[int, str]) -> pa.Array:
    """Return the text that `texts` has for each number, after the letter "t".

    A number without a text becomes "n" and its digits.
    """
    numbers = numpy_values(values)
    found, positions = np.unique(numbers, return_inverse=True)
    named = large_strings([f"t{texts[n]}" if n in texts else f"n{n}" for n in found.tolist()])
    indices = pa.Int64Array.from_buffers(
        pa.int64(), len(positions), [None, pa.py_buffer(np.ascontiguousarray(positions, np.int64))]
    )
    array = named.take(indices)
    return array if not values.null_count else pc.if_else(values.is_valid(), array, pa.scalar(None, pa.large_string()))
