"""The statistics of all rows of a feature, of one or several data files, and what its recorded quantiles may be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from episeek_pipelines.statistics.aggregate import aggregated
from episeek_pipelines.statistics.names import NAMES, QUANTILES, FeatureStatistics
from episeek_pipelines.verify.findings.arrays import Float64Array, Int64Array


@dataclass(frozen=True, slots=True, eq=False)
class FeatureTotal:
    """The statistics of the rows of one feature."""

    statistics: FeatureStatistics
    """As those of one episode: every array has one row."""
    most_rows: int
    """Rows of the longest episode."""
    lowest: Float64Array
    """The smallest estimate of each quantile among the episodes; shape [quantiles, dimensions]."""
    highest: Float64Array
    below: Int64Array
    """Rows with values below each recorded quantile of the dataset; shape [quantiles, dimensions], or empty."""
    until: Int64Array
    """Rows with values no higher."""

    @classmethod
    def of_episodes(cls, statistics: FeatureStatistics, below: Int64Array, until: Int64Array) -> "FeatureTotal":
        """Return the total of some episodes."""
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
        """Return the total of all of them, in an order that does not depend on theirs."""
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
    """Totals by feature, of one data file. A feature that could not be measured is missing."""

    of: Mapping[str, FeatureTotal] = field(default_factory=dict)

    @classmethod
    def merged(cls, parts: Sequence["FeatureTotals"]) -> "FeatureTotals":
        """Return the totals of the features that all parts have."""
        names = [name for name in (parts[0].of if parts else {}) if all(name in part.of for part in parts)]
        return cls({name: FeatureTotal.merged([part.of[name] for part in parts]) for name in names})
