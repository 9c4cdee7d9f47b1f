"""LeRobot's estimates of quantiles, without its histograms.

LeRobot counts the values of an episode in 5,000 bins between the extremes, and interpolates linearly within the bin that holds the
quantile (`lerobot.datasets.compute_stats.RunningQuantileStats`). With sorted values only that bin matters: its two edges, and
the values below each. The edges are those of `numpy.linspace` in the type of the values, so the bin is LeRobot's own.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from episeek_pipelines.statistics.names import LOWER, QUANTILES, UPPER

BINS: Final = 5000
PADDING: Final = 1e-10
"""By how much the outermost edges exceed the extremes."""

_Numbers = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class SortedEpisodes:
    """The values of some episodes, sorted within each of them.

    Args:
        values: Of floats, shape [dimensions, samples].
        starts: The first sample of each episode, shape [episodes].
        counts: The samples of each episode, all above 0; shape [episodes].
    """

    values: _Numbers
    starts: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]

    @property
    def lowest(self) -> _Numbers:
        """Return the smallest values; shape [dimensions, episodes]."""
        return np.asarray(self.values[:, self.starts])

    @property
    def highest(self) -> _Numbers:
        """Return the largest values; shape [dimensions, episodes]."""
        return np.asarray(self.values[:, self.starts + self.counts - 1])

    def counts_around(
        self, places: npt.NDArray[np.int64], lower: _Numbers, upper: _Numbers
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return how many values of its episode are below the lower and below the upper limit around each value.

        Args:
            places: Numbers of the values in their episodes, shape [episodes, limits].
            lower: Not above the values; shape [dimensions, episodes, limits].
            upper: Above the values, or the last edge; of the same shape.
        """
        return self._counts_below(lower, places, -1), self._counts_below(upper, places + 1, 0)

    def _counts_below(self, limits: _Numbers, guess: npt.NDArray[np.int64], neighbour: int) -> npt.NDArray[np.int64]:
        """Return how many values of each episode are below each limit.

        Values are rare in a bin, so that the guess is mostly right: the neighbour of a right one shows it.
        """
        dimensions, samples = self.values.shape
        flat = self.values.ravel()
        first = np.arange(dimensions).reshape(-1, 1, 1) * samples + self.starts.reshape(1, -1, 1)
        counts = self.counts.reshape(1, -1, 1)
        found = np.broadcast_to(guess, limits.shape).copy()
        at = found + neighbour
        is_inside = (at >= 0) & (at < counts)
        is_below = flat[np.where(is_inside, first + at, 0)] < limits
        open_places = np.flatnonzero(is_inside & (is_below != (neighbour < 0)))
        if len(open_places):
            first = np.broadcast_to(first, limits.shape).ravel()[open_places]
            wanted = limits.ravel()[open_places]
            high = np.broadcast_to(counts, limits.shape).ravel()[open_places]
            low = np.zeros(len(open_places), np.int64)
            # as many halvings as the longest episode needs: nothing is left to search then
            for _ in range(int(high.max()).bit_length()):
                middle = (low + high) >> 1
                is_low = (flat[np.minimum(first + middle, flat.size - 1)] < wanted) & (middle < high)
                low, high = np.where(is_low, middle + 1, low), np.where(is_low, high, middle)
            found.flat[open_places] = low
        return found


def quantiles(episodes: SortedEpisodes) -> dict[str, npt.NDArray[np.float64]]:
    """Return the estimates by name; each of shape [dimensions, episodes]. A single sample has no quantiles: use its mean."""
    targets = np.array(list(QUANTILES.values())) * episodes.counts.reshape(-1, 1)
    places = np.ceil(targets).astype(np.int64) - 1
    edges = _Edges(episodes.lowest[:, :, None], episodes.highest[:, :, None])
    bins, lower, upper = edges.around(episodes.values[:, episodes.starts.reshape(-1, 1) + places])
    before, until = episodes.counts_around(places, lower, upper)
    # the last bin holds its upper edge, too
    within = np.where(bins == BINS - 1, episodes.counts.reshape(1, -1, 1), until) - before
    estimates = lower + (targets - before) / np.maximum(within, 1) * (upper - lower)
    estimates = np.where(bins == 0, lower, estimates)
    return {name: np.ascontiguousarray(estimates[:, :, number]) for number, name in enumerate(QUANTILES)}


