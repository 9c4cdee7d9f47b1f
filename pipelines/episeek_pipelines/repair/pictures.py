"""Replace the recorded statistics of pictures by statistics of sampled pictures.

This repair runs only on request (REP023). The job decodes the samples.
"""

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
    """Choose the picture features to sample, and store their names in `draft.sampled_features`.

    Yield a refusal for each depth feature, and for each picture feature if meta/episodes is incomplete.
    """
    specs = {
        name: spec
        for name, spec in draft.info["features"].items()
        if isinstance(spec, Mapping) and spec.get("dtype") in PICTURE_DTYPES
    }
    chosen: list[str] = []
    for name, spec in specs.items():
        place = Place(layout.STATS_PATH, column=name)
        if not draft.has_all_episodes:
            readings = ("the pictures belong to the listed episodes alone", "episodes are missing in meta/episodes")
            yield Refusal(_CODE, place, "statistics of pictures, but an incomplete list of episodes", readings)
        elif lerobot.is_depth(spec):
            readings = ("the recorded statistics are right", "the recorded statistics are those of other depth maps")
            yield Refusal(
                _CODE, place, "depth maps, for which LeRobot's statistics of three channels are undefined", readings
            )
        else:
            chosen.append(name)
    draft.sampled_features = tuple(chosen)


def repair_picture_statistics(draft: Draft, sampled: Mapping[str, FeatureStatistics]) -> Iterator[Outcome]:
    """Replace the statistics of pictures, for each episode and for the dataset, by the statistics of the sampled pictures.

    Args:
        draft: The dataset.
        sampled: For each feature in `draft.sampled_features`, statistics with one row per episode.
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
            proof = f"mean of {counts[episode]} decoded sample pictures of the episode"
            yield Repair(_CODE, draft.place(episode, column), before, truth["mean"][episode].tolist(), proof)
        entry = stats_entry(truth)
        known = draft.statistics.get(feature)
        if known != entry:
            draft.statistics[feature] = entry
            mean = known.get("mean") if isinstance(known, Mapping) else None
            proof = f"mean of the {sum(counts)} decoded sample pictures of all episodes, aggregated as LeRobot does"
            yield Repair(_CODE, Place(layout.STATS_PATH, column=feature), mean, entry["mean"], proof)
