"""The statistics that LeRobot keeps of a feature, by name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy.typing as npt

BASIC: Final = ("min", "max", "mean", "std", "count")
"""The statistics that version 2.1 has of each feature of each episode."""

QUANTILES: Final[Mapping[str, float]] = MappingProxyType(
    {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
)
"""The quantiles that version 3.0 adds (`lerobot.datasets.compute_stats.DEFAULT_QUANTILES`)."""

NAMES: Final = (*BASIC, *QUANTILES)
"""All statistics, in the order in which LeRobot writes them."""

LOWER: Final[Mapping[str, str]] = MappingProxyType({name: f"{name}_lower" for name in QUANTILES})
"""By quantile, the name of the largest sample that no definition of the quantile is below."""

UPPER: Final[Mapping[str, str]] = MappingProxyType({name: f"{name}_upper" for name in QUANTILES})
"""By quantile, the name of the smallest sample that no definition of the quantile is above."""

FeatureStatistics = dict[str, npt.NDArray[Any]]
"""One feature's statistics by name; each of shape [episodes, ...], in the order of the episodes; `count` of [episodes, 1]."""
