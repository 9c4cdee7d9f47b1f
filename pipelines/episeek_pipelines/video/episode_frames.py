"""Find the frames of a video file that belong to each of its episodes.

`meta/episodes` declares them in two ways: by lengths in frames, and by seconds in the file. The seconds are sums of floats and
drift by whole frames over a file. Therefore only their differences from one boundary to the next are used, which are right to
a fraction of a frame.

1. Where the lengths add up to the file's frames and the seconds repeat them, one after the other, counting decides. The
   errors of the seconds may add up to any distance.
2. Otherwise all episodes are aligned with the frames at once (`alignment`), and the encoder's marks are read as well: frames
   may be missing from an episode, or belong to none, and the seconds may be wrong.

An episode that the evidence places at two frames is not placed: it is refused by name. One that is placed elsewhere than its
seconds say, or that has more or fewer frames than its length, is reported (`frame_problems`).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from episeek.mp4.sample_table import SampleTable
from episeek_pipelines.video.alignment import (
    Alignment,
    BoolArray,
    Evidence,
    Float64Array,
    Int64Array,
    align,
)
from episeek_pipelines.video.encoder_starts import STARTS, UNKNOWN, Int8Array
from episeek_schemas import sidecars

ReadMarks = Callable[[Int64Array], Int8Array]
"""Returns the encoder's mark of each frame; the argument is the frames of greatest interest."""

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
class DeclaredEpisodes:
    """The episodes of one video file as `meta/episodes` declares them, sorted by from_timestamp.

    All arrays have the shape [episode_count].
    """

    episode_index: Int64Array
    length: Int64Array
    """Frames."""
    from_timestamp: Float64Array
    """Start in the file, seconds."""
    to_timestamp: Float64Array
    """End in the file, seconds."""

    def __len__(self) -> int:
        return len(self.episode_index)

    @property
    def is_finite(self) -> BoolArray:
        """Whether both timestamps are finite numbers, for each episode."""
        finite: BoolArray = np.isfinite(self.from_timestamp) & np.isfinite(self.to_timestamp)
        return finite

    def digest(self, *, camera_index: int, fps: float) -> str:
        """Return `files.episodes_sha256`: the SHA-256, hex, of all declarations that assign frames to episodes."""
        digest = hashlib.sha256(np.array(camera_index, "<i8").tobytes() + np.array(fps, "<f8").tobytes())
        for name, dtype in sidecars.DECLARED_EPISODES:
            digest.update(np.ascontiguousarray(getattr(self, name), dtype).tobytes())
        return digest.hexdigest()

    @classmethod
    def sorted(
        cls, episode_index: Int64Array, length: Int64Array, from_timestamp: Float64Array, to_timestamp: Float64Array
    ) -> "DeclaredEpisodes":
        """Return the episodes of columns in any order."""
        order = np.lexsort((episode_index, from_timestamp))
        return cls(episode_index[order], length[order], from_timestamp[order], to_timestamp[order])


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


@dataclass(frozen=True, slots=True, eq=False)
class FileFrames:
    """The presented frames of a file, in presentation order; arrays have shape [frames]."""

    seconds: Float64Array
    """Presentation times, ascending."""
    is_sync: BoolArray
    stop: float
    """Time at which the last frame ends, seconds; 0 without frames."""
    read_marks: ReadMarks | None = None
    """Called only where counting does not decide; None where the samples cannot be read."""

    def __len__(self) -> int:
        return len(self.seconds)

    @property
    def has_steady_rate(self) -> bool:
        """Whether all frames come within half a frame of their times at one rate."""
        if len(self) < 3:
            return True
        steady = np.linspace(self.seconds[0], self.seconds[-1], len(self))
        return bool(np.abs(self.seconds - steady).max() < AGREEMENT_FRAMES * (steady[1] - steady[0]))

    @classmethod
    def of(cls, table: SampleTable, read_marks: ReadMarks | None = None) -> "FileFrames":
        """Return the frames of a sample table."""
        order = table.presentation_order()
        stop = float(table.pts[order[-1]] + table.duration[order[-1]]) / table.timescale if len(order) else 0.0
        return cls(table.pts[order] / table.timescale, table.is_sync[order], stop, read_marks)


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeFrames:
    """Frames `[first, first + count)` of the file, in presentation order, for each episode.

    All arrays have the shape [episode_count].
    """

    first: Int64Array
    count: Int64Array
    """The episode's length, or as many of its frames as there are; 0 for an episode that is not placed."""
    other_first: Int64Array
    """The first frame by another reading of the evidence; -1 where there is none."""
    surplus: Int64Array
    """Frames of no episode between the end of the episode and the next one, or the end of the file."""
    tail: Int64Array
    """Those of `surplus` that follow the episode: the others come before the next one, in the stream of that one."""
    head: int
    """Frames of no episode before the first episode."""
    declared: Boundaries
    """The declared seconds, in frames of the file."""
    is_placed: BoolArray
    """False where the first frame of the episode is uncertain."""
    is_doubtful: BoolArray
    """True where the seconds give other frames and drift does not explain it, or the episode is not placed."""
    by_ordinals: bool
    """True where the lengths add up to the file's frames and the episodes follow one another."""


