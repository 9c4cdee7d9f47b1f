"""The difference between recorded statistics and those of the rows that rounding explains, and any larger one.

What LeRobot writes passes, and so do other ways to compute the same:

- LeRobot sums the values of an episode in their own type, mostly float32, one after the other: the mean of n values is off by up
  to n units of roundoff of the largest (Higham, Accuracy and Stability of Numerical Algorithms, section 4.2); for 100,000 equal
  values, up to a fifth of that was measured;
- it takes the variance from the mean of squares and the square of the mean, each off by as much: what is compared is the variance,
  so that a deviation much smaller than the values may vanish;
- a deviation may be that of a sample, divided by n - 1;
- quantiles are LeRobot's estimates from 5,000 bins: values that were rounded when they were stored may be in a bin beside;
- other tools have other definitions of a quantile, as those of numpy.quantile: all lie between two samples.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from episeek_pipelines.statistics.names import LOWER, QUANTILES, UPPER, FeatureStatistics
from episeek_pipelines.statistics.quantiles import BINS
from episeek_schemas.features import declared_dtype

BoolArray = npt.NDArray[np.bool_]
Float64Array = npt.NDArray[np.float64]

EXTREMES_TOLERANCE: Final = 1e-3
"""Relative to the larger extreme, as rows may be stored in float16."""
ABSOLUTE_TOLERANCE: Final = 1e-7

_ROUNDOFF: Final[Mapping[str, float]] = {"float16": 2.0**-11}
_ROUNDOFF_OF_OTHERS: Final = 2.0**-24
_MOVED_BINS: Final = 3


def differing(name: str, recorded: Float64Array, truth: FeatureStatistics, rows: Float64Array, spec: Any) -> BoolArray:
    """Return where a statistic is not that of the rows; false where NaN is recorded.

    Args:
        name: The statistic.
        recorded: Shape [episodes, dimensions].
        truth: The statistics of the rows, of the same shape; `count` of [episodes, 1].
        rows: Numbers of rows that LeRobot sums at once; shape [episodes].
        spec: The entry of the feature in meta/info.json.
    """
    low, high = (truth[each].astype(np.float64) for each in ("min", "max"))
    expected = truth[name].astype(np.float64)
    roundoff = _ROUNDOFF.get(declared_dtype(spec) or "", _ROUNDOFF_OF_OTHERS)
    with np.errstate(all="ignore"):
        scale = np.maximum(np.abs(low), np.abs(high))
        rounding = 4 * roundoff + (rows[:, None] + 8) * _ROUNDOFF_OF_OTHERS
        if name == "count":
            return np.asarray(np.isfinite(recorded) & (recorded != expected))
        if name in ("min", "max"):
            return np.asarray(np.abs(recorded - expected) > EXTREMES_TOLERANCE * scale + ABSOLUTE_TOLERANCE)
        if name == "mean":
            return np.asarray(np.abs(recorded - expected) > rounding * scale + ABSOLUTE_TOLERANCE)
        if name == "std":
            tolerance = 3 * rounding * scale**2
            is_odd = np.isfinite(recorded)
            for divisor in (truth["count"], truth["count"] - 1):
                variance = expected**2 * truth["count"] / np.maximum(divisor, 1)
                is_odd &= np.abs(recorded**2 - variance) > tolerance
                is_odd &= np.abs(recorded - np.sqrt(variance)) > ABSOLUTE_TOLERANCE
            return np.asarray(is_odd | (recorded < 0))
        assert name in QUANTILES
        lowest = np.minimum(expected, truth.get(LOWER[name], expected))
        highest = np.maximum(expected, truth.get(UPPER[name], expected))
        tolerance = quantile_tolerance(low, high, rounding)
        return np.asarray((recorded < lowest - tolerance) | (recorded > highest + tolerance))


def quantile_tolerance(low: Float64Array, high: Float64Array, rounding: Any = EXTREMES_TOLERANCE) -> Float64Array:
    """Return how far a quantile may be from LeRobot's estimate, between these extremes."""
    scale = np.maximum(np.abs(low), np.abs(high))
    return np.asarray(_MOVED_BINS * (high - low) / BINS + rounding * scale + ABSOLUTE_TOLERANCE, np.float64)
