"""Update the statistics of renumbered columns and the statistics of the dataset after episodes were left out."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from episeek_pipelines.repair import registry
from episeek_pipelines.repair.draft import Draft
from episeek_pipelines.repair.values import Outcome, Place, Refusal, Repair
from episeek_pipelines.statistics.aggregate import stats_entry
from episeek_pipelines.statistics.names import BASIC, NAMES, FeatureStatistics
from episeek_pipelines.words import counted
from episeek_schemas import layout, lerobot

_BY_EPISODE: Final = (lerobot.EPISODE_INDEX, lerobot.INDEX)
"""Features whose values change when episodes are renumbered."""


def repair_statistics_of_kept(draft: Draft) -> Iterator[Outcome]:
    """Aggregate the statistics of the dataset from the statistics of the remaining episodes, as LeRobot does.

    The recorded statistics of renumbered episodes get new values for `episode_index` and `index`. If the episodes have no
    statistics of a numeric feature, the dataset's statistics of the feature are computed from the rows. A feature without
    statistics from episodes or rows keeps its old statistics, and a refusal is yielded.
    """
    code = registry.LOST_EPISODES.code
    if not (draft.lost or draft.unlisted):
        return
    for feature in _BY_EPISODE:
        truth = None if draft.measured is None else draft.measured.features.get(feature)
        if truth is not None and _recorded(draft, feature):
            draft.episode_statistics[feature] = truth, draft.kept != np.arange(draft.row_count)
    made: list[str] = []
    for feature, known in draft.statistics.items():
        if feature in draft.sampled_features:
            continue
        held = _recorded(draft, feature)
        truth = None if draft.measured is None else draft.measured.features.get(feature)
        if all(name in held for name in BASIC):
            draft.statistics[feature] = stats_entry(held)
        elif truth is not None:
            draft.statistics[feature] = stats_entry({name: truth[name] for name in NAMES})
        elif isinstance(known, Mapping) and feature in draft.info["features"]:
            readings = (
                "these statistics include the lost episodes",
                "these statistics describe only the remaining episodes",
            )
            found = "statistics of the dataset, but no statistics of its episodes"
            yield Refusal(code, Place(layout.STATS_PATH, column=feature), found, readings)
            continue
        else:
            continue
        made.append(feature)
    if made:
        before = f"statistics of {counted(draft.row_count + len(draft.lost) + len(draft.unlisted), 'episode')}"
        after = f"statistics of the remaining {counted(draft.row_count, 'episode')}"
        proof = f"aggregated from the statistics of the remaining episodes, as LeRobot does: {', '.join(made)}"
        yield Repair(code, Place(layout.STATS_PATH), before, after, proof)


def _recorded(draft: Draft, feature: str) -> FeatureStatistics:
    """Return the statistics of a feature in meta/episodes, after all repairs so far, by name and with one row per episode.

    A statistic that is missing or not a finite number in any episode is left out.
    """
    new, is_new = draft.episode_statistics.get(feature, ({}, np.zeros(draft.row_count, np.bool_)))
    found: FeatureStatistics = {}
    for name in NAMES:
        column = draft.statistics_column(lerobot.statistics_column(feature, name))
        values = None if column is None else _numbers(column.to_pylist())
        if values is None or len(values) != draft.row_count:
            continue
        if name in new:
            mask = is_new.reshape(-1, *[1] * (values.ndim - 1))
            values = np.where(mask, new[name].reshape(values.shape), values)
        found[name] = values
    return found


def _numbers(values: list[Any]) -> npt.NDArray[Any] | None:
    try:
        found = np.array(values)
    except ValueError:
        return None
    is_usable = found.dtype.kind in "iufb" and found.ndim > 1 and np.isfinite(found).all()
    return found if is_usable else None
