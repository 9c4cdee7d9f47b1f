"""Compute the statistics of a camera in one episode from sampled pictures, as `lerobot.datasets.compute_stats` defines them.

LeRobot samples some frames of an episode (`sample_indices`) and some pixels of each frame (`auto_downsample_height_width`). It
divides these pixels by 255, and computes the statistics of each of the three channels. `count` is the number of pictures. Version
0.4.4 squares the values in 8 bits, where 16 * 16 is 0, so that its standard deviations are too small. Here they are right.

All statistics follow from a histogram of the 256 values of each channel. Therefore only one picture is in memory at a time.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from episeek_pipelines.statistics.names import QUANTILES
from episeek_pipelines.statistics.quantiles import BINS, PADDING

CHANNELS: Final = 3

_FEWEST_SAMPLES: Final = 100
_MOST_SAMPLES: Final = 10_000
_GROWTH: Final = 0.75

_LARGE_PIXELS: Final = 300
_WANTED_PIXELS: Final = 150

_VALUES: Final = 256


def sampled_frames(length: int) -> npt.NDArray[np.int64]:
    """Return the numbers of the frames that are sampled in an episode of `length` frames, ascending and without duplicates.

    All frames of an episode of up to 100 frames are sampled. A longer episode has int(length ** 0.75) evenly spaced samples, but at
    least 100 and at most 10,000.

    >>> sampled_frames(3).tolist(), len(sampled_frames(5000))
    ([0, 1, 2], 594)
    """
    fewest = min(length, _FEWEST_SAMPLES)
    count = max(fewest, min(int(length**_GROWTH), _MOST_SAMPLES))
    return np.round(np.linspace(0, length - 1, count)).astype(np.int64)


def picture_histogram(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """Return, for each channel of a picture, how many of the sampled pixels have each value; shape [3, 256].

    All pixels of a small picture are sampled. In a picture with a side of 300 pixels or more, every n-th row and column is sampled.

    Args:
        picture: A picture in RGB; shape [height, width, 3].
    """
    height, width = picture.shape[:2]
    step = 1
    if max(height, width) >= _LARGE_PIXELS:
        step = int((width if width > height else height) / _WANTED_PIXELS)
    channels = (picture[::step, ::step, channel].ravel() for channel in range(CHANNELS))
    return np.array([np.bincount(values, minlength=_VALUES) for values in channels], np.int32)


def picture_statistics(histograms: Sequence[npt.NDArray[np.int32]]) -> dict[str, npt.NDArray[Any]]:
    """Return the statistics of some pictures by name, for pixels scaled to the range from 0 to 1.

    Each statistic has the shape [3, 1, 1] for the three channels, except `count`, the number of pictures, which has the shape [1].

    >>> one = picture_histogram(np.full((2, 2, 3), 51, np.uint8))
    >>> picture_statistics([one, one])["mean"].ravel().tolist()
    [0.2, 0.2, 0.2]

    Args:
        histograms: The results of `picture_histogram` for one picture or more.
    """
    total = np.stack(histograms).sum(axis=0, dtype=np.int64)
    found = [_of_channel(total[channel]) for channel in range(CHANNELS)]
    result = {name: np.array([each[name] for each in found]).reshape(-1, 1, 1) / 255 for name in found[0]}
    return {**result, "count": np.array([len(histograms)])}


def _of_channel(counts: npt.NDArray[np.int64]) -> dict[str, float]:
    values = np.flatnonzero(counts)
    weights, total = counts[values], int(counts.sum())
    low, high = int(values[0]), int(values[-1])
    mean = float((values * weights).sum()) / total
    variance = float((weights * (values - mean) ** 2).sum()) / total
    found = {"min": float(low), "max": float(high), "mean": mean, "std": float(np.sqrt(variance))}
    if total < 2:
        return {**found, **dict.fromkeys(QUANTILES, mean)}
    edges = np.linspace(low - PADDING, high + PADDING, BINS + 1)
    until = np.cumsum(np.histogram(values, bins=edges, weights=weights)[0])
    return {**found, **{name: _quantile(share * total, until, edges) for name, share in QUANTILES.items()}}


def _quantile(target: float, until: npt.NDArray[np.float64], edges: npt.NDArray[np.float64]) -> float:
    """Return LeRobot's estimate of a quantile, which is interpolated linearly within a bin.

    Args:
        target: The number of values times the quantile, which is a share such as 0.1.
        until: The number of values up to the end of each bin.
        edges: The edges of the bins, one more than there are bins.
    """
    number = int(np.searchsorted(until, target))
    if number == 0:
        return float(edges[0])
    if number >= BINS:
        return float(edges[-1])
    before, within = until[number - 1], until[number] - until[number - 1]
    # The first bin whose cumulative count reaches the target contains values, so `within` is not 0.
    return float(edges[number] + (target - before) / within * (edges[number + 1] - edges[number]))
