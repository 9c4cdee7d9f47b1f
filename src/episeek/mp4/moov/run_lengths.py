"""Expand the run-length coded values of the stts and ctts boxes (ISO/IEC 14496-12:2022, 8.6.1.2 and 8.6.1.3).

Recorders write tables with an entry too many or too few, and negative durations after their clock went back. Such tables are read
as FFmpeg reads them (`mov_read_stts`, `mov_read_ctts` and `mov_build_index` of libavformat/mov.c), because TorchCodec and most
players get their times from FFmpeg.
"""

import numpy as np
import numpy.typing as npt

from episeek.errors import SampleTableError

Int64Array = npt.NDArray[np.int64]

MAX_DURATION = (1 << 32) - 1 - 480000
"""Durations above this value are negative 32-bit numbers (`max_stts_delta` in FFmpeg)."""

MAX_COMPOSITION = 1 << 28
"""FFmpeg ignores a ctts box with a larger composition offset than this, unless the offset is in one of the last two entries."""


def durations(runs: npt.NDArray[np.void], count: int, *, where: str) -> Int64Array:
    """Return the duration of each of `count` samples, from the entries of stts.

    `runs` contains the entries, with the fields `count` and `value`. Samples after the last entry have the duration of the last
    entry. Surplus entries are not used.

    Raises:
        SampleTableError: The track has samples, but stts has no entry.
    """
    value = runs["value"].astype(np.int64)
    if np.any(value > MAX_DURATION):
        value = _corrected(runs["count"].tolist(), value.tolist())
    expanded = _expanded(runs["count"], value, count)
    if len(expanded) == count:
        return expanded
    if not len(value):
        raise SampleTableError(
            where, f"'stts' without entries, but {count} sample sizes", "a duration for every sample"
        )
    return np.concatenate([expanded, np.full(count - len(expanded), value[-1])])


def compositions(runs: npt.NDArray[np.void], count: int, *, where: str) -> Int64Array:
    """Return the composition offset of each of `count` samples, from the entries of ctts.

    `runs` contains the entries, with the fields `count` and `value`. Samples after the last entry have offset 0. Surplus entries
    are not used.

    Raises:
        SampleTableError: FFmpeg ignores the box, or the box has negative offsets and too few entries.
    """
    value = runs["value"].astype(np.int64)
    too_large = np.flatnonzero(np.abs(value[:-2]) > MAX_COMPOSITION)
    if len(too_large):
        found = f"'ctts' with a composition offset of {value[too_large[0]]} ticks"
        raise SampleTableError(where, found, f"at most {MAX_COMPOSITION} ticks, the limit of FFmpeg", "remux it")
    expanded = _expanded(runs["count"], value, count)
    if len(expanded) == count:
        return expanded
    if np.any(value < 0):
        found = f"'ctts' for {len(expanded)} samples with negative offsets, but {count} sample sizes"
        raise SampleTableError(where, found, "an offset for every sample")
    return np.concatenate([expanded, np.zeros(count - len(expanded), np.int64)])


def _expanded(run_count: npt.NDArray[np.uint32], value: Int64Array, count: int) -> Int64Array:
    """Return the value of each sample, without surplus values after `count` samples. The result is shorter if runs are missing."""
    end = np.minimum(np.cumsum(run_count.astype(np.int64)), count)
    return np.repeat(value, np.diff(end, prepend=0))


def _corrected(counts: list[int], values: list[int]) -> Int64Array:
    """Return the durations with positive values in place of negative ones.

    A negative duration becomes 1. Later durations are shortened, to no less than 1, until the sum of all durations is the same as
    before.
    """
    found = np.empty(len(values), np.int64)
    written = meant = 0
    for position, (count, value) in enumerate(zip(counts, values, strict=True)):
        duration = value
        if value > MAX_DURATION:
            duration = 1
            meant += (value - (1 << 32)) * count
        else:
            meant += value * count
        written += duration * count
        if written > meant:
            drift = (written - meant) // max(count, 1)
            correction = drift if duration > drift else duration - 1
            written -= correction * count
            duration -= correction
        found[position] = duration
    return found
