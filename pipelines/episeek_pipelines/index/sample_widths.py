"""The widths of the columns of `samples`: 32 bits, or 64 bits in all rows of a build with a span that needs them.

The rows of a file, in fragments and in digests, have the narrowest types that hold them, whatever build they come from. So a
file's rows are the same in every build, and a merge widens them where another file of the build needs it.
"""

import numpy as np
import numpy.typing as npt

from episeek_pipelines.index.units import Arrays
from episeek_schemas import sidecars


def narrowest(column: str, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return the values of a column of `samples` in its narrow type where this holds all of them, else in its wide type."""
    dtype = np.dtype(sidecars.SAMPLES.field(column).type.to_pandas_dtype())
    wide = sidecars.WIDE_SAMPLES.get(column)
    if wide is not None and len(values):
        limits = np.iinfo(dtype)
        if int(values.min()) < limits.min or int(values.max()) > limits.max:
            dtype = np.dtype(wide.to_pandas_dtype())
    return values.astype(dtype)


def wide_columns(arrays: Arrays) -> tuple[str, ...]:
    """Return the columns of `samples` that are wide in the arrays of a fragment."""
    return tuple(
        name
        for name, dtype in sidecars.WIDE_SAMPLES.items()
        if arrays[f"samples/{name}"].dtype == dtype.to_pandas_dtype()
    )
