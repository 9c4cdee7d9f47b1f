"""The statistics over all rows of a feature, from one or several data files, for a comparison with meta/stats.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from episeek_pipelines.statistics.aggregate import aggregated
from episeek_pipelines.statistics.names import NAMES, QUANTILES, FeatureStatistics
from episeek_pipelines.verify.findings.arrays import Float64Array, Int64Array


@dataclass(frozen=True, slots=True, eq=False)
class FeatureTotal:
    """The statistics of the rows of one feature, and bounds for the quantiles that meta/stats.json records."""

    statistics: FeatureStatistics
    """The statistics over all rows, in arrays with one row, as for a single episode."""
    most_rows: int
    """Number of rows of the longest episode."""
    lowest: Float64Array
    """The smallest estimate of each quantile among the episodes; shape [quantiles, dimensions]."""
    highest: Float64Array
    """The largest estimate of each quantile among the episodes; shape [quantiles, dimensions]."""
    below: Int64Array
    """Number of rows with a value below each recorded quantile; shape [quantiles, dimensions], or empty without such quantiles."""
    until: Int64Array
    """Number of rows whose value is at most each recorded quantile; the same shape as `below`."""

    @classmethod
    def of_episodes(cls, statistics: FeatureStatistics, below: Int64Array, until: Int64Array) -> "FeatureTotal":
        """Return the statistics over all rows of some episodes.

        Args:
            statistics: The statistics of each episode.
            below: The counts `FeatureTotal.below` over the rows of all these episodes.
            until: The counts `FeatureTotal.until` over the rows of all these episodes.
        """
        estimates = np.stack([statistics[name].astype(np.float64) for name in QUANTILES])
        return cls(
            aggregated(statistics),
            int(statistics["count"].max()),
            estimates.min(axis=1),
            estimates.max(axis=1),
            below,
            until,
        )

    @classmethod
    def merged(cls, totals: Sequence["FeatureTotal"]) -> "FeatureTotal":
        """Return one total over the rows of all `totals`. The order of `totals` does not change a single bit of the result."""
        ordered = sorted(totals, key=lambda total: [total.statistics[name].tolist() for name in NAMES])
        stacked = {name: np.concatenate([total.statistics[name] for total in ordered]) for name in NAMES}
        return cls(
            aggregated(stacked),
            max(total.most_rows for total in totals),
            np.min([total.lowest for total in totals], axis=0),
            np.max([total.highest for total in totals], axis=0),
            np.sum([total.below for total in totals], axis=0),
            np.sum([total.until for total in totals], axis=0),
        )


@dataclass(frozen=True, slots=True, eq=False)
class FeatureTotals:
    """The totals of one or several data files, by feature. Features whose values could not be read have no entry."""

    of: Mapping[str, FeatureTotal] = field(default_factory=dict)

    @classmethod
    def merged(cls, parts: Sequence["FeatureTotals"]) -> "FeatureTotals":
        """Return the totals over the rows of all parts. Features that are not in every part are left out."""
        names = [name for name in (parts[0].of if parts else {}) if all(name in part.of for part in parts)]
        return cls({name: FeatureTotal.merged([part.of[name] for part in parts]) for name in names})
