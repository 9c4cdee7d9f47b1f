"""STA029: compare the statistics in `meta/stats.json` with the rows of all data files."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from episeek_pipelines.statistics.differences import differing, quantile_tolerance
from episeek_pipelines.statistics.names import QUANTILES
from episeek_pipelines.statistics.relative_actions import may_be_relative
from episeek_pipelines.verify.data.feature_ranges import dimension_text
from episeek_pipelines.verify.findings.arrays import BoolArray, Float64Array
from episeek_pipelines.verify.findings.episode_statistics import compared_features
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.ranges import FeatureRange, FeatureRanges
from episeek_pipelines.verify.findings.totals import FeatureTotal, FeatureTotals
from episeek_pipelines.verify.metadata.statistics_rules import number_array
from episeek_pipelines.verify.rules import STATISTICS
from episeek_schemas import layout, lerobot
from episeek_schemas.features import declared_shape

STATISTICS_REMEDY: Final = (
    "run `episeek repair SRC DST`: it recomputes the statistics of the dataset from the rows, unless the rows may be damaged, "
    "and keeps the statistics of pictures"
)
_RANK_TOLERANCE: Final = 1e-3
"""Largest accepted error in the rank of a recorded quantile, as a fraction of the rows.

LeRobot estimates quantiles from histograms.
"""

_Odd = tuple[str, Float64Array, Float64Array, BoolArray]
"""A statistic's name, its recorded values, the values of the rows, and whether they differ; arrays have shape [dimensions]."""


def recorded_quantiles(features: Mapping[str, Any], statistics: Mapping[str, Any] | None) -> dict[str, Float64Array]:
    """Return the quantiles in meta/stats.json by feature, shape [quantiles, dimensions], without features that lack a quantile.

    Args:
        features: `features` of meta/info.json.
        statistics: Parsed meta/stats.json; None if the dataset has none.
    """
    found: dict[str, Float64Array] = {}
    for name, width in compared_features(features).items():
        entry = (statistics or {}).get(name)
        if isinstance(entry, Mapping):
            arrays = [number_array(entry.get(each)) for each in QUANTILES]
            sized = [array.ravel() for array in arrays if array is not None and array.size == width]
            if len(sized) == len(QUANTILES):
                found[name] = np.stack(sized)
    return found


def check_global_statistics(
    ranges: FeatureRanges,
    totals: FeatureTotals,
    features: Mapping[str, Any],
    statistics: Mapping[str, Any],
    total_frames: int,
) -> Iterator[Finding]:
    """Yield one STA029 for each feature whose recorded statistics differ from the statistics of its rows.

    Three kinds of features are not compared: LeRobot's own columns, because LeRobot does not update their statistics when it merges
    datasets; an `action` that may have statistics of relative actions; and features that other findings report, for values that are
    not finite, for a number of rows other than `total_frames`, or for statistics of a wrong shape.

    Args:
        ranges: Smallest and largest values of all data files.
        totals: Further statistics of all data files.
        features: `features` of meta/info.json.
        statistics: Parsed meta/stats.json.
        total_frames: `total_frames` of meta/info.json.
    """
    for name, ranged in ranges.of.items():
        entry, spec = statistics.get(name), features.get(name)
        if name in lerobot.ROW_COLUMNS or not isinstance(entry, Mapping) or not isinstance(spec, Mapping):
            continue
        if not ranged.is_whole or ranged.row_count != total_frames or may_be_relative(name, statistics, total_frames):
            continue
        odd = list(_odd_extremes(entry, ranged, spec))
        total = totals.of.get(name)
        if total is not None and int(total.statistics["count"][0, 0]) == total_frames:
            odd += _odd_moments(entry, total, spec)
            odd += _odd_quantiles(entry, total)
        if odd:
            yield _finding(name, odd, spec)


def _finding(name: str, odd: list[_Odd], spec: Mapping[str, Any]) -> Finding:
    statistic, recorded, truth, is_odd = odd[0]
    first = int(np.argmax(is_odd))
    shape = declared_shape(spec) or (1,)
    place = f" in dimension {dimension_text(first, shape, spec)}" if shape != (1,) else ""
    others = f" (also {', '.join(each[0] for each in odd[1:])})" if len(odd) > 1 else ""
    return finding(
        STATISTICS,
        f"{statistic} {recorded[first]:.6g}{place}{others}",
        f"{truth[first]:.6g}, as in the rows",
        Location(file=layout.STATS_PATH, column=name),
        more=int(is_odd.sum()) - 1,
        remedy=STATISTICS_REMEDY,
    )


def _odd_extremes(entry: Mapping[str, Any], ranged: FeatureRange, spec: Mapping[str, Any]) -> Iterator[_Odd]:
    truth = {"min": ranged.minimum[None], "max": ranged.maximum[None]}
    for statistic in ("min", "max"):
        recorded = _recorded(entry, statistic, ranged.minimum.size)
        if recorded is not None:
            is_odd = differing(statistic, recorded[None], truth, np.ones(1), spec)[0]
            if is_odd.any():
                yield statistic, recorded, truth[statistic][0], is_odd


def _odd_moments(entry: Mapping[str, Any], total: FeatureTotal, spec: Mapping[str, Any]) -> Iterator[_Odd]:
    for statistic in ("mean", "std"):
        recorded = _recorded(entry, statistic, total.statistics["min"].size)
        if recorded is not None:
            rows = np.array([float(total.most_rows)])
            is_odd = differing(statistic, recorded[None], total.statistics, rows, spec)[0]
            if is_odd.any():
                yield statistic, recorded, total.statistics[statistic][0], is_odd


def _odd_quantiles(entry: Mapping[str, Any], total: FeatureTotal) -> Iterator[_Odd]:
    """Yield each recorded quantile that cannot be right in any of the ways in which LeRobot computes quantiles of a dataset.

    A value is accepted if it equals the weighted mean of the episodes' quantiles, or the smallest or largest of them, or if its
    rank among all rows is right.
    """
    low, high = (total.statistics[each][0].astype(np.float64) for each in ("min", "max"))
    tolerance = quantile_tolerance(low, high)
    row_count = int(total.statistics["count"][0, 0])
    for number, (statistic, share) in enumerate(QUANTILES.items()):
        recorded = _recorded(entry, statistic, low.size)
        if recorded is None:
            continue
        truth = total.statistics[statistic][0]
        readings = (truth, total.lowest[number], total.highest[number])
        is_odd = np.isfinite(recorded)
        for reading in readings:
            is_odd &= np.abs(recorded - reading) > tolerance
        if total.below.size:
            slack = _RANK_TOLERANCE * row_count + 1
            is_odd &= (total.below[number] > share * row_count + slack) | (
                total.until[number] < share * row_count - slack
            )
        if is_odd.any():
            yield statistic, recorded, truth, is_odd


def _recorded(entry: Mapping[str, Any], statistic: str, size: int) -> Float64Array | None:
    values = number_array(entry.get(statistic))
    return None if values is None or values.size != size else values.ravel()
