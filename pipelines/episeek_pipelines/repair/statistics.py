"""Correct statistics: recompute statistics of numbers from the rows, and aggregate statistics of pictures over the episodes."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from episeek_pipelines.parquet.arrow_types import is_any_list, is_number
from episeek_pipelines.parquet.numpy_values import float_values, numpy_values
from episeek_pipelines.repair import registry
from episeek_pipelines.repair.draft import Draft
from episeek_pipelines.repair.repaired_rows import repaired_rows
from episeek_pipelines.repair.values import Outcome, Place, Refusal, Repair
from episeek_pipelines.statistics.aggregate import aggregated, stats_entry
from episeek_pipelines.statistics.differences import differing, quantile_tolerance
from episeek_pipelines.statistics.episodes import EpisodeStatistics
from episeek_pipelines.statistics.names import NAMES, QUANTILES, FeatureStatistics
from episeek_pipelines.statistics.scan import EpisodeScan, measured_features
from episeek_pipelines.statistics.values import Unusable, sample_values
from episeek_schemas import layout, lerobot

Float64Array = npt.NDArray[np.float64]

PICTURE_DTYPES: Final = ("image", "video")

_RANK_TOLERANCE: Final = 1e-3
"""Allowed error of a recorded quantile, as a share of the rows: LeRobot only estimates quantiles, from histograms."""


def repair_episode_statistics(draft: Draft) -> Iterator[Outcome]:
    """Replace the recorded statistics of an episode if a value is missing or differs from the statistics of the episode's rows."""
    measured = draft.measured
    if measured is None:
        return
    code = registry.EPISODE_STATISTICS.code
    counts = measured.row_count.astype(np.float64)
    for feature, truth in measured.features.items():
        if feature in lerobot.ROW_COLUMNS:
            # LeRobot does not renumber these statistics when it merges datasets, and never normalizes by them.
            continue
        recorded = _recorded(draft, feature, truth)
        if not recorded:
            continue
        spec = draft.info["features"][feature]
        if feature == lerobot.ACTION and "count" in recorded and (recorded["count"][:, 0] != counts).sum() > 1:
            # LeRobot counts the values of relative actions in chunks, not in rows.
            continue
        odd = {
            name: differing(name, values, truth, counts, spec) | ~np.isfinite(values)
            for name, values in recorded.items()
        }
        is_odd = np.any([each.any(axis=1) for each in odd.values()], axis=0)
        if not is_odd.any():
            continue
        draft.episode_statistics[feature] = truth, is_odd
        for episode in np.flatnonzero(is_odd).tolist():
            name = next(name for name in NAMES if name in odd and odd[name][episode].any())
            column = lerobot.statistics_column(feature, name)
            before, after = recorded[name][episode].tolist(), truth[name][episode].tolist()
            proof = f"{name} of the {int(counts[episode])} rows of the episode"
            yield Repair(code, draft.place(episode, column), _plain(before), after, proof)


def repair_statistics(draft: Draft) -> Iterator[Outcome]:
    """Replace statistics in meta/stats.json if they are missing or differ from the statistics of the rows."""
    measured = draft.measured
    if measured is None:
        return
    code = registry.STATISTICS.code
    for feature, spec in draft.info["features"].items():
        place = Place(layout.STATS_PATH, column=feature)
        entry = draft.statistics.get(feature)
        if isinstance(spec, Mapping) and spec.get("dtype") in PICTURE_DTYPES:
            if feature not in draft.sampled_features and not _is_whole(entry):
                yield from _repair_pictures(draft, feature, place)
            continue
        truth = measured.features.get(feature)
        if truth is None:
            continue
        problem = _problem(draft, feature, entry, truth, spec)
        if problem is None:
            continue
        name, before = problem
        draft.statistics[feature] = stats_entry(truth)
        after = draft.statistics[feature][name]
        proof = f"{name} of all {int(measured.row_count.sum())} rows"
        yield Repair(code, place, before, after, proof)