def locate_frames(file: FileFrames, episodes: DeclaredEpisodes, *, fps: float) -> EpisodeFrames:
    """Find the frames of each episode of one file.

    Args:
        file: The file's frames.
        episodes: The declared episodes.
        fps: The dataset's frame rate, which the declared seconds may follow instead of the file's times.

    Raises:
        ReadError: The marks of the encoder cannot be read.
    """
    by_file = _by_file_times(file, episodes, fps)
    if not len(file) or not len(episodes) or not episodes.is_finite.all():
        nothing, nowhere = np.zeros(len(episodes), np.int64), np.zeros(len(episodes), np.bool_)
        return EpisodeFrames(
            nothing, nothing, nothing - 1, nothing, nothing, 0, by_file, nowhere, ~nowhere, by_ordinals=False
        )
    by_rate = _by_rate(file.seconds, episodes, fps)
    length = episodes.length
    counted = np.cumsum(length) - length
    adds_up = len(file) == length.sum() and length.min() >= 0
    if adds_up and (_drifts(by_file, length, DRIFT_STEP_FRAMES) or _drifts(by_rate, length, ROUNDING_FRAMES)):
        none, all_of_them = np.zeros(len(length), np.int64), np.ones(len(length), np.bool_)
        return EpisodeFrames(
            counted, length, none - 1, none, none, 0, by_file, all_of_them, ~all_of_them, by_ordinals=True
        )
    return _aligned(file, length, (by_file, by_rate))


def is_counted_alone(episodes: DeclaredEpisodes, frame_count: int, *, fps: float) -> bool:
    """Return whether the declaration places all episodes by counting, whatever the times of the file's frames are."""
    if not len(episodes) or not episodes.is_finite.all() or frame_count != episodes.length.sum():
        return False
    by_rate = Boundaries(episodes.from_timestamp * fps, episodes.to_timestamp * fps)
    return _drifts(by_rate, episodes.length, ROUNDING_FRAMES)


def _by_file_times(file: FileFrames, episodes: DeclaredEpisodes, fps: float) -> Boundaries:
    """Return the boundaries by the times of the file's own frames, continued outside the file at its mean rate."""
    seconds, count = file.seconds, len(file)
    span = float(seconds[-1] - seconds[0]) if count > 1 else 0.0
    rate = (count - 1) / span if span > 0 else fps
    edges = np.append(seconds, max(file.stop, seconds[-1] + 0.5 / rate)) if count else seconds

    def position(declared: Float64Array) -> Float64Array:
        if not count:
            return np.full(len(declared), np.nan)
        declared = np.clip(declared, -_FAR_SECONDS, _FAR_SECONDS)
        beyond = np.maximum(declared - edges[-1], 0) + np.minimum(declared - edges[0], 0)
        frames: Float64Array = np.interp(declared, edges, np.arange(count + 1)) + beyond * rate
        return frames

    return Boundaries(position(episodes.from_timestamp), position(episodes.to_timestamp))


def _by_rate(seconds: Float64Array, episodes: DeclaredEpisodes, fps: float) -> Boundaries:
    """Return the boundaries by the dataset's frame rate: the seconds may be lengths divided by it, whatever the file's times."""
    begin, end = (
        (np.clip(x, -_FAR_SECONDS, _FAR_SECONDS) - seconds[0]) * fps
        for x in (episodes.from_timestamp, episodes.to_timestamp)
    )
    return Boundaries(begin, end)


