"""Read the recorded statistics of a feature, and judge from them whether the rows of the feature may be damaged."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from episeek_pipelines.parquet.arrow_types import is_any_list, is_number
from episeek_pipelines.parquet.numpy_values import float_values, numpy_values
from episeek_pipelines.repair.draft import Draft
from episeek_pipelines.repair.repaired_rows import repaired_rows
from episeek_pipelines.statistics.aggregate import aggregated
from episeek_pipelines.statistics.differences import differing, quantile_tolerance
from episeek_pipelines.statistics.names import NAMES, QUANTILES, FeatureStatistics
from episeek_pipelines.statistics.values import Unusable, sample_values
from episeek_schemas import lerobot

Float64Array = npt.NDArray[np.float64]

_RANK_TOLERANCE: Final = 1e-3
"""Allowed error of a recorded quantile, as a share of the rows: LeRobot only estimates quantiles, from histograms."""


def may_be_damaged(draft: Draft, feature: str, code: str) -> bool:
    """Return whether the rows of a feature may be damaged, because recorded statistics contradict them and none support them.

    The statistics of the episodes and those of the dataset are two records of the rows. If one record differs from the rows, and
    the other record agrees with the rows but not with the first record, the first record is wrong. Statistics that count another
    number of rows are out of date and contradict nothing. If the user names the repair (`--only`), the rows are taken as right.
    """
    measured = draft.measured
    assert measured is not None
    if code in draft.requested or feature in lerobot.ROW_COLUMNS:
        return False
    truth, spec = measured.features[feature], draft.info["features"][feature]
    counts = measured.row_count.astype(np.float64)
    recorded = recorded_statistics(draft, feature, truth, counts)
    episodes_differ, episodes_agree = False, False
    if recorded:
        finite = np.all([np.isfinite(values).all(axis=1) for values in recorded.values()], axis=0)
        odd = np.any(
            [differing(name, values, truth, counts, spec).any(axis=1) for name, values in recorded.items()], axis=0
        )
        is_current = recorded["count"][:, 0] == counts if "count" in recorded else np.ones(len(counts), np.bool_)
        episodes_differ, episodes_agree = bool((odd & is_current).any()), bool((finite & ~odd).all())
    whole = _differs(draft, feature, truth)
    if not episodes_differ:
        return whole is True and not episodes_agree
    if whole is not False or any(name not in recorded for name in NAMES):
        return True
    # statistics of the dataset that agree with the rows support them only if they contradict the statistics of the episodes
    held = {name: np.where(np.isfinite(values), values, truth[name]) for name, values in recorded.items()}
    return not _differs(draft, feature, held)


def _differs(draft: Draft, feature: str, statistics: FeatureStatistics) -> bool | None:
    """Return whether a feature's statistics in meta/stats.json differ from the aggregate of its episodes' statistics.

    The result is None if they cannot be compared: `count` is missing or is not the number of rows, as for relative actions, or all
    other statistics are missing or unusable.

    Args:
        draft: The dataset.
        feature: The feature.
        statistics: The statistics of the feature in each episode.
    """
    entry, total = draft.statistics.get(feature), aggregated(statistics)
    if not isinstance(entry, Mapping):
        return None
    count = numbers(entry.get("count"))
    if count is None or count.size != 1 or count.ravel()[0] != total["count"].ravel()[0]:
        return None
    most = np.array([float(statistics["count"].max())])
    spec = draft.info["features"][feature]
    is_compared = False
    for name in ("min", "max", "mean", "std"):
        recorded = numbers(entry.get(name))
        if recorded is None or recorded.size != total[name].size or not np.isfinite(recorded).all():
            continue
        is_compared = True
        if differing(name, recorded.ravel()[None], total, most, spec).any():
            return True
    for name in QUANTILES:
        recorded = numbers(entry.get(name))
        if recorded is not None and recorded.size == total[name].size and np.isfinite(recorded).all():
            is_compared = True
            if is_odd_quantile(draft, feature, name, recorded.ravel(), statistics).any():
                return True
    return False if is_compared else None


def recorded_statistics(
    draft: Draft, feature: str, truth: FeatureStatistics, counts: Float64Array
) -> dict[str, Float64Array]:
    """Return the recorded statistics of a feature in the form of `_recorded`, or an empty mapping if they cannot be compared.

    Statistics of LeRobot's own columns and of relative actions cannot be compared with the rows.
    """
    if feature in lerobot.ROW_COLUMNS:
        # LeRobot does not renumber these statistics when it merges datasets, and never normalizes by them.
        return {}
    recorded = _recorded(draft, feature, truth)
    if feature == lerobot.ACTION and "count" in recorded and (recorded["count"][:, 0] != counts).sum() > 1:
        # LeRobot counts the values of relative actions in chunks, not in rows.
        return {}
    return recorded


def _recorded(draft: Draft, feature: str, truth: FeatureStatistics) -> dict[str, Float64Array]:
    """Return the recorded statistics of a feature by name, each with one row per episode; NaN for episodes without a value.

    Args:
        draft: The dataset.
        feature: The feature.
        truth: The statistics computed from the rows, which give the number of values per episode.

    Returns:
        The statistics by name. A statistic has no entry if a file of meta/episodes lacks its column.
    """
    found: dict[str, Float64Array] = {}
    for name in NAMES:
        column = draft.statistics_column(lerobot.statistics_column(feature, name))
        if column is None:
            continue
        found[name] = _rows_of_numbers(column, truth[name].shape[1])
    return found


def _rows_of_numbers(column: pa.ChunkedArray, width: int) -> Float64Array:
    """Return a column of numbers or lists of numbers as an array of shape [rows, width].

    A row that has another length or contains anything but numbers becomes NaN.
    """
    kind = column.type
    if is_any_list(kind) and is_number(kind.value_type) and not column.null_count:
        lengths = numpy_values(pc.list_value_length(column))
        flat = float_values(pa.chunked_array([chunk.flatten() for chunk in column.chunks], kind.value_type))
        if (lengths == width).all():
            return flat.reshape(-1, width)
    values = np.full((len(column), width), np.nan)
    for row, value in enumerate(column.to_pylist()):
        numbers = value if isinstance(value, list) else [value]
        if len(numbers) == width and all(isinstance(each, (int, float)) for each in numbers):
            values[row] = numbers
    return values


def is_odd_quantile(
    draft: Draft, feature: str, name: str, recorded: Float64Array, truth: FeatureStatistics
) -> npt.NDArray[np.bool_]:
    """Return, for each dimension, whether a recorded quantile of the dataset differs from all usual definitions.

    The usual definitions are LeRobot's aggregate over the episodes, the smallest and the largest quantile of an episode, and the
    quantile of all rows together.
    """
    total = aggregated(truth)
    low, high = (total[each][0].astype(np.float64) for each in ("min", "max"))
    tolerance = quantile_tolerance(low, high)
    is_odd = np.isfinite(recorded)
    for reading in (total[name][0], truth[name].min(axis=0), truth[name].max(axis=0)):
        is_odd &= np.abs(recorded - reading) > tolerance
    if not is_odd.any():
        return is_odd
    below, until, count = np.zeros(recorded.size), np.zeros(recorded.size), 0
    for path in sorted({run.path for runs in draft.runs_of.values() for run in runs}):
        for table in repaired_rows(draft, path, [feature]):
            for batch in table.combine_chunks().to_batches():
                values = sample_values(batch.column(feature))
                if not isinstance(values, Unusable):
                    flat = values.reshape(-1, recorded.size)
                    below += (flat < recorded).sum(axis=0)
                    until += (flat <= recorded).sum(axis=0)
                    count += len(flat)
    share, slack = QUANTILES[name], _RANK_TOLERANCE * count + 1
    return np.asarray(is_odd & ((below > share * count + slack) | (until < share * count - slack)))


def numbers(value: Any) -> Float64Array | None:
    """Return a list of numbers, which may be nested, as an array; None for anything else."""
    try:
        return np.array(value, np.float64) if isinstance(value, list) else None
    except (TypeError, ValueError):
        return None