def measure(draft: Draft) -> EpisodeStatistics | None:
    """Return the statistics of all episodes, computed from the repaired rows.

    The result is None unless the rows of every episode are proved to be complete.
    """
    if not draft.has_all_episodes or not draft.proved.all():
        return None
    wanted = measured_features(draft.info["features"])
    parts: list[EpisodeStatistics] = []
    for path in sorted({run.path for runs in draft.runs_of.values() for run in runs}):
        schema = draft.evidence.data[path].schema
        names = [name for name in wanted if schema is not None and schema.names.count(name) == 1]
        scan = EpisodeScan(names)
        for table in repaired_rows(draft, path, list(dict.fromkeys([lerobot.EPISODE_INDEX, *names]))):
            for batch in table.combine_chunks().to_batches():
                parts += scan.add(batch)
        parts += scan.finish()
    whole = EpisodeStatistics.joined(parts)
    order = np.argsort(whole.episode_index, kind="stable")
    found = whole.take(order)
    if not np.array_equal(found.episode_index, np.arange(draft.row_count)):
        return None
    return found


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


def _problem(draft: Draft, feature: str, entry: Any, truth: FeatureStatistics, spec: Any) -> tuple[str, Any] | None:
    """Return the name and the recorded value of a dataset statistic that is missing or wrong; None if all agree with the rows.

    Args:
        draft: The dataset.
        feature: The feature.
        entry: The feature's entry in meta/stats.json.
        truth: The feature's statistics in each episode, computed from the rows.
        spec: The feature's entry in meta/info.json.
    """
    if not isinstance(entry, Mapping):
        return "mean", None
    total = aggregated(truth)
    most = np.array([float(truth["count"].max())])
    for name in NAMES:
        recorded = _numbers(entry.get(name))
        if recorded is None or recorded.size != total[name].size or not np.isfinite(recorded).all():
            return name, _plain(entry.get(name))
    if feature in lerobot.ROW_COLUMNS:
        return None
    count = _numbers(entry["count"])
    if feature == lerobot.ACTION and count is not None and count.ravel()[0] != total["count"].ravel()[0]:
        # LeRobot counts the values of relative actions in chunks, not in rows.
        return None
    for name in NAMES:
        recorded = _numbers(entry[name])
        assert recorded is not None
        flat = recorded.ravel()
        if name in QUANTILES:
            is_odd = _is_odd_quantile(draft, feature, name, flat, truth)
        else:
            is_odd = differing(name, flat[None], total, most, spec)[0]
        if is_odd.any() or (name == "std" and ((flat == 0) & (total["std"][0] > 0)).any()):
            return name, _plain(entry[name])
    return None


def _is_odd_quantile(
    draft: Draft, feature: str, name: str, recorded: Float64Array, truth: FeatureStatistics
) -> npt.NDArray[np.bool_]:
    """Return which dimensions of a recorded dataset quantile agree with no usual definition; shape [dimensions].

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


def _repair_pictures(draft: Draft, feature: str, place: Place) -> Iterator[Outcome]:
    """Aggregate a camera's picture statistics over the episodes. Yield a refusal if an episode has no complete statistics."""
    code = registry.STATISTICS.code
    held: FeatureStatistics = {}
    for name in NAMES:
        column = draft.statistics_column(lerobot.statistics_column(feature, name))
        try:
            values = None if column is None else np.array(column.to_pylist(), np.float64)
        except (TypeError, ValueError):
            values = None
        if values is None or len(values) != draft.row_count or not np.isfinite(values).all():
            found = "no complete statistics of pictures, neither for the dataset nor for its episodes"
            yield Refusal(
                code, place, found, ("compute them from pictures with --picture-statistics", "train without them")
            )
            return
        held[name] = values
    before = draft.statistics.get(feature)
    draft.statistics[feature] = stats_entry(held)
    proof = f"aggregated from the statistics of the {draft.row_count} episodes, as LeRobot does"
    yield Repair(code, place, None if before is None else "incomplete", "all statistics", proof)


def _is_whole(entry: Any) -> bool:
    if not isinstance(entry, Mapping):
        return False
    arrays = [_numbers(entry.get(name)) for name in NAMES]
    return all(array is not None and array.size and np.isfinite(array).all() for array in arrays)


def _numbers(value: Any) -> Float64Array | None:
    try:
        return np.array(value, np.float64) if isinstance(value, list) else None
    except (TypeError, ValueError):
        return None


def _plain(value: Any) -> Any:
    """Return recorded numbers in a form that JSON can represent: NaN and infinities become text."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