def quantile_bounds(episodes: SortedEpisodes) -> dict[str, _Numbers]:
    """Return the samples between which quantiles lie by any usual definition, by the names in `LOWER` and `UPPER`.

    With n samples, the definitions of Hyndman and Fan (Sample Quantiles in Statistical Packages, 1996), of which numpy has all,
    lie between the samples next to n * q - 1 and n * q, counted from 0.

    Returns:
        Arrays of shape [dimensions, episodes].
    """
    first, last = episodes.starts, episodes.starts + episodes.counts - 1
    found = {}
    for name, share in QUANTILES.items():
        target = share * episodes.counts
        low = np.clip(first + np.floor(target - 1).astype(np.int64), first, last)
        high = np.clip(first + np.ceil(target).astype(np.int64), first, last)
        found[LOWER[name]], found[UPPER[name]] = episodes.values[:, low], episodes.values[:, high]
    return found


class _Edges:
    """The edges of the bins between two extremes, as `numpy.linspace` makes them in the type of the extremes.

    Args:
        low: Smallest values of floats, shape [dimensions, episodes, 1].
        high: Largest values.
    """

    def __init__(self, low: _Numbers, high: _Numbers) -> None:
        bins, padding = low.dtype.type(BINS), low.dtype.type(PADDING)
        self._start, self._stop = low - padding, high + padding
        self._extent = self._stop - self._start
        self._step = self._extent / bins

    def at(self, number: npt.NDArray[np.int64], chosen: npt.NDArray[np.int64] | None = None) -> _Numbers:
        """Return edges by number, 0 to `BINS`.

        Args:
            number: Of the shape of the values, or [chosen].
            chosen: Positions among all values that the numbers are for; None for all.
        """
        start, stop, extent, step = self._start, self._stop, self._extent, self._step
        if chosen is not None:
            # one row of extremes for the quantiles of an episode
            rows = chosen // len(QUANTILES)
            start, stop, extent, step = (each.ravel()[rows] for each in (start, stop, extent, step))
        position = number.astype(step.dtype)
        offset = position * step
        if not bool(step.all()):
            # numpy.linspace does the same where a step vanishes
            offset = np.where(step == 0, position / step.dtype.type(BINS) * extent, offset)
        offset += start
        return np.asarray(np.where(number == BINS, stop, offset))

    def around(self, values: _Numbers) -> tuple[npt.NDArray[np.int64], _Numbers, _Numbers]:
        """Return the last bin whose lower edge is not above each value, and its edges.

        Args:
            values: One of each quantile, between the extremes; shape [dimensions, episodes, quantiles].
        """
        steps = np.where(self._step > 0, self._step, 1)
        bins = np.clip(np.floor((values - self._start) / steps), 0, BINS - 1).astype(np.int64)
        lower, upper = self.at(bins), self.at(bins + 1)
        is_wrong = ((bins > 0) & (lower > values)) | ((bins < BINS - 1) & (upper <= values))
        wrong = np.flatnonzero(is_wrong)
        if len(wrong):
            found = self._search(values.ravel()[wrong], wrong)
            for each, right in (
                (bins, found),
                (lower, self.at(found, wrong)),
                (upper, self.at(found + 1, wrong)),
            ):
                each.flat[wrong] = right
        return bins, lower, upper

    def _search(self, values: _Numbers, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the bins of chosen values by halving: rounding has moved an edge, or many edges are one number."""
        low, high = np.zeros(values.shape, np.int64), np.full(values.shape, BINS - 1)
        for _ in range(BINS.bit_length()):
            middle = (low + high + 1) >> 1
            is_reached = self.at(middle, chosen) <= values
            low, high = np.where(is_reached, middle, low), np.where(is_reached, high, np.maximum(middle - 1, low))
        return low
