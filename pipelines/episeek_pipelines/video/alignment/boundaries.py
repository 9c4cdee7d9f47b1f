"""Convert the declared seconds of episodes to frames, and measure how far they are from the frames that belong to the episodes."""

from dataclasses import dataclass

import numpy as np

from episeek_pipelines.video.alignment.align import BoolArray, Float64Array, Int64Array

ROUNDING_FRAMES = 0.25
"""Greatest error of one episode's seconds, in frames, if the seconds are lengths divided by the dataset's rate."""

AGREEMENT_FRAMES = 0.5
"""Greatest distance, in frames, between a declared second and the frame that it refers to."""

DRIFT_STEP_FRAMES = 0.75
"""Greatest error, in frames, that float sums and rounded durations add from one episode boundary to the next."""

_SEVERAL_FRAMES = 8
"""Seconds that miss their episode by more than this many frames count as the seconds of another file or episode."""

_FAR_SECONDS = 1e9
"""Declared seconds are clipped to this bound, which lies outside any file."""


@dataclass(frozen=True, slots=True, eq=False)
class Boundaries:
    """The declared start and end of each episode, converted from seconds to frames. Arrays have shape [episode_count].

    Frames are counted from the file's first frame, with fractions.
    """

    begin: Float64Array
    """Declared start in frames; NaN if the declared second is NaN."""
    end: Float64Array

    @property
    def span(self) -> Float64Array:
        """Number of frames that each episode's seconds cover, with fractions."""
        return self.end - self.begin

    @property
    def gap(self) -> Float64Array:
        """Number of frames from the end of the previous episode to the start of each episode.

        For the first episode, the frames are counted from the start of the file.
        """
        gap: Float64Array = self.begin - np.concatenate([[0.0], self.end[:-1]])
        return gap


def by_file_times(
    seconds: Float64Array, stop: float, from_timestamp: Float64Array, to_timestamp: Float64Array, *, fps: float
) -> Boundaries:
    """Return the declared seconds in frames, converted with the times of the file's frames.

    Seconds before the first frame and after the last one are converted with the file's mean rate.

    Args:
        seconds: Presentation times of the frames, ascending, shape [frames].
        stop: Time at which the last frame ends.
        from_timestamp: Declared starts, seconds.
        to_timestamp: Declared ends, seconds.
        fps: The rate to assume for a file with fewer than two frames.
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
    """Return the declared seconds in frames. The seconds are counted from `start` and multiplied by the dataset's rate.

    Some writers compute the seconds from this rate, whatever the times of the file's frames are.
    """
    begin, end = ((np.clip(x, -_FAR_SECONDS, _FAR_SECONDS) - start) * fps for x in (from_timestamp, to_timestamp))
    return Boundaries(begin, end)


def walk(declared: Boundaries, length: Int64Array) -> Int64Array:
    """Return the first frame of each episode: the number of frames of all earlier episodes, and of all gaps before the episode.

    These numbers are the declared seconds, rounded to whole frames for each episode and each gap. If the seconds of an episode
    agree with its length, the length is used instead.
    """
    gap, span = declared.gap, declared.span
    held = np.where(np.abs(span - length) <= AGREEMENT_FRAMES, length, np.rint(span).astype(np.int64))
    walked: Int64Array = np.cumsum(np.rint(gap).astype(np.int64)) + np.cumsum(held) - held
    return walked


def drifts(declared: Boundaries, length: Int64Array, step_frames: float) -> bool:
    """Return whether the declared seconds of the episodes differ from their lengths by no more than drift.

    Drift means that the episodes follow one another, and that each boundary adds an error of at most `step_frames` frames. The
    first episode may start before the file's first frame, which is late if no edit list removes the delay that reordering causes.
    """
    gap = declared.gap
    steps = np.concatenate([np.maximum(gap[:1], 0), gap[1:], declared.span - length])
    return bool((np.abs(steps) <= step_frames).all())


def jumps(declared: Boundaries, first: Int64Array, delay: float) -> Float64Array:
    """Return by how many frames the error of each declared start differs from the error of the previous declared start.

    The error is the distance of the declared start from the episode's first frame. The first start has no previous one. Its error
    is compared with 0, in case the seconds count from the first frame, and with `-delay`, in case they count from time 0. The
    smaller difference is returned.
    """
    moved = declared.begin - first
    beyond: Float64Array = np.diff(moved, prepend=0.0)
    beyond[0] = min(beyond[0], moved[0] + delay, key=abs)
    return beyond


def is_displaced(
    declared: Boundaries, first: Int64Array, length: Int64Array, surplus: Int64Array, delay: float
) -> BoolArray:
    """Return, for each episode, whether its declared seconds miss its own frames by more than drift alone explains.

    Drift is an error that grows slowly from boundary to boundary. If the error never changes suddenly, no episode is displaced.
    Between two sudden changes of the error, drift may hide missing or surplus frames. The episodes between them therefore count as
    displaced as well.
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
    """Return, for each episode, whether its declared seconds seem to belong to another file or episode.

    Such seconds cover none of the episode's frames, and their error differs by many frames from the error of the previous or of the
    next episode.
    """
    jump = np.abs(jumps(declared, first, delay))
    far = np.maximum(jump, np.append(jump[1:], 0.0)) > _SEVERAL_FRAMES + AGREEMENT_FRAMES
    beside: BoolArray = far & ((declared.end <= first) | (declared.begin >= first + length))
    return beside


def is_nowhere(declared: Boundaries, length: Int64Array, frame_count: int) -> BoolArray:
    """Return, for each episode, whether its seconds are empty or lie far outside the file, so that they cover no frame."""
    far = (declared.begin > frame_count + _SEVERAL_FRAMES) | (declared.end < -_SEVERAL_FRAMES)
    nowhere: BoolArray = (far | (declared.span <= 0)) & (length > 0)
    return nowhere
