"""Choose the widths of the columns of `samples`: 32 bits, or 64 bits in all rows if one row of the build needs 64 bits.

In fragments and digests, the rows of a file have the narrowest types that can represent them. So a file has the same rows in
every build. A merge converts them to 64 bits if another file of the build needs 64 bits.
"""

import numpy as np
import numpy.typing as npt

from episeek_pipelines.index.units import Arrays
from episeek_schemas import sidecars


def narrowest(column: str, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return the values of a column of `samples` in the column's usual type, or in its 64-bit type if a value does not fit."""
    dtype = np.dtype(sidecars.SAMPLES.field(column).type.to_pandas_dtype())
    wide = sidecars.WIDE_SAMPLES.get(column)
    if wide is not None and len(values):
        limits = np.iinfo(dtype)
        if int(values.min()) < limits.min or int(values.max()) > limits.max:
            dtype = np.dtype(wide.to_pandas_dtype())
    return values.astype(dtype)


def wide_columns(arrays: Arrays) -> tuple[str, ...]:
    """Return the names of the columns of `samples` that have their 64-bit type in `arrays`, the rows of one video file."""
    return tuple(
        name
        for name, dtype in sidecars.WIDE_SAMPLES.items()
        if arrays[f"samples/{name}"].dtype == dtype.to_pandas_dtype()
    )
