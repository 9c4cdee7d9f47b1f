"""The statistics of all episodes, from those of each: LeRobot's aggregate, and its form in `meta/stats.json`.

As `lerobot.datasets.compute_stats.aggregate_feature_stats` makes them: the outermost extremes, the mean weighted by counts, the
standard deviation from the episodes' variances and the distances of their means, and quantiles as means weighted by counts.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from episeek_pipelines.statistics.names import QUANTILES, FeatureStatistics


def aggregated(statistics: FeatureStatistics) -> FeatureStatistics:
    """Return the statistics of all episodes of one feature, as those of one long episode: every array has one row.

    Aggregates can be aggregated again, as parts of a dataset are. Quantiles are left out where the episodes have none.
    """
    counts = statistics["count"].astype(np.float64).reshape(-1)
    total = counts.sum()
    mean = _weighted(statistics["mean"], counts)
    deviation = statistics["mean"].astype(np.float64) - mean
    variance = _weighted(statistics["std"].astype(np.float64) ** 2 + deviation**2, counts)
    result: FeatureStatistics = {
        "min": statistics["min"].min(axis=0),
        "max": statistics["max"].max(axis=0),
        "mean": mean,
        "std": np.sqrt(variance),
        "count": np.array([int(total)]),
        **{name: _weighted(statistics[name], counts) for name in QUANTILES if name in statistics},
    }
    return {name: values[np.newaxis] for name, values in result.items()}


def stats_entry(statistics: FeatureStatistics) -> dict[str, Any]:
    """Return the entry of one feature in `meta/stats.json`: nested lists by name of the statistic.

    Args:
        statistics: The statistics of each episode, which are aggregated.
    """
    return {name: values[0].tolist() for name, values in aggregated(statistics).items()}


def stats_document(statistics: Mapping[str, FeatureStatistics], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of `meta/stats.json` in which these features have the aggregates of their episodes.

    Args:
        statistics: Of each feature, of all episodes.
        known: The document as it is: entries of other features are kept, as those of pictures.
    """
    return {**known, **{feature: stats_entry(entry) for feature, entry in statistics.items()}}


def _weighted(values: npt.NDArray[Any], counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    weights = counts.reshape(-1, *[1] * (values.ndim - 1)) / max(counts.sum(), 1)
    return np.asarray((values.astype(np.float64) * weights).sum(axis=0), np.float64)
