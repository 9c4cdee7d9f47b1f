"""Repair of the statistics of pictures, on request: they are those of sampled pictures, which the job decodes."""

from collections.abc import Iterator, Mapping

import numpy as np

from episeek_pipelines.repair import registry
from episeek_pipelines.repair.draft import Draft
from episeek_pipelines.repair.statistics import PICTURE_DTYPES
from episeek_pipelines.repair.values import Outcome, Place, Refusal, Repair
from episeek_pipelines.statistics.aggregate import stats_entry
from episeek_pipelines.statistics.names import NAMES, FeatureStatistics
from episeek_schemas import layout, lerobot

_CODE = registry.PICTURES.code


def choose_features(draft: Draft) -> Iterator[Outcome]:
    """Choose the features of pictures that are sampled; refuse depths, and datasets whose episodes are not known."""
    specs = {
        name: spec
        for name, spec in draft.info["features"].items()
        if isinstance(spec, Mapping) and spec.get("dtype") in PICTURE_DTYPES
    }
    chosen: list[str] = []
    for name, spec in specs.items():
        place = Place(layout.STATS_PATH, column=name)
        if not draft.has_all_episodes:
            readings = ("the pictures are those of the listed episodes", "episodes are missing")
            yield Refusal(_CODE, place, "pictures, and episodes that are not known", readings)
        elif lerobot.is_depth(spec):
            readings = ("their statistics are right as they are", "they are those of other depths")
            yield Refusal(_CODE, place, "depths, whose statistics have no definition by three channels", readings)
        else:
            chosen.append(name)
    draft.sampled_features = tuple(chosen)


def repair_picture_statistics(draft: Draft, sampled: Mapping[str, FeatureStatistics]) -> Iterator[Outcome]:
    """Set the statistics of pictures, of each episode and of the dataset, to those of the sampled ones.

    Args:
        draft: The dataset.
        sampled: Of each of `draft.sampled_features`, one row for each episode.
    """
    for feature, truth in sampled.items():
        column = lerobot.statistics_column(feature, "mean")
        recorded = {name: draft.statistics_column(lerobot.statistics_column(feature, name)) for name in NAMES}
        held = {name: None if each is None else each.to_pylist() for name, each in recorded.items()}
        is_new = np.array(
            [
                any(values is None or values[episode] != truth[name][episode].tolist() for name, values in held.items())
                for episode in range(draft.row_count)
            ],
            np.bool_,
        )
        counts = truth["count"].ravel().tolist()
        if is_new.any():
            draft.episode_statistics[feature] = truth, is_new
        means = held["mean"]
        for episode in np.flatnonzero(is_new).tolist():
            before = None if means is None else means[episode]
            proof = f"mean of {counts[episode]} sampled pictures of the episode, which were decoded"
            yield Repair(_CODE, draft.place(episode, column), before, truth["mean"][episode].tolist(), proof)
        entry = stats_entry(truth)
        known = draft.statistics.get(feature)
        if known != entry:
            draft.statistics[feature] = entry
            mean = known.get("mean") if isinstance(known, Mapping) else None
            proof = f"mean of the {sum(counts)} sampled pictures of all episodes, put together as LeRobot does"
            yield Repair(_CODE, Place(layout.STATS_PATH, column=feature), mean, entry["mean"], proof)
