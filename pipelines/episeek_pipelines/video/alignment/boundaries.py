"""Declared seconds as frames of a file, and how far they are from the frames of the episodes."""

from dataclasses import dataclass

import numpy as np

from episeek_pipelines.video.alignment.align import BoolArray, Float64Array, Int64Array

ROUNDING_FRAMES = 0.25
"""Greatest error of a step where seconds are lengths divided by the dataset's rate, in another file's frames."""

AGREEMENT_FRAMES = 0.5
"""Greatest distance of a declared second from the frame that it means."""

DRIFT_STEP_FRAMES = 0.75
"""Greatest error of float sums and rounded durations from one boundary to the next."""

_SEVERAL_FRAMES = 8
"""Seconds that lie beside their episode are an error of the seconds where they jump by no more."""

_FAR_SECONDS = 1e9
"""Bound for declared seconds: larger ones lie outside any file as well."""


@dataclass(frozen=True, slots=True, eq=False)
class Boundaries:
    """Declared seconds converted to frames from the file's first one; arrays of shape [episode_count]."""

    begin: Float64Array
    """NaN where the declared second is not a number."""
    end: Float64Array

    @property
    def span(self) -> Float64Array:
        """Frames in each episode, with fractions."""
        return self.end - self.begin

    @property
    def gap(self) -> Float64Array:
        """Frames between each episode and the one before it; before the first one, from the start of the file."""
        gap: Float64Array = self.begin - np.concatenate([[0.0], self.end[:-1]])
        return gap


def by_file_times(
    seconds: Float64Array, stop: float, from_timestamp: Float64Array, to_timestamp: Float64Array, *, fps: float
) -> Boundaries:
    """Return declared seconds by the times of the file's own frames, continued outside the file at its mean rate.

    Args:
        seconds: Presentation times of the frames, ascending, shape [frames].
        stop: Time at which the last frame ends.
        from_timestamp: Declared starts, seconds.
        to_timestamp: Declared ends, seconds.
        fps: The rate to assume of a file with less than two frames.
    """
    count = len(seconds)
    span = float(seconds[-1] - seconds[0]) if count > 1 else 0.0
    rate = (count - 1) / span if span > 0 else fps
    edges = np.append(seconds, max(stop, seconds[-1] + 0.5 / rate)) if count else seconds

    def position(declared: Float64Array) -> Float64Array:
        if not count:
            return np.full(len(declared), np.nan)
        declared = np.clip(declared, -_FAR_SECONDS, _FAR_SECONDS)
        beyond = np.maximum(declared - edges[-1], 0) + np.minimum(declared - edges[0], 0)
        frames: Float64Array = np.interp(declared, edges, np.arange(count + 1)) + beyond * rate
        return frames

    return Boundaries(position(from_timestamp), position(to_timestamp))


def by_rate(start: float, from_timestamp: Float64Array, to_timestamp: Float64Array, *, fps: float) -> Boundaries:
    """Return declared seconds by the dataset's rate: they may be lengths divided by it, whatever the times of the file are."""
    begin, end = ((np.clip(x, -_FAR_SECONDS, _FAR_SECONDS) - start) * fps for x in (from_timestamp, to_timestamp))
    return Boundaries(begin, end)


def walk(declared: Boundaries, length: Int64Array) -> Int64Array:
    """Return the first frames by the differences of the seconds, in whole frames, from the file's start."""
    gap, span = declared.gap, declared.span
    held = np.where(np.abs(span - length) <= AGREEMENT_FRAMES, length, np.rint(span).astype(np.int64))
    walked: Int64Array = np.cumsum(np.rint(gap).astype(np.int64)) + np.cumsum(held) - held
    return walked


def drifts(declared: Boundaries, length: Int64Array, step_frames: float) -> bool:
    """Return whether the seconds repeat the lengths, one after the other, with small errors that add up.

    They may begin before the file does: its times start late where no edit list takes back the delay of reordering.
    """
    gap = declared.gap
    steps = np.concatenate([np.maximum(gap[:1], 0), gap[1:], declared.span - length])
    return bool((np.abs(steps) <= step_frames).all())


def jumps(declared: Boundaries, first: Int64Array, delay: float) -> Float64Array:
    """Return by how many frames each start is off beyond the start before it; the first one beyond the file's start, or time 0."""
    moved = declared.begin - first
    beyond: Float64Array = np.diff(moved, prepend=0.0)
    beyond[0] = min(beyond[0], moved[0] + delay, key=abs)
    return beyond


def is_displaced(
    declared: Boundaries, first: Int64Array, length: Int64Array, surplus: Int64Array, delay: float
) -> BoolArray:
    """Return the episodes whose seconds are those of other frames, which drift does not explain.

    Between two jumps, drift may hide missing or surplus frames, so that these episodes are displaced as well.
    """
    before = np.abs(jumps(declared, first, delay)) > DRIFT_STEP_FRAMES
    step = length + surplus
    span = declared.span
    within = (np.abs(span - length) > DRIFT_STEP_FRAMES) & (np.abs(span - step) > DRIFT_STEP_FRAMES)
    if not before.any():
        return np.zeros(len(first), np.bool_)
    edges = np.stack([before, within], axis=1).reshape(-1)
    after_one, before_one = np.logical_or.accumulate(edges), np.logical_or.accumulate(edges[::-1])[::-1]
    is_between = after_one[::2] & before_one[1::2]
    displaced: BoolArray = is_between | (np.abs(declared.begin - first) > AGREEMENT_FRAMES)
    return displaced


def is_beside(declared: Boundaries, first: Int64Array, length: Int64Array, delay: float) -> BoolArray:
    """Return the episodes whose seconds hold none of their frames.

    They jump far: then they mean another file, or another episode.
    """
    jump = np.abs(jumps(declared, first, delay))
    far = np.maximum(jump, np.append(jump[1:], 0.0)) > _SEVERAL_FRAMES + AGREEMENT_FRAMES
    beside: BoolArray = far & ((declared.end <= first) | (declared.begin >= first + length))
    return beside


def is_nowhere(declared: Boundaries, length: Int64Array, frame_count: int) -> BoolArray:
    """Return the episodes whose seconds are empty or far outside the file: whatever they mean, it is not in the file."""
    far = (declared.begin > frame_count + _SEVERAL_FRAMES) | (declared.end < -_SEVERAL_FRAMES)
    nowhere: BoolArray = (far | (declared.span <= 0)) & (length > 0)
    return nowhere
