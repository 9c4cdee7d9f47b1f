"""Measure how well the samples of a training loop are mixed."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def distinct_share(episodes_of_batches: Sequence[npt.ArrayLike]) -> float:
    """Return the number of different episodes in a batch divided by its number of samples, averaged over all batches.

    Args:
        episodes_of_batches: The episode of each sample, for each batch; one batch or more, none of them empty.
    """
    shares = [len(np.unique(batch)) / np.size(batch) for batch in episodes_of_batches]
    return float(np.mean(shares))


def order_correlation(frames: npt.ArrayLike) -> float | None:
    """Return Spearman's rank correlation between the order in which samples were read and their order in the dataset.

    For a random sequence of n samples it is 0 on average, with a standard deviation of 1 / sqrt(n - 1).

    Args:
        frames: The position of each sample in the dataset, in the order in which they were read; shape [samples].

    Returns:
        A number from -1 to 1; None for fewer than two samples, or if all samples are the same frame.
    """
    values = np.asarray(frames)
    if len(values) < 2 or (values == values[0]).all():
        return None
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    # a frame that was read several times gets the mean of its ranks
    last = np.cumsum(counts)
    rank = (last - (counts - 1) / 2)[inverse]
    return float(np.corrcoef(np.arange(len(values)), rank)[0, 1])
