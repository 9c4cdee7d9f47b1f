"""Compute the statistics of episodes from the numbers in their rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from episeek_pipelines.statistics.names import LOWER, NAMES, UPPER, FeatureStatistics
from episeek_pipelines.statistics.quantiles import Quantiles, SortedEpisodes

_BLOCK_BYTES: Final = 1 << 19
"""Number of bytes that are transposed, sorted and summed at a time. They fit into a processor's cache, which doubled the speed."""

_EXACT_IN_FLOAT64: Final = 1 << 53

_CANCELLED: Final = 1e-8
"""Smallest ratio of the variance to the squared mean for which the variance is computed as mean of squares minus squared mean.

Below this ratio, the subtraction loses more than half of the digits, and the variance is computed from deviations instead.
"""

_Numbers = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeStatistics:
    """The statistics of some episodes, in the order of their rows."""

    episode_index: npt.NDArray[np.int64]
    """The number of each episode; shape [episodes]."""
    row_count: npt.NDArray[np.int64]
    """The number of rows of each episode; shape [episodes]."""
    features: Mapping[str, FeatureStatistics] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    """For each feature without statistics, the reason: for example "null" or "lists of different lengths"."""

    def take(self, rows: npt.NDArray[np.int64]) -> "EpisodeStatistics":
        """Return the statistics of the episodes at the positions `rows`, in this order."""
        features = {
            name: {each: values[rows] for each, values in entry.items()} for name, entry in self.features.items()
        }
        return EpisodeStatistics(self.episode_index[rows], self.row_count[rows], features, self.left_out)

    @classmethod
    def joined(cls, parts: Sequence["EpisodeStatistics"]) -> "EpisodeStatistics":
        """Concatenate the statistics of several parts of a dataset.

        A feature that a part lacks or has in a different shape gets no statistics, and a reason in `left_out`.
        """
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
                features[name] = {
                    each: np.concatenate([entry[each] for entry in present])
                    for each in present[0]
                    if all(each in entry for entry in present)
                }
        return cls(
            np.concatenate([part.episode_index for part in parts]),
            np.concatenate([part.row_count for part in parts]),
            features,
            left_out,
        )


def episode_statistics(
    values: Mapping[str, _Numbers], row_counts: npt.NDArray[np.int64]
) -> dict[str, FeatureStatistics]:
    """Return the statistics by feature of consecutive episodes.

    Features with NaN or infinite values have no entry, and neither have features with values so large that a statistic overflows.

    Minimum, maximum and count are exact. Mean and standard deviation are computed in float64. Quantiles are LeRobot's estimates.
    The entries named in `LOWER` and `UPPER` are the two samples between which a quantile lies by any usual definition.

    Args:
        values: The integers, booleans or floats of each feature; shape [rows, samples per row, dimensions], with
            at least one dimension.
        row_counts: The number of rows of each episode, at least 1; shape [episodes], with at least one episode.
    """
    found: dict[str, FeatureStatistics] = {}
    # Features of one type are computed together, because a call of numpy costs more than the work on a short episode.
    groups: dict[tuple[np.dtype[Any], int], tuple[list[str], list[str]]] = {}
    for name, numbers in values.items():
        dtype, inner = _computed_type(numbers), numbers.shape[1]
        is_sorted = dtype.kind == "f" and _is_sorted(numbers.reshape(-1, numbers.shape[2]), row_counts * inner)
        groups.setdefault((dtype, inner), ([], []))[is_sorted].append(name)
    counts = row_counts.reshape(-1, 1)
    for (dtype, inner), (unsorted, already_sorted) in groups.items():
        names = [*unsorted, *already_sorted]
        columns = [values[name].reshape(-1, values[name].shape[2]) for name in names]
        statistics = _statistics(columns, len(unsorted), dtype, row_counts * inner)
        is_finite = np.all([np.isfinite(statistics[each]) for each in NAMES if each != "count"], axis=0)
        first = 0
        for name, column in zip(names, columns, strict=True):
            own = slice(first, first + column.shape[1])
            if bool(is_finite[:, own].all()):
                entry = {each: numbers[:, own] for each, numbers in statistics.items()} | {"count": counts}
                for each in ("min", "max"):
                    entry[each] = entry[each].astype(_recorded_type(column.dtype))
                found[name] = {each: entry[each] for each in (*NAMES, *LOWER.values(), *UPPER.values())}
            first = own.stop
    return {name: found[name] for name in values if name in found}


