"""The names of the statistics that LeRobot records for each feature."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy.typing as npt

BASIC: Final = ("min", "max", "mean", "std", "count")
"""The statistics of a feature in an episode that LeRobot datasets of version 2.1 and later contain."""

QUANTILES: Final[Mapping[str, float]] = MappingProxyType(
    {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
)
"""The quantiles that version 3.0 adds, as shares from 0 to 1 (`lerobot.datasets.compute_stats.DEFAULT_QUANTILES`)."""

NAMES: Final = (*BASIC, *QUANTILES)
"""All statistics, in the order in which LeRobot writes them."""

LOWER: Final[Mapping[str, str]] = MappingProxyType({name: f"{name}_lower" for name in QUANTILES})
"""For each quantile, the name of its lower bound: a sample that is not above the quantile by any usual definition."""

UPPER: Final[Mapping[str, str]] = MappingProxyType({name: f"{name}_upper" for name in QUANTILES})
"""For each quantile, the name of its upper bound: a sample that is not below the quantile by any usual definition."""

FeatureStatistics = dict[str, npt.NDArray[Any]]
"""The statistics of one feature by name: arrays of shape [episodes, ...] in the order of the episodes.

`count` has the shape [episodes, 1].
"""
