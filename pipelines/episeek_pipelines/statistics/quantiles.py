"""Compute LeRobot's estimates of quantiles from sorted values, without its histograms.

LeRobot counts the values of an episode in 5,000 bins between the minimum and the maximum, and interpolates linearly within the bin
that contains the quantile (`lerobot.datasets.compute_stats.RunningQuantileStats`). With sorted values, the two edges of this
bin and the number of values below each edge are enough. The edges are computed as `numpy.linspace` computes them in the type of the
values, so that the bin is the same as LeRobot's.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from episeek_pipelines.statistics.names import LOWER, QUANTILES, UPPER

BINS: Final = 5000
PADDING: Final = 1e-10
"""Distance of the first edge below the minimum, and of the last edge above the maximum."""

_Numbers = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class SortedEpisodes:
    """The values of some episodes, sorted within each episode.

    Args:
        values: Floats of shape [dimensions, samples].
        starts: The position of the first sample of each episode; shape [episodes].
        counts: The number of samples of each episode, at least 1; shape [episodes].
    """

    values: _Numbers
    starts: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]

    @property
    def lowest(self) -> _Numbers:
        """The smallest value of each episode; shape [dimensions, episodes]."""
        return np.asarray(self.values[:, self.starts])

    @property
    def highest(self) -> _Numbers:
        """The largest value of each episode; shape [dimensions, episodes]."""
        return np.asarray(self.values[:, self.starts + self.counts - 1])

    def counts_around(
        self, places: npt.NDArray[np.int64], lower: _Numbers, upper: _Numbers
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return how many values of each episode are below each lower limit, and how many are below each upper limit.

        Each pair of limits encloses one value of the episode. The position of this value is a good first guess for both results.

        Args:
            places: The positions of the enclosed values in their episodes; shape [episodes, limits].
            lower: The lower limits, which are at or below these values; shape [dimensions, episodes, limits].
            upper: The upper limits, which are above these values; the upper edge of the last bin may equal its value. Same shape.

        Returns:
            Two arrays of the shape [dimensions, episodes, limits].
        """
        return self._counts_below(lower, places, -1), self._counts_below(upper, places + 1, 0)

    def _counts_below(self, limits: _Numbers, guess: npt.NDArray[np.int64], neighbour: int) -> npt.NDArray[np.int64]:
        """Return how many values of each episode are below each limit; shape [dimensions, episodes, limits].

        Most bins contain few values, so that most guesses are right. A comparison of the limit with one neighbouring value shows
        whether a guess is right. A binary search replaces wrong guesses.

        Args:
            limits: The limits; shape [dimensions, episodes, limits].
            guess: The guessed results; shape [episodes, limits].
            neighbour: The position of the value to compare with the limit, counted from the guess: -1 or 0.
        """
        counts = self.counts.reshape(-1, 1)
        at = guess + neighbour
        is_inside = (at >= 0) & (at < counts)
        compared = self.values[:, self.starts.reshape(-1, 1) + np.where(is_inside, at, 0)]
        found = np.broadcast_to(guess, limits.shape).copy()
        wrong = np.flatnonzero(((compared < limits) != (neighbour < 0)) & is_inside)
        if len(wrong):
            found.flat[wrong] = self._search(
                limits.ravel()[wrong], wrong // guess.size, wrong % guess.size // guess.shape[1]
            )
        return found

    def _search(
        self, limits: _Numbers, dimensions: npt.NDArray[np.int64], episodes: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Return how many values are below each limit, found by binary search.

        Args:
            limits: The limits; shape [limits].
            dimensions: The position of the dimension of each limit; shape [limits].
            episodes: The position of the episode of each limit; shape [limits].
        """
        first, counts = self.starts[episodes], self.counts[episodes]
        low = np.where(self.values[dimensions, first + counts - 1] < limits, counts, 0)
        high = np.where(self.values[dimensions, first] < limits, counts, 0)
        while bool((low < high).any()):
            middle = (low + high) >> 1
            is_low = (self.values[dimensions, first + np.minimum(middle, counts - 1)] < limits) & (middle < high)
            low, high = np.where(is_low, middle + 1, low), np.where(is_low, high, middle)
        return low


def quantiles(episodes: SortedEpisodes) -> dict[str, npt.NDArray[np.float64]]:
    """Return LeRobot's estimates of the quantiles by name, each of shape [dimensions, episodes].

    The estimates of an episode with a single sample are meaningless. LeRobot records the mean in place of them.
    """
    targets = np.array(list(QUANTILES.values())) * episodes.counts.reshape(-1, 1)
    places = np.ceil(targets).astype(np.int64) - 1
    edges = _Edges(episodes.lowest[:, :, None], episodes.highest[:, :, None])
    bins, lower, upper = edges.around(episodes.values[:, episodes.starts.reshape(-1, 1) + places])
    before, until = episodes.counts_around(places, lower, upper)
    # The last bin contains its upper edge, too.
    within = np.where(bins == BINS - 1, episodes.counts.reshape(1, -1, 1), until) - before
    estimates = lower + (targets - before) / np.maximum(within, 1) * (upper - lower)
    estimates = np.where(bins == 0, lower, estimates)
    return {name: np.ascontiguousarray(estimates[:, :, number]) for number, name in enumerate(QUANTILES)}


def quantile_bounds(episodes: SortedEpisodes) -> dict[str, _Numbers]:
    """Return, for each quantile, two samples of each episode between which the quantile lies by any usual definition.

    With n samples, the quantile q lies between the samples floor(n * q - 1) and ceil(n * q), counted from 0, by all definitions of
    Hyndman and Fan (Sample Quantiles in Statistical Packages, 1996). numpy implements all of these definitions.

    Returns:
        Arrays of shape [dimensions, episodes]: the smaller samples under the names in `LOWER`, the larger ones in `UPPER`.
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
    """The edges of LeRobot's bins in each episode and dimension, as `numpy.linspace` computes them in the type of the values.

    Args:
        low: The minimums as floats; shape [dimensions, episodes, 1].
        high: The maximums; same shape.
    """

    def __init__(self, low: _Numbers, high: _Numbers) -> None:
        bins, padding = low.dtype.type(BINS), low.dtype.type(PADDING)
        self._start, self._stop = low - padding, high + padding
        self._extent = self._stop - self._start
        self._step = self._extent / bins

    def at(self, number: npt.NDArray[np.int64], chosen: npt.NDArray[np.int64] | None = None) -> _Numbers:
        """Return the values of the edges with the given numbers, which count from 0 to `BINS`.

        Args:
            number: The number of an edge for each quantile; shape [dimensions, episodes, quantiles]. With `chosen`, the number for
                each chosen position; shape [chosen].
            chosen: Positions in a flattened array of shape [dimensions, episodes, quantiles]; None for all positions.
        """
        start, stop, extent, step = self._start, self._stop, self._extent, self._step
        if chosen is not None:
            # All quantiles of an episode and dimension share one minimum and maximum.
            rows = chosen // len(QUANTILES)
            start, stop, extent, step = (each.ravel()[rows] for each in (start, stop, extent, step))
        position = number.astype(step.dtype)
        offset = position * step
        if not bool(step.all()):
            # numpy.linspace does the same if the step is rounded to 0.
            offset = np.where(step == 0, position / step.dtype.type(BINS) * extent, offset)
        offset += start
        return np.asarray(np.where(number == BINS, stop, offset))

    def around(self, values: _Numbers) -> tuple[npt.NDArray[np.int64], _Numbers, _Numbers]:
        """Return the number, the lower edge and the upper edge of the bin that contains each value.

        A value belongs to the last bin whose lower edge is not above the value.

        Args:
            values: One value for each quantile, between minimum and maximum; shape [dimensions, episodes, quantiles].
        """
        steps = np.where(self._step > 0, self._step, 1)
        bins = np.clip(np.floor((values - self._start) / steps), 0, BINS - 1).astype(np.int64)
        lower, upper = self.at(bins), self.at(bins + 1)
        is_wrong = ((bins > 0) & (lower > values)) | ((bins < BINS - 1) & (upper <= values))
        wrong = np.flatnonzero(is_wrong)
        if len(wrong):
            found = self._search(values.ravel()[wrong], wrong, bins.ravel()[wrong])
            for each, right in (
                (bins, found),
                (lower, self.at(found, wrong)),
                (upper, self.at(found + 1, wrong)),
            ):
                each.flat[wrong] = right
        return bins, lower, upper

    def _search(
        self, values: _Numbers, chosen: npt.NDArray[np.int64], guess: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Return the number of the bin that contains each chosen value, found by binary search.

        The search is needed if rounding has moved an edge, so that the value is in a bin next to the guessed one, or if many edges
        are the same number.

        Args:
            values: The chosen values; shape [chosen].
            chosen: The positions of these values in a flattened array of shape [dimensions, episodes, quantiles].
            guess: Wrong numbers of these bins; shape [chosen].
        """
        low, high = np.maximum(guess - 1, 0), np.minimum(guess + 1, BINS - 1)
        low = np.where(self.at(low, chosen) <= values, low, 0)
        high = np.where(self.at(high + 1, chosen) > values, high, BINS - 1)
        while bool((low < high).any()):
            middle = (low + high + 1) >> 1
            is_reached = self.at(middle, chosen) <= values
            low, high = np.where(is_reached, middle, low), np.where(is_reached, high, np.maximum(middle - 1, low))
        return low
