"""Correct statistics: recompute statistics of numbers from the rows, and aggregate statistics of pictures over the episodes."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from episeek_pipelines.parquet.arrow_types import is_number
from episeek_pipelines.repair import registry
from episeek_pipelines.repair.draft import Draft
from episeek_pipelines.repair.repaired_rows import repaired_rows
from episeek_pipelines.repair.statistics_evidence import is_odd_quantile, may_be_damaged, numbers, recorded_statistics
from episeek_pipelines.repair.values import Outcome, Place, Refusal, Repair
from episeek_pipelines.statistics.aggregate import aggregated, stats_entry
from episeek_pipelines.statistics.differences import differing
from episeek_pipelines.statistics.episodes import EpisodeStatistics
from episeek_pipelines.statistics.names import NAMES, QUANTILES, FeatureStatistics
from episeek_pipelines.statistics.relative_actions import may_be_relative
from episeek_pipelines.statistics.scan import EpisodeScan, measured_features
from episeek_schemas import layout, lerobot

Float64Array = npt.NDArray[np.float64]

PICTURE_DTYPES: Final = ("image", "video")

_CODES: Final = (registry.EPISODE_STATISTICS.code, registry.STATISTICS.code)


def repair_episode_statistics(draft: Draft) -> Iterator[Outcome]:
    """Replace the recorded statistics of an episode if a value is missing or differs from the statistics of the episode's rows.

    Yield a repair for each statistic that changes, and a refusal for a feature whose rows may be damaged, because no recorded
    statistics agree with them.
    """
    measured = draft.measured
    code = registry.EPISODE_STATISTICS.code
    if measured is None:
        yield from _unmeasured(draft, code)
        return
    counts = measured.row_count.astype(np.float64)
    for feature, truth in measured.features.items():
        recorded = recorded_statistics(draft, feature, truth, counts)
        if not recorded:
            continue
        odd = _odd(recorded, truth, counts, draft.info["features"][feature])
        is_odd = np.any([each.any(axis=1) for each in odd.values()], axis=0)
        if not is_odd.any():
            continue
        if may_be_damaged(draft, feature, code):
            row = int(np.flatnonzero(is_odd)[0])
            name = next(name for name in NAMES if name in odd and odd[name][row].any())
            place = draft.place(row, lerobot.statistics_column(feature, name))
            yield _damage(code, place, name, recorded[name][row], truth[name][row])
            continue
        new = {name: values for name, values in truth.items() if name not in odd}
        for name, mask in odd.items():
            # A statistic that agrees with the rows stays as it is, down to the last bit.
            is_wrong = mask.any(axis=1, keepdims=True)
            new[name] = np.where(is_wrong, truth[name], np.nan_to_num(recorded[name])).astype(truth[name].dtype)
        draft.episode_statistics[feature] = new, is_odd
        for episode in np.flatnonzero(is_odd).tolist():
            for name in [name for name in NAMES if name in odd]:
                if odd[name][episode].any():
                    before, after = _plain(recorded[name][episode].tolist()), truth[name][episode].tolist()
                    place = draft.place(episode, lerobot.statistics_column(feature, name))
                    yield Repair(
                        code, place, before, after, f"{name} of the {int(counts[episode])} rows of the episode"
                    )


def repair_statistics(draft: Draft) -> Iterator[Outcome]:
    """Replace statistics in meta/stats.json if they are missing or differ from the statistics of the rows.

    Yield a repair for each statistic that changes, and a refusal for a feature whose rows may be damaged, because no recorded
    statistics agree with them.
    """
    measured = draft.measured
    code = registry.STATISTICS.code
    if measured is None:
        yield from _unmeasured(draft, code)
        return
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
        wrong = _wrong_names(draft, feature, truth)
        if not wrong:
            continue
        after = stats_entry(truth)
        known = entry if isinstance(entry, Mapping) else {}
        if may_be_damaged(draft, feature, code):
            name = wrong[0]
            yield _damage(code, place, name, numbers(known.get(name)), np.array(after[name], np.float64).ravel())
            continue
        # A statistic that agrees with the rows stays as it is, down to the last bit.
        draft.statistics[feature] = {**known, **{name: after[name] for name in wrong}}
        for name in wrong:
            before, proof = _plain(known.get(name)), f"{name} of all {int(measured.row_count.sum())} rows"
            if before != after[name]:
                yield Repair(code, place, before, after[name], proof)


def _unmeasured(draft: Draft, code: str) -> Iterator[Refusal]:
    """Yield a refusal of a repair that the user has named, because the rows of an episode are not proved to be complete.

    If the user has not named the repair, other refusals name the defects of these episodes.
    """
    if code in draft.requested and draft.has_all_episodes:
        open_ones = np.flatnonzero(~draft.proved)
        episode = int(open_ones[0]) if len(open_ones) else 0
        found = f"no statistics of the rows, since the number of rows of episode {episode} is not proved"
        readings = (
            "the rows are complete: repair their number first, or together with the statistics",
            "rows are missing",
        )
        yield Refusal(code, draft.place(episode), found, readings)


def _damage(code: str, place: Place, name: str, recorded: Float64Array | None, measured: npt.NDArray[Any]) -> Refusal:
    """Return the refusal to recompute statistics of a feature, because no recorded statistics support its rows.

    Args:
        code: The code of the refused repair.
        place: The feature in meta/stats.json.
        name: The name of a statistic that is missing or differs from the rows, such as "mean".
        recorded: The recorded values of this statistic; None if they are missing.
        measured: The values that the rows give.
    """
    if recorded is None or recorded.size != measured.size:
        found = f"no usable {name}, and statistics of episodes that differ from their rows"
    else:
        flat = recorded.ravel()
        with np.errstate(all="ignore"):
            first = int(np.nanargmax(np.where(np.isfinite(flat), np.abs(flat - measured), np.inf)))
        value = f"{name} {flat[first]:.6g}{f' in dimension {first}' if measured.size > 1 else ''}"
        found = f"{value}, but {measured[first]:.6g} in the rows, and no statistics that support the rows"
    readings = (
        f"the rows were changed after the statistics were recorded: recompute them with --only {','.join(_CODES)}",
        "the rows are damaged: restore their data file from a copy",
        "meta/episodes is damaged, and has the statistics of other episodes: restore it from a copy",
    )
    return Refusal(code, place, found, readings)


def _odd(
    recorded: Mapping[str, Float64Array], truth: FeatureStatistics, counts: Float64Array, spec: Any
) -> dict[str, npt.NDArray[np.bool_]]:
    """Return, for each statistic, a mask of the recorded values that are missing or wrong; shape [episodes, dimensions].

    `truth` has the right values, computed from the rows.
    """
    return {
        name: differing(name, values, truth, counts, spec) | ~np.isfinite(values) for name, values in recorded.items()
    }


def measure(draft: Draft) -> EpisodeStatistics | None:
    """Return the statistics of all episodes, computed from the repaired rows.

    The result is None unless the rows of every episode are proved to be complete.
    """
    if not draft.has_all_episodes or not draft.proved.all():
        return None
    wanted = measured_features(draft.info["features"])
    parts: list[EpisodeStatistics] = []
    paths = sorted({run.path for runs in draft.runs_of.values() for run in runs})
    if not all(is_number(draft.column_type(path, lerobot.EPISODE_INDEX)) for path in paths):
        return None
    for path in paths:
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


def _wrong_names(draft: Draft, feature: str, truth: FeatureStatistics) -> list[str]:
    """Return the names of the dataset's statistics of a feature that are missing or differ from the rows by more than rounding.

    If `count` is wrong, the statistics are those of other rows, and all of them are returned.

    Args:
        draft: The dataset.
        feature: The feature.
        truth: The feature's statistics in each episode, computed from the rows.
    """
    entry, spec = draft.statistics.get(feature), draft.info["features"][feature]
    if not isinstance(entry, Mapping):
        return list(NAMES)
    total = aggregated(truth)
    most = np.array([float(truth["count"].max())])
    known: dict[str, Float64Array] = {}
    for name in NAMES:
        recorded = numbers(entry.get(name))
        if recorded is not None and recorded.size == total[name].size and np.isfinite(recorded).all():
            known[name] = recorded.ravel()
    wrong = [name for name in NAMES if name not in known]
    rows = int(total["count"].ravel()[0])
    if feature in lerobot.ROW_COLUMNS:
        is_stale = "count" not in known or known["count"][0] != rows
        return list(NAMES) if is_stale else wrong
    # counts of the source, since those of other features may have been repaired by now
    if not wrong and may_be_relative(feature, {**(draft.evidence.statistics or {}), feature: entry}, rows):
        return []
    for name, flat in known.items():
        if name in QUANTILES:
            is_odd = is_odd_quantile(draft, feature, name, flat, truth)
        else:
            is_odd = differing(name, flat[None], total, most, spec)[0]
        if is_odd.any() or (name == "std" and ((flat == 0) & (total["std"][0] > 0)).any()):
            wrong.append(name)
    return list(NAMES) if "count" in wrong else [name for name in NAMES if name in wrong]


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
    arrays = [numbers(entry.get(name)) for name in NAMES]
    return all(array is not None and array.size and np.isfinite(array).all() for array in arrays)


def _plain(value: Any) -> Any:
    """Return recorded numbers in a form that JSON can represent: NaN and infinities become text."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
