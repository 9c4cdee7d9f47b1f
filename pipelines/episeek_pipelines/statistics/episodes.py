"""The statistics of some episodes, from the numbers of their rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from episeek_pipelines.statistics.names import BASIC, NAMES, QUANTILES, FeatureStatistics
from episeek_pipelines.statistics.quantiles import SortedEpisodes, quantiles

_Numbers = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeStatistics:
    """The statistics of consecutive runs of rows, each of which is an episode."""

    episode_index: npt.NDArray[np.int64]
    """Shape [episodes], in the order of the rows."""
    row_count: npt.NDArray[np.int64]
    features: Mapping[str, FeatureStatistics] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Why other features have no statistics: NaN, null, lists of different lengths."""

    def take(self, rows: npt.NDArray[np.int64]) -> "EpisodeStatistics":
        """Return the statistics of some episodes, by their positions."""
        features = {
            name: {each: values[rows] for each, values in entry.items()} for name, entry in self.features.items()
        }
        return EpisodeStatistics(self.episode_index[rows], self.row_count[rows], features, self.left_out)

    @classmethod
    def joined(cls, parts: Sequence["EpisodeStatistics"]) -> "EpisodeStatistics":
        """Join the statistics of consecutive episodes, of the features that all parts have in one shape."""
        parts = [part for part in parts if len(part.episode_index)] or list(parts)[:1]
        if not parts:
            return cls(np.zeros(0, np.int64), np.zeros(0, np.int64))
        left_out = {name: reason for part in reversed(parts) for name, reason in part.left_out.items()}
        features: dict[str, FeatureStatistics] = {}
        for name in dict.fromkeys(name for part in parts for name in part.features):
            if name in left_out:
                continue
            entries = [part.features.get(name) for part in parts]
            present = [entry for entry in entries if entry is not None]
            if len(present) < len(entries):
                left_out[name] = "a column that some files lack"
            elif len({entry["min"].shape[1:] for entry in present}) > 1:
                left_out[name] = "lists of different lengths"
            else:
                features[name] = {each: np.concatenate([entry[each] for entry in present]) for each in NAMES}
        return cls(
            np.concatenate([part.episode_index for part in parts]),
            np.concatenate([part.row_count for part in parts]),
            features,
            left_out,
        )


def episode_statistics(
    values: Mapping[str, _Numbers], row_counts: npt.NDArray[np.int64]
) -> dict[str, FeatureStatistics]:
    """Return the statistics of each feature in consecutive episodes; without the features that have NaN or infinity.

    Minimum, maximum and count are exact, mean and standard deviation in float64. Quantiles are LeRobot's estimates.

    Args:
        values: By feature: integers, booleans or floats of shape [rows, samples of a row, dimensions].
        row_counts: The rows of each episode, all above 0; shape [episodes].
    """
    found: dict[str, FeatureStatistics] = {}
    # features of one type are computed together: calls cost more than short episodes
    groups: dict[tuple[np.dtype[Any], int], list[str]] = {}
    for name, numbers in values.items():
        groups.setdefault((numbers.dtype, numbers.shape[1]), []).append(name)
    for (_, inner), names in groups.items():
        stacked = np.concatenate([_by_dimension(values[name]) for name in names])
        statistics = _statistics(stacked, row_counts * inner)
        counts = row_counts.reshape(-1, 1)
        first = 0
        for name in names:
            last = first + values[name].shape[2]
            entry = {each: np.ascontiguousarray(statistics[each][first:last].T) for each in (*BASIC[:4], *QUANTILES)}
            if bool(np.isfinite(entry["min"]).all() and np.isfinite(entry["max"]).all()):
                found[name] = {each: counts if each == "count" else entry[each] for each in NAMES}
            first = last
    return {name: found[name] for name in values if name in found}


def _by_dimension(numbers: _Numbers) -> _Numbers:
    return np.ascontiguousarray(numbers.reshape(-1, numbers.shape[2]).T)


def _statistics(numbers: _Numbers, counts: npt.NDArray[np.int64]) -> dict[str, _Numbers]:
    """Return statistics by name, each of shape [dimensions, episodes]; `numbers` of [dimensions, samples] is sorted in place."""
    stops = np.cumsum(counts)
    starts = stops - counts
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        numbers[:, start:stop].sort(axis=1)
    low, high = numbers[:, starts], numbers[:, stops - 1]
    if numbers.dtype.kind == "b":
        extremes = (low, high)
    else:
        kind = np.float64 if numbers.dtype.kind == "f" else np.int64
        extremes = (low, high) if numbers.dtype == np.uint64 else (low.astype(kind), high.astype(kind))
    floats = numbers if numbers.dtype.kind == "f" else numbers.astype(np.float64)
    with np.errstate(all="ignore"):
        doubles = floats.astype(np.float64)
        # a constant is its own mean, whatever the sum was rounded to
        mean = np.clip(np.add.reduceat(doubles, starts, axis=1) / counts, low, high).astype(np.float64)
        doubles -= np.repeat(mean, counts, axis=1)
        doubles *= doubles
        std = np.sqrt(np.add.reduceat(doubles, starts, axis=1) / counts)
        estimates = quantiles(SortedEpisodes(floats, starts, counts))
    estimates = {name: np.where(counts < 2, mean, estimate) for name, estimate in estimates.items()}
    return dict(zip(BASIC, (*extremes, mean, std), strict=False)) | estimates
