"""LeRobot's estimates of quantiles, without its histograms.

LeRobot counts the values of an episode in 5,000 bins between the extremes, and interpolates linearly within the bin that holds the
quantile (`lerobot.datasets.compute_stats.RunningQuantileStats`). With sorted values only that bin matters: its two edges, and
the values below each. The edges are those of `numpy.linspace` in the type of the values, so the bin is LeRobot's own.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from episeek_pipelines.statistics.names import QUANTILES

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

    def counts_below(self, limits: _Numbers) -> npt.NDArray[np.int64]:
        """Return how many values of each episode are below each limit; both of shape [dimensions, episodes, limits]."""
        dimensions, samples = self.values.shape
        flat = self.values.ravel()
        rows = np.arange(dimensions).reshape(-1, 1, 1) * samples
        first = rows + self.starts.reshape(1, -1, 1)
        low = np.zeros(limits.shape, np.int64)
        high = np.broadcast_to(self.counts.reshape(1, -1, 1), limits.shape)
        # as many halvings as the longest episode needs: nothing is left to search then
        for _ in range(int(self.counts.max()).bit_length()):
            middle = (low + high) >> 1
            is_below = (flat[np.minimum(first + middle, flat.size - 1)] < limits) & (middle < high)
            low, high = np.where(is_below, middle + 1, low), np.where(is_below, high, middle)
        return low


def quantiles(episodes: SortedEpisodes) -> dict[str, npt.NDArray[np.float64]]:
    """Return the estimates by name; each of shape [dimensions, episodes]. A single sample has no quantiles: use its mean."""
    targets = np.array(list(QUANTILES.values())) * episodes.counts.reshape(-1, 1)
    places = episodes.starts.reshape(-1, 1) + np.ceil(targets).astype(np.int64) - 1
    edges = _Edges(episodes.lowest[:, :, None], episodes.highest[:, :, None])
    bins = edges.bins_of(episodes.values[:, places])
    lower, upper = edges.at(bins), edges.at(bins + 1)
    counts = episodes.counts_below(np.concatenate([lower, upper], axis=2))
    before, until = counts[:, :, : len(QUANTILES)], counts[:, :, len(QUANTILES) :]
    # the last bin holds its upper edge, too
    within = np.where(bins == BINS - 1, episodes.counts.reshape(1, -1, 1), until) - before
    estimates = lower + (targets - before) / np.maximum(within, 1) * (upper - lower)
    estimates = np.where(bins == 0, lower, estimates)
    return {name: np.ascontiguousarray(estimates[:, :, number]) for number, name in enumerate(QUANTILES)}


class _Edges:
    """The edges of the bins between two extremes, as `numpy.linspace` makes them in the type of the extremes.

    Args:
        low: Smallest values of floats, shape [dimensions, episodes, 1].
        high: Largest values.
    """

    def __init__(self, low: _Numbers, high: _Numbers) -> None:
        self._dtype = low.dtype
        padding = low.dtype.type(PADDING)
        self._start, self._stop = low - padding, high + padding
        self._extent = self._stop - self._start
        self._step = self._extent / self._dtype.type(BINS)

    def at(self, number: npt.NDArray[np.int64]) -> _Numbers:
        """Return edges by number, 0 to `BINS`."""
        position = number.astype(self._dtype)
        # numpy.linspace does the same where a step vanishes
        offset = np.where(self._step == 0, position / self._dtype.type(BINS) * self._extent, position * self._step)
        return np.asarray(np.where(number == BINS, self._stop, offset + self._start))

    def bins_of(self, values: _Numbers) -> npt.NDArray[np.int64]:
        """Return the last bin whose lower edge is not above each value; shape [dimensions, episodes, values]."""
        with np.errstate(all="ignore"):
            guess = np.floor((values - self._start) / np.where(self._step > 0, self._step, 1))
        bins = np.clip(guess, 0, BINS - 1).astype(np.int64)
        for _ in range(2):
            bins += (bins < BINS - 1) & (self.at(bins + 1) <= values)
            bins -= (bins > 0) & (self.at(bins) > values)
        is_right = ((bins == 0) | (self.at(bins) <= values)) & ((bins == BINS - 1) | (self.at(bins + 1) > values))
        return bins if bool(is_right.all()) else self._search(values)

    def _search(self, values: _Numbers) -> npt.NDArray[np.int64]:
        """Return the same by halving, for extremes so close that many edges are one number."""
        low, high = np.zeros(values.shape, np.int64), np.full(values.shape, BINS - 1)
        for _ in range(BINS.bit_length()):
            middle = (low + high + 1) >> 1
            is_reached = self.at(middle) <= values
            low, high = np.where(is_reached, middle, low), np.where(is_reached, high, np.maximum(middle - 1, low))
        return low