def _aligned(file: FileFrames, length: Int64Array, clocks: tuple[Boundaries, ...]) -> EpisodeFrames:
    """Align the episodes by the clock that fits better (rule 2)."""
    counted = np.cumsum(length) - length
    rest = len(file) - int(length.sum())
    walks = [_walk(clock, length) for clock in clocks]
    wanted = np.unique(np.concatenate([counted, counted + rest, *walks]))
    wanted = wanted[(wanted >= 0) & (wanted < len(file))]
    marks = np.full(len(file), UNKNOWN, np.int8) if file.read_marks is None else file.read_marks(wanted)
    rate = (len(file) - 1) / (file.seconds[-1] - file.seconds[0]) if len(file) > 1 else 0.0
    delay = float(file.seconds[0] * rate)
    best: Alignment | None = None
    best_clock = clocks[0]
    for clock, walk in zip(clocks, walks, strict=True):
        possible = [np.array(places) for places in zip(counted, counted + rest, walk, strict=True)]
        found = align(Evidence(file.is_sync, marks, clock.begin, clock.end, length, delay, possible))
        if best is None or found.cost < best.cost - 1:
            best, best_clock = found, clock
    assert best is not None
    first = best.first
    stop = np.minimum(first + length, np.append(first[1:], len(file)))
    surplus = np.append(first[1:], len(file)) - stop
    begins_stream = np.append(marks == STARTS, False)[first]
    is_placed = (best.other < 0) & (begins_stream | ~_is_beside(best_clock, first, length, delay))
    is_doubtful = ~is_placed | _is_displaced(best_clock, first, length, surplus, delay)
    return EpisodeFrames(
        first=first,
        count=np.where(is_placed, stop - first, 0),
        other_first=best.other,
        surplus=surplus,
        tail=_tails(best_clock, first, length, surplus, marks),
        head=int(first[0]),
        declared=clocks[0],
        is_placed=is_placed,
        is_doubtful=is_doubtful,
        by_ordinals=not rest and bool((first == counted).all()),
    )


def _walk(declared: Boundaries, length: Int64Array) -> Int64Array:
    """Return the first frames by the differences of the seconds, in whole frames, from the file's start."""
    gap, span = declared.gap, declared.span
    held = np.where(np.abs(span - length) <= AGREEMENT_FRAMES, length, np.rint(span).astype(np.int64))
    walked: Int64Array = np.cumsum(np.rint(gap).astype(np.int64)) + np.cumsum(held) - held
    return walked


def _drifts(declared: Boundaries, length: Int64Array, step_frames: float) -> bool:
    """Return whether the seconds repeat the lengths, one after the other, with small errors that add up.

    They may begin before the file does: its times start late where no edit list takes back the delay of reordering.
    """
    gap = declared.gap
    steps = np.concatenate([np.maximum(gap[:1], 0), gap[1:], declared.span - length])
    return bool((np.abs(steps) <= step_frames).all())


def _jumps(declared: Boundaries, first: Int64Array, delay: float) -> Float64Array:
    """Return by how many frames each start is off beyond the start before it; the first one beyond the file's start, or time 0."""
    moved = declared.begin - first
    jumps: Float64Array = np.diff(moved, prepend=0.0)
    jumps[0] = min(jumps[0], moved[0] + delay, key=abs)
    return jumps


def _is_displaced(
    declared: Boundaries, first: Int64Array, length: Int64Array, surplus: Int64Array, delay: float
) -> BoolArray:
    """Return the episodes whose seconds are those of other frames, which drift does not explain.

    Between two jumps, drift may hide missing or surplus frames, so that these episodes are displaced as well.
    """
    before = np.abs(_jumps(declared, first, delay)) > DRIFT_STEP_FRAMES
    step = length + surplus
    span = declared.span
    within = (np.abs(span - length) > DRIFT_STEP_FRAMES) & (np.abs(span - step) > DRIFT_STEP_FRAMES)
    if not before.any():
        return np.zeros(len(first), np.bool_)
    edges = np.stack([before, within], axis=1).reshape(-1)
    after_one, before_one = np.logical_or.accumulate(edges), np.logical_or.accumulate(edges[::-1])[::-1]
    is_between = after_one[::2] & before_one[1::2]
    is_displaced: BoolArray = is_between | (np.abs(declared.begin - first) > AGREEMENT_FRAMES)
    return is_displaced


def _is_beside(declared: Boundaries, first: Int64Array, length: Int64Array, delay: float) -> BoolArray:
    """Return the episodes whose seconds hold none of their frames.

    They are empty, or jump far: then they mean another file, or another episode.
    """
    jumps = np.abs(_jumps(declared, first, delay))
    far = np.maximum(jumps, np.append(jumps[1:], 0.0)) > _SEVERAL_FRAMES + AGREEMENT_FRAMES
    is_beside: BoolArray = far & ((declared.end <= first) | (declared.begin >= first + length))
    return is_beside | ((declared.span <= 0) & (length > 0))


def _tails(
    declared: Boundaries, first: Int64Array, length: Int64Array, surplus: Int64Array, marks: Int8Array
) -> Int64Array:
    """Return the frames of no episode that follow each episode rather than come before the next one.

    They follow it up to the start of the next stream, or without marks up to the end of its seconds.
    """
    tails = surplus.copy()
    for row in np.flatnonzero(surplus > 0).tolist():
        stop = int(first[row] + length[row])
        starts = np.flatnonzero(marks[stop : stop + int(surplus[row]) + 1] == STARTS)
        if len(starts):
            tails[row] = starts[0]
        elif row + 1 < len(first):
            more = int(np.rint(declared.end[row] - declared.begin[row])) - int(length[row])
            tails[row] = min(max(more, 0), int(surplus[row]))
    return tails