def _computed_type(numbers: _Numbers) -> np.dtype[Any]:
    """Return the type in which numbers are sorted.

    The type is float64, except for float32 numbers and for integers that float64 cannot represent exactly. These are sorted in
    their own type.
    """
    if numbers.dtype == np.float32:
        return numbers.dtype
    is_wide = numbers.dtype.kind in "iu" and numbers.dtype.itemsize == 8 and numbers.size > 0
    if is_wide and not -_EXACT_IN_FLOAT64 <= int(numbers.min()) <= int(numbers.max()) <= _EXACT_IN_FLOAT64:
        return numbers.dtype
    return np.dtype(np.float64)


def _recorded_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type in which the minimum and maximum of numbers of type `dtype` are recorded."""
    if dtype.kind == "b" or dtype == np.uint64:
        return dtype
    return np.dtype(np.float64 if dtype.kind == "f" else np.int64)


def _is_sorted(numbers: _Numbers, counts: npt.NDArray[np.int64]) -> bool:
    """Return whether the numbers never decrease within an episode, as in LeRobot's own columns.

    Args:
        numbers: The numbers of a feature; shape [samples, dimensions].
        counts: The number of samples of each episode; shape [episodes].
    """
    if not np.all(numbers[1 : counts[0]] >= numbers[: counts[0] - 1]):
        return False
    grows = numbers[1:] >= numbers[:-1]
    is_ordered = grows.ravel() if numbers.shape[1] == 1 else np.asarray(grows.all(axis=1))
    is_ordered[np.cumsum(counts[:-1]) - 1] = True
    return bool(is_ordered.all())


def _statistics(
    columns: Sequence[_Numbers], unsorted_count: int, dtype: np.dtype[Any], counts: npt.NDArray[np.int64]
) -> dict[str, _Numbers]:
    """Return statistics by name, each of shape [episodes, dimensions].

    Args:
        columns: The numbers of each feature; shape [samples, dimensions of the feature].
        unsorted_count: The number of features, from the first one, that have to be sorted. The numbers of the other features are
            sorted within each episode, and `dtype` is a type of floats if there are any.
        dtype: The type in which the numbers are sorted.
        counts: The number of samples of each episode; shape [episodes].
    """
    stops = np.cumsum(counts)
    starts = stops - counts
    widths = [column.shape[1] for column in columns]
    # Rows whose size is a power of two would compete for the same lines of a processor's cache.
    numbers = np.zeros((sum(widths), int(stops[-1]) | 31), dtype)
    row = sum(widths[:unsorted_count])
    moments = []
    with np.errstate(all="ignore"):
        if unsorted_count:
            moments.append(_sort_and_moments(columns[:unsorted_count], numbers[:row], starts, counts))
        if unsorted_count < len(columns):
            _transpose(columns[unsorted_count:], numbers[row:], 0, int(stops[-1]))
            moments.append(_moments_of_sorted(numbers[row:, : stops[-1]], starts, counts))
        mean, variance = (np.concatenate(each) for each in zip(*moments, strict=True))
        low, high = numbers[:, starts], numbers[:, stops - 1]
        # The mean of equal values is their value, which the rounded sum might not give exactly.
        mean = np.where(low == high, low, mean).astype(np.float64)
        variance = np.where(low == high, 0.0, variance)
        floats = numbers if dtype.kind == "f" else numbers.astype(np.float64)
        quantiles = Quantiles(SortedEpisodes(floats, starts, counts))
        estimates, bounds = quantiles.estimates(), quantiles.bounds()
        std = np.sqrt(variance)
        if bool((counts < 2).any()):
            estimates = {name: np.where(counts < 2, mean, estimate) for name, estimate in estimates.items()}
    statistics = {"min": low, "max": high, "mean": mean, "std": std} | estimates | bounds
    return {name: np.ascontiguousarray(each.T) for name, each in statistics.items()}


def _sort_and_moments(
    columns: Sequence[_Numbers], numbers: _Numbers, starts: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Fill `numbers` with the columns, sorted within each episode, and return the means and variances.

    Args:
        columns: The numbers of each feature; shape [samples, dimensions of the feature].
        numbers: The array to fill; shape [dimensions, samples or more].
        starts: The position of the first sample of each episode; shape [episodes].
        counts: The number of samples of each episode; shape [episodes].

    Returns:
        Two arrays of shape [dimensions, episodes].
    """
    sums, squares = (np.empty((len(numbers), len(counts))) for _ in range(2))
    stops = starts + counts
    blocks = list(_blocks(counts, max(1, _BLOCK_BYTES // (len(numbers) * numbers.itemsize))))
    scratch = np.empty((len(numbers), max(int(counts[episodes].sum()) for episodes in blocks)))
    for episodes in blocks:
        first, last = int(starts[episodes.start]), int(stops[episodes.stop - 1])
        _transpose(columns, numbers, first, last)
        for start, stop in pairwise([*starts[episodes].tolist(), last]):
            numbers[:, start:stop].sort(axis=1)
        doubles = scratch[:, : last - first]
        doubles[:] = numbers[:, first:last]
        np.add.reduceat(doubles, starts[episodes] - first, axis=1, out=sums[:, episodes])
        np.square(doubles, out=doubles)
        np.add.reduceat(doubles, starts[episodes] - first, axis=1, out=squares[:, episodes])
    mean = sums / counts
    variance = squares / counts - mean**2
    is_equal = numbers[:, starts] == numbers[:, stops - 1]
    for dimension, episode in np.argwhere((variance < _CANCELLED * mean**2) & ~is_equal).tolist():
        own = numbers[dimension, starts[episode] : stops[episode]]
        mean[dimension, episode], variance[dimension, episode] = _moments_around_median(own.astype(np.float64))
    return mean, variance


def _transpose(columns: Sequence[_Numbers], numbers: _Numbers, first: int, last: int) -> None:
    """Copy the samples `[first, last)` of columns of shape [samples, dimensions] to `numbers` of shape [dimensions, samples]."""
    row = 0
    for column in columns:
        numbers[row : row + column.shape[1], first:last] = column[first:last].T
        row += column.shape[1]


def _moments_of_sorted(
    numbers: _Numbers, starts: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the means and variances of sorted numbers, each of shape [dimensions, episodes].

    They are computed from the distances to the minimum, so that subtracting squares loses few digits.

    Args:
        numbers: The numbers; shape [dimensions, samples].
        starts: The position of the first sample of each episode; shape [episodes].
        counts: The number of samples of each episode; shape [episodes].
    """
    low = numbers[:, starts].astype(np.float64)
    distances = np.subtract(numbers, np.repeat(low, counts, axis=1), dtype=np.float64)
    mean = np.add.reduceat(distances, starts, axis=1) / counts
    np.square(distances, out=distances)
    variance = np.add.reduceat(distances, starts, axis=1) / counts - mean**2
    return low + mean, variance


def _moments_around_median(numbers: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean and variance of sorted numbers whose spread is small compared with their distance from zero.

    Both are computed from the deviations from the median. The mean is within one standard deviation of the median, so that
    subtracting the square of their difference loses few digits.
    """
    middle = float(numbers[len(numbers) // 2])
    deviations = numbers - middle
    mean = float(deviations.mean())
    return middle + mean, float(np.dot(deviations, deviations)) / len(numbers) - mean**2


def _blocks(counts: npt.NDArray[np.int64], most_samples: int) -> Iterator[slice]:
    """Yield slices of consecutive episodes that have at most `most_samples` samples together.

    An episode that alone has more samples is a slice by itself.

    Args:
        counts: The number of samples of each episode; shape [episodes].
        most_samples: The largest number of samples of a slice.
    """
    first = total = 0
    for number, count in enumerate(counts.tolist()):
        if total + count > most_samples and number > first:
            yield slice(first, number)
            first, total = number, 0
        total += count
    yield slice(first, len(counts))
