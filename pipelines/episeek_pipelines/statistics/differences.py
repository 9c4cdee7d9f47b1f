"""Find recorded statistics that differ from the rows by more than rounding or a different usual definition explains.

Statistics that LeRobot writes pass, and so do statistics by other usual definitions:

- Mean: LeRobot adds the values of an episode one after the other in their own type, mostly float32. The mean of n values is off by
  at most n times the unit roundoff of the largest value (Higham, Accuracy and Stability of Numerical Algorithms, section 4.2). For
  100,000 equal values, up to a fifth of this bound was measured.
- Standard deviation: LeRobot subtracts the square of the mean from the mean of the squares, and both have this error. Therefore
  variances are compared. A deviation that is much smaller than the values may be recorded as 0.
- Standard deviation with n - 1: dividing by n - 1 instead of n passes, too.
- Quantiles from bins: LeRobot counts values in 5,000 bins. A value that was rounded when it was stored may fall into a
  neighbouring bin.
- Quantiles by other definitions, for example by numpy.quantile: every value between the two neighbouring samples passes.
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
"""Largest allowed error of a minimum or maximum, relative to the larger of their absolute values. Rows may be stored in float16."""
ABSOLUTE_TOLERANCE: Final = 1e-7

_ROUNDOFF: Final[Mapping[str, float]] = {"float16": 2.0**-11}
_ROUNDOFF_OF_OTHERS: Final = 2.0**-24
_MOVED_BINS: Final = 3


def differing(name: str, recorded: Float64Array, truth: FeatureStatistics, rows: Float64Array, spec: Any) -> BoolArray:
    """Return whether each recorded value of a statistic differs from the rows; False for NaN. Shape [episodes, dimensions].

    Args:
        name: The name of the statistic.
        recorded: The recorded values; shape [episodes, dimensions].
        truth: The statistics of the rows by name, of the same shape. `count` has the shape [episodes, 1].
        rows: The number of rows over which LeRobot adds values. The allowed rounding error grows with it. Shape [episodes].
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
    """Return the largest allowed difference between a quantile and LeRobot's estimate of it.

    Args:
        low: The minimum of the values.
        high: The maximum of the values, of the same shape.
        rounding: The allowed rounding error, relative to the larger absolute value of minimum and maximum.
    """
    scale = np.maximum(np.abs(low), np.abs(high))
    return np.asarray(_MOVED_BINS * (high - low) / BINS + rounding * scale + ABSOLUTE_TOLERANCE, np.float64)
