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

    def around(self, places: npt.NDArray[np.int64]) -> tuple[_Numbers, _Numbers, _Numbers]:
        """Return the values before, at and after the given places.

        At the first and last place of an episode, its own value takes the place of the missing one.

        Args:
            places: Positions in each episode; shape [places, episodes].

        Returns:
            Three arrays of shape [dimensions, places, episodes].
        """
        near = np.stack([np.maximum(places - 1, 0), places, np.minimum(places + 1, self.counts - 1)])
        found = self.values.take(near + self.starts, axis=1)
        return found[:, 0], found[:, 1], found[:, 2]

    def count_below(
        self,
        limits: _Numbers,
        dimensions: npt.NDArray[np.int64],
        episodes: npt.NDArray[np.int64],
        guess: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        """Return how many values are below each limit.

        The guesses are checked, and a binary search follows where they are wrong.

        Args:
            limits: The limits; shape [limits].
            dimensions: The position of the dimension of each limit; shape [limits].
            episodes: The position of the episode of each limit; shape [limits].
            guess: A guess for each result, from 0 to the number of values; shape [limits].
        """
        first, counts = self.starts[episodes], self.counts[episodes]
        is_low = self._is_below(limits, dimensions, first + np.minimum(guess, counts - 1)) & (guess < counts)
        is_high = ~self._is_below(limits, dimensions, first + np.maximum(guess - 1, 0)) & (guess > 0)
        found, wrong = guess.copy(), np.flatnonzero(is_low | is_high)
        if len(wrong):
            found[wrong] = self._search(limits[wrong], dimensions[wrong], first[wrong], counts[wrong])
        return found

    def _is_below(
        self, limits: _Numbers, dimensions: npt.NDArray[np.int64], samples: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Return whether the value at each position is below its limit; all of shape [limits]."""
        return np.asarray(self.values[dimensions, samples] < limits)

    def _search(
        self,
        limits: _Numbers,
        dimensions: npt.NDArray[np.int64],
        first: npt.NDArray[np.int64],
        counts: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        """Return how many of the `counts` values from the position `first` are below each limit; all of shape [limits]."""
        low, high = np.zeros_like(counts), counts
        while bool((low < high).any()):
            middle = (low + high) >> 1
            is_low = self._is_below(limits, dimensions, first + np.minimum(middle, counts - 1)) & (middle < high)
            low, high = np.where(is_low, middle + 1, low), np.where(is_low, high, middle)
        return low


class Quantiles:
    """The quantiles of some episodes, as LeRobot estimates them and as other definitions limit them.

    Args:
        episodes: The values of the episodes.
    """

    def __init__(self, episodes: SortedEpisodes) -> None:
        self._episodes = episodes
        self._targets = np.array(list(QUANTILES.values())).reshape(-1, 1) * episodes.counts
        self._places = np.ceil(self._targets).astype(np.int64) - 1
        self._before, self._at, self._after = episodes.around(self._places)
        self._lowest, self._highest = episodes.lowest[:, None], episodes.highest[:, None]

    def estimates(self) -> dict[str, npt.NDArray[np.float64]]:
        """Return LeRobot's estimates of the quantiles by name, each of shape [dimensions, episodes].

        The estimates of an episode with a single sample are meaningless. LeRobot records the mean in place of them.
        """
        edges = _Edges(self._lowest, self._highest)
        bins, lower, upper = edges.around(self._at)
        before, until = self._counts_below(lower, upper)
        # The last bin contains its upper edge, too.
        within = np.where(bins == BINS - 1, self._episodes.counts, until) - before
        estimates = lower + (self._targets - before) / np.maximum(within, 1) * (upper - lower)
        estimates = np.where(bins == 0, lower, estimates)
        return {name: estimates[:, number] for number, name in enumerate(QUANTILES)}

    def bounds(self) -> dict[str, _Numbers]:
        """Return, for each quantile, two samples of each episode between which the quantile lies by any usual definition.

        With n samples, the quantile q lies between the samples floor(n * q - 1) and ceil(n * q), counted from 0, by all
        definitions of Hyndman and Fan (Sample Quantiles in Statistical Packages, 1996). numpy implements all of these definitions.
        The first or last sample takes the place of a sample that does not exist.

        Returns:
            Arrays of shape [dimensions, episodes]: the smaller samples under the names in `LOWER`, the larger ones in `UPPER`.
        """
        is_whole = self._targets == np.floor(self._targets)
        smaller = np.where(is_whole, self._at, self._before)
        found = {}
        for number, name in enumerate(QUANTILES):
            found[LOWER[name]], found[UPPER[name]] = smaller[:, number], self._after[:, number]
        return found

    def _counts_below(self, lower: _Numbers, upper: _Numbers) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return how many values of each episode are below each lower limit, and how many are below each upper limit.

        Each pair of limits encloses the sample at a quantile. Most bins contain few values, so that its position is the right
        result for most limits. A comparison with the neighbouring sample shows where it is wrong, and a binary search follows.

        Args:
            lower: The lower limits, which are at or below the enclosed values; shape [dimensions, quantiles, episodes].
            upper: The upper limits, which are above these values; the upper edge of the last bin may equal its value. Same shape.

        Returns:
            Two arrays of the shape [dimensions, quantiles, episodes].
        """
        counts, places, after = self._episodes.counts, self._places, self._places + 1
        differ = self._lowest < self._highest
        before = np.where(differ, places, 0)
        self._correct(before, lower, differ & (places > 0) & (self._before >= lower), places - 1)
        until = np.where(differ, after, counts)
        self._correct(until, upper, differ & (after < counts) & (self._after < upper), after + 1)
        return before, until

    def _correct(
        self,
        found: npt.NDArray[np.int64],
        limits: _Numbers,
        is_wrong: npt.NDArray[np.bool_],
        guess: npt.NDArray[np.int64],
    ) -> None:
        """Correct the numbers of values below limits in `found`, where they are wrong.

        Args:
            found: The numbers of values to correct; shape [dimensions, quantiles, episodes].
            limits: The limits; same shape.
            is_wrong: Whether a number is wrong; same shape.
            guess: The probable results where the numbers are wrong; shape [quantiles, episodes].
        """
        dimensions, numbers, episodes = wrong = np.nonzero(is_wrong)
        if len(dimensions):
            found[wrong] = self._episodes.count_below(limits[wrong], dimensions, episodes, guess[numbers, episodes])


class _Edges:
    """The edges of LeRobot's bins in each episode and dimension, as `numpy.linspace` computes them in the type of the values.

    Args:
        low: The minimums as floats; shape [dimensions, 1, episodes].
        high: The maximums; same shape.
    """

    def __init__(self, low: _Numbers, high: _Numbers) -> None:
        bins, padding = low.dtype.type(BINS), low.dtype.type(PADDING)
        self._start, self._stop = low - padding, high + padding
        self._extent = self._stop - self._start
        self._step = self._extent / bins
        self._has_steps = bool(self._step.all())

    def at(self, number: _Numbers, chosen: tuple[npt.NDArray[np.int64], ...] | None = None) -> _Numbers:
        """Return the values of the edges with the given numbers, which count from 0 to `BINS`.

        Args:
            number: The number of an edge for each quantile; shape [dimensions, quantiles, episodes]. With `chosen`, the number for
                each chosen position; shape [chosen].
            chosen: Positions in an array of shape [dimensions, quantiles, episodes], as from `numpy.nonzero`; None for all.
        """
        start, stop, extent, step = self._start, self._stop, self._extent, self._step
        if chosen is not None:
            # All quantiles of an episode and dimension share one minimum and maximum.
            dimensions, _, episodes = chosen
            start, stop, extent, step = (each[dimensions, 0, episodes] for each in (start, stop, extent, step))
        number = number.astype(step.dtype, copy=False)
        offset = number * step
        if not self._has_steps:
            # numpy.linspace does the same if the step is rounded to 0.
            offset = np.where(step == 0, number / step.dtype.type(BINS) * extent, offset)
        offset += start
        return np.asarray(np.where(number == BINS, stop, offset))

    def around(self, values: _Numbers) -> tuple[_Numbers, _Numbers, _Numbers]:
        """Return the number (as a float), the lower edge and the upper edge of the bin that contains each value.

        A value belongs to the last bin whose lower edge is not above the value.

        Args:
            values: One value for each quantile, between minimum and maximum; shape [dimensions, quantiles, episodes].
        """
        steps = np.where(self._step > 0, self._step, 1)
        bins = np.minimum(np.floor((values - self._start) / steps), BINS - 1)
        lower, upper = self.at(bins), self.at(bins + 1)
        is_wrong = ((bins > 0) & (lower > values)) | ((bins < BINS - 1) & (upper <= values))
        wrong = np.nonzero(is_wrong)
        if len(wrong[0]):
            found = self._search(values[wrong], wrong, bins[wrong].astype(np.int64))
            bins[wrong], lower[wrong], upper[wrong] = found, self.at(found, wrong), self.at(found + 1, wrong)
        return bins, lower, upper

    def _search(
        self,
        values: _Numbers,
        chosen: tuple[npt.NDArray[np.int64], ...],
        guess: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        """Return the number of the bin that contains each chosen value, found by binary search.

        The search is needed if rounding has moved an edge, so that the value is in a bin next to the guessed one, or if many edges
        are the same number.

        Args:
            values: The chosen values; shape [chosen].
            chosen: The positions of these values in an array of shape [dimensions, quantiles, episodes], as from `numpy.nonzero`.
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
