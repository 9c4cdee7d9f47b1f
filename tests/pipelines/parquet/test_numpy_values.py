"""Arrow columns as NumPy arrays: the values of `to_numpy`, without pandas."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from episeek_pipelines.parquet.numpy_values import is_valid, large_strings, numpy_values

COLUMNS = {
    "integers": pa.array([1, -2, 3], pa.int32()),
    "floats": pa.array([1.5, float("nan"), -0.0], pa.float64()),
    "nulls": pa.array([None, 7, None], pa.uint16()),
    "flags": pa.array([True, None, False, True], pa.bool_()),
    "only_nulls": pa.nulls(3, pa.int64()),
    "empty": pa.array([], pa.float32()),
    "sliced": pa.array([0, 1, None, 3, 4], pa.int64()).slice(1, 3),
    "sliced_flags": pa.array([True, False, None, True, True], pa.bool_()).slice(1, 4),
    "chunks": pa.chunked_array([pa.array([1, 2], pa.int64()), pa.array([None, 4], pa.int64())]),
    "no_chunks": pa.chunked_array([], pa.int16()),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_values_are_those_of_pyarrow(name: str):
    column = COLUMNS[name]
    values = numpy_values(column)
    filled = pc.fill_null(column, False if pa.types.is_boolean(column.type) else 0)
    expected = filled.to_numpy() if isinstance(column, pa.ChunkedArray) else filled.to_numpy(zero_copy_only=False)
    np.testing.assert_array_equal(values, expected)
    assert values.dtype == np.dtype(column.type.to_pandas_dtype())
    assert not values.flags.writeable
    assert is_valid(column).tolist() == [value is not None for value in column.to_pylist()]


@pytest.mark.parametrize("texts", [[], ["a", "", "höhe"]])
def test_texts(texts: list[str]):
    assert large_strings(texts).equals(pa.array(texts, pa.large_string()))


def test_pandas_is_not_imported():
    script = (
        "import sys\n"
        "import pyarrow as pa\n"
        "from episeek_pipelines.parquet.numpy_values import large_strings, numpy_values\n"
        "numpy_values(large_strings(['a']).is_valid())\n"
        "sys.exit('pandas' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
