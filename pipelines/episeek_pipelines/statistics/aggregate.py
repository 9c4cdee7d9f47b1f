"""Functions that combine the statistics of single episodes into the dataset's statistics, as `meta/stats.json` contains them.

The formulas are those of `lerobot.datasets.compute_stats.aggregate_feature_stats`. The minimum is the smallest minimum of an
episode, and the maximum is the largest maximum. The mean is the mean of the episodes' means, weighted by their counts. The variance
is the weighted mean of the episodes' variances plus the squared distances of their means from the common mean. A quantile is the
weighted mean of the episodes' quantiles.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from episeek_pipelines.statistics.names import QUANTILES, FeatureStatistics


def aggregated(statistics: FeatureStatistics) -> FeatureStatistics:
    """Combine the statistics of a feature over all episodes into arrays with one row.

    The result can be combined again with the results of other parts of the dataset. It lacks the quantiles that `statistics` lacks.
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
    """Return the entry of one feature in `meta/stats.json`: a dict from the name of each statistic to nested lists.

    Args:
        statistics: The feature's statistics in each episode, which this function combines.
    """
    return {name: values[0].tolist() for name, values in aggregated(statistics).items()}


def stats_document(statistics: Mapping[str, FeatureStatistics], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of `meta/stats.json` with new entries for some features, computed from all episodes.

    Args:
        statistics: The statistics of every episode, by feature.
        known: The old content of `meta/stats.json`. Entries of features that `statistics` lacks are kept, for example of cameras.
    """
    return {**known, **{feature: stats_entry(entry) for feature, entry in statistics.items()}}


def _weighted(values: npt.NDArray[Any], counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    weights = counts.reshape(-1, *[1] * (values.ndim - 1)) / max(counts.sum(), 1)
    return np.asarray((values.astype(np.float64) * weights).sum(axis=0), np.float64)
