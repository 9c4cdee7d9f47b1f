"""Which frames of an MP4 belong to which episode.

`meta/episodes` says it twice: in seconds, summed as floats, so that they drift by whole frames over a file; and in lengths.
Only differences of the seconds are used, from one boundary to the next: these are right to a fraction of a frame.

1. The lengths add up to the file's frames: counting decides, however far the seconds drifted, may they overlap, leave gaps
   or run past the end. Not where the seconds tell another story that fills the file exactly, nor where they jump by more
   than several frames.
2. They do not (deleted episodes, frames of nobody at the end, a file that was cut): an episode is where the seconds between
   it and the file's start add up to, in whole frames. Lengths have to agree, or the seconds have to fill the file exactly.
   The last episode may be cut short by the end of the file: what is there is indexed.

Otherwise nothing says where an episode's first frame is, and it is refused by name. Where the two sources disagree by
more than drift explains and one of them still decided, the episode is doubtful: `verify` reports it as an error.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from episeek.errors import EpisodeFramesError, EpisodeOutsideFileError
from episeek.mp4.sample_table import SampleTable
from episeek_schemas import sidecars

Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

ROUNDING_FRAMES = 0.25
"""From a whole number, where the seconds alone say how many frames there are."""

AGREEMENT_FRAMES = 0.5
"""Between an episode's seconds and its length, where the seconds have to confirm it."""

DRIFT_STEP_FRAMES = 0.75
"""What float sums and rounded durations may lose from one boundary to the next where the lengths add up."""

NEIGHBOUR_STEP_FRAMES = 1.5
"""Neighbours displaced alike, to within this, are displaced together: above it, there is a jump between them."""

SEVERAL_FRAMES = 8
"""The longest jump, gap or rest that may be an error of the seconds, and no frames of a deleted episode."""

_FAR_SECONDS = 1e9
"""Anything beyond is as far outside of a file."""


@dataclass(frozen=True, slots=True, eq=False)
class DeclaredEpisodes:
    """What `meta/episodes` says of the episodes in one MP4, sorted by from_timestamp; arrays of shape
    [episode_count].
    """

    episode_index: Int64Array
    length: Int64Array  # frames
    from_timestamp: Float64Array  # seconds in the file
    to_timestamp: Float64Array

    def __len__(self) -> int:
        return len(self.episode_index)

    @property
    def is_finite(self) -> BoolArray:
        """Whether both seconds are numbers."""
        finite: BoolArray = np.isfinite(self.from_timestamp) & np.isfinite(self.to_timestamp)
        return finite

    def digest(self, *, camera_index: int, fps: float) -> str:
        """`files.episodes_sha256`: hex SHA-256 of all that decides which frames of the file are whose."""
        digest = hashlib.sha256(np.array(camera_index, "<i8").tobytes() + np.array(fps, "<f8").tobytes())
        for name, dtype in sidecars.DECLARED_EPISODES:
            digest.update(np.ascontiguousarray(getattr(self, name), dtype).tobytes())
        return digest.hexdigest()

    @classmethod
    def sorted(
        cls, episode_index: Int64Array, length: Int64Array, from_timestamp: Float64Array, to_timestamp: Float64Array
    ) -> "DeclaredEpisodes":
        """From columns in any order."""
        order = np.lexsort((episode_index, from_timestamp))
        return cls(episode_index[order], length[order], from_timestamp[order], to_timestamp[order])


@dataclass(frozen=True, slots=True, eq=False)
class Boundaries:
    """Declared seconds as frames behind the file's first one, by some clock; arrays of shape [episode_count]."""

    begin: Float64Array  # NaN where it is no number
    end: Float64Array

    @property
    def span(self) -> Float64Array:
        """Frames in each episode."""
        return self.end - self.begin

    @property
    def gap(self) -> Float64Array:
        """Frames between each episode and the one in front of it; for the first one, the start of the file."""
        gap: Float64Array = self.begin - np.concatenate([[0.0], self.end[:-1]])
        return gap


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeFrames:
    """Frames `[first, first + count)` of the file, in presentation order, for each episode; arrays of shape
    [episode_count].
    """

    first: Int64Array
    count: Int64Array
    """0 or less for an episode outside the file, and for one that is not placed."""
    counted: Int64Array
    """The first frame by the lengths, and the gaps, of the episodes in front."""
    declared: Boundaries
    """The seconds, in frames of the file."""
    is_placed: BoolArray
    """False where nothing says which frame the episode starts at."""
    is_doubtful: BoolArray
    """True where seconds and lengths disagree by more than drift explains, and where an episode is not placed."""
    by_ordinals: bool
    """True when the lengths add up to the file's frames and decided alone."""


def locate_frames(seconds: Float64Array, episodes: DeclaredEpisodes, *, fps: float) -> EpisodeFrames:
    """Find the frames of each episode of one file; never raises.

    Args:
        seconds: Presentation times of the file's presented frames, ascending, shape [frames].
        episodes: What the metadata declares.
        fps: The dataset's frame rate; the seconds may be by it instead of by the file's times.
    """
    by_file = _by_file_times(seconds, episodes, fps)
    if not len(seconds) or not episodes.is_finite.all():
        nothing, nowhere = np.zeros(len(episodes), np.int64), np.zeros(len(episodes), np.bool_)
        return EpisodeFrames(nothing, nothing, nothing, by_file, nowhere, ~nowhere, False)
    walked, fills_file = _walk(by_file, episodes.length, len(seconds))
    if len(episodes) and len(seconds) == episodes.length.sum() and episodes.length.min() > 0:
        other = walked if fills_file else None
        return _count(by_file, _by_rate(seconds, episodes, fps), episodes.length, other)
    return walked


def assign_frames(table: SampleTable, episodes: DeclaredEpisodes, *, fps: float, where: str) -> EpisodeFrames:
    """`locate_frames` of a file's samples, with an episode refused that lies outside the file or has no certain place.

    Args:
        table: The file's samples.
        episodes: What the metadata declares.
        fps: The dataset's frame rate.
        where: The file, for messages.

    Raises:
        EpisodeOutsideFileError: No frame of the file lies within an episode's seconds.
        EpisodeFramesError: Seconds and lengths contradict each other, and neither fits the file.
    """
    seconds = table.pts[table.presentation_order()] / table.timescale
    frames = locate_frames(seconds, episodes, fps=fps)
    half_frame = 0.5 / fps
    held = np.searchsorted(seconds, episodes.to_timestamp - half_frame)
    held -= np.searchsorted(seconds, episodes.from_timestamp - half_frame)
    held[~episodes.is_finite] = 0  # NaN sorts behind everything
    outside = np.flatnonzero(np.where(frames.is_placed, frames.count, held) <= 0)
    if len(outside):
        row = int(outside[0])
        last = float(seconds[-1]) if len(seconds) else 0.0
        raise EpisodeOutsideFileError(
            f"{where}, episode {episodes.episode_index[row]}",
            f"declared seconds {episodes.from_timestamp[row]:g} to {episodes.to_timestamp[row]:g}",
            f"seconds within the file's {len(seconds)} frames, 0 to {last:g}",
        )
    lost = np.flatnonzero(~frames.is_placed)
    if len(lost):
        found, expected = disagreement(frames, episodes.length, int(lost[0]), len(seconds))
        raise EpisodeFramesError(f"{where}, episode {episodes.episode_index[lost[0]]}", found, expected)
    return frames


def disagreement(frames: EpisodeFrames, length: Int64Array, row: int, frame_count: int) -> tuple[str, str]:
    """What is found and what expected of a doubtful episode, in words."""
    start, counted = frames.declared.begin[row], int(frames.counted[row])
    found = f"seconds for the frames from {start:.2f} to {frames.declared.end[row]:.2f} of {frame_count}"
    return found, f"{counted} to {counted + length[row]}, by the lengths in front of it and its own"


def _by_file_times(seconds: Float64Array, episodes: DeclaredEpisodes, fps: float) -> Boundaries:
    """Boundaries on the times of the file's own frames; beyond them its mean rate goes on."""
    count = len(seconds)
    span = float(seconds[-1] - seconds[0]) if count > 1 else 0.0
    rate = (count - 1) / span if span > 0 else fps

    def position(declared: Float64Array) -> Float64Array:
        if not count:
            return np.full(len(declared), np.nan)
        declared = np.clip(declared, -_FAR_SECONDS, _FAR_SECONDS)
        beyond = np.maximum(declared - seconds[-1], 0) + np.minimum(declared - seconds[0], 0)
        frames: Float64Array = np.interp(declared, seconds, np.arange(count)) + beyond * rate
        return frames

    return Boundaries(position(episodes.from_timestamp), position(episodes.to_timestamp))


def _by_rate(seconds: Float64Array, episodes: DeclaredEpisodes, fps: float) -> Boundaries:
    """Boundaries by the dataset's rate: the seconds may be lengths divided by it, whatever times the file's frames have."""
    begin, end = (
        (np.clip(x, -_FAR_SECONDS, _FAR_SECONDS) - seconds[0]) * fps
        for x in (episodes.from_timestamp, episodes.to_timestamp)
    )
    return Boundaries(begin, end)


def _walk(declared: Boundaries, length: Int64Array, frame_count: int) -> tuple[EpisodeFrames, bool]:
    """From the file's start, boundary by boundary, in whole frames (rule 2); and whether that fills the file exactly."""
    gap, span = declared.gap, declared.span
    whole_gap, whole_span = np.rint(gap).astype(np.int64), np.rint(span).astype(np.int64)
    agrees = np.abs(span - length) <= AGREEMENT_FRAMES
    held = np.where(agrees, length, whole_span)
    first = np.cumsum(whole_gap) + np.cumsum(held) - held
    counted = np.cumsum(np.maximum(whole_gap, 0)) + np.cumsum(length) - length
    end = int((first + held)[-1]) if len(first) else 0

    has_gap = whole_gap > 0
    broken = ~((whole_gap == 0) | (has_gap & (np.abs(gap - whole_gap) <= ROUNDING_FRAMES)))
    is_whole = agrees | ((whole_span > 0) & (np.abs(span - whole_span) <= ROUNDING_FRAMES))
    fills_file = end == frame_count and bool((is_whole & ~broken).all())
    if not fills_file:
        broken[1:] |= ~agrees[:-1]
    is_lost = np.logical_or.accumulate(broken)
    left = frame_count - end
    is_odd_gap = has_gap & ((whole_gap <= SEVERAL_FRAMES) | (left < 0) | ((left > 0) & (left <= SEVERAL_FRAMES)))
    walked = EpisodeFrames(
        first=first,
        count=np.where(is_lost, 0, np.minimum(held, frame_count - first)),
        counted=counted,
        declared=declared,
        is_placed=~is_lost,
        is_doubtful=is_lost | np.logical_or.accumulate(is_odd_gap) | (first != counted),
        by_ordinals=False,
    )
    return walked, fills_file


def _count(by_file: Boundaries, by_rate: Boundaries, length: Int64Array, other: EpisodeFrames | None) -> EpisodeFrames:
    """The lengths add up to the frames of the file (rule 1). `other`: what the seconds say, where they fill it as well."""
    first = np.cumsum(length) - length
    is_elsewhere = np.abs(by_file.begin - first) > AGREEMENT_FRAMES
    is_placed = np.ones(len(first), np.bool_)
    if other is not None:
        is_placed = other.first == first
    elif not any(_keeps_order(clock, first, length) for clock in (by_file, by_rate)):
        is_placed = ~is_elsewhere
    is_doubtful = ~is_placed
    if not (_drifts(by_file, length, DRIFT_STEP_FRAMES) or _drifts(by_rate, length, ROUNDING_FRAMES)):
        is_doubtful |= is_elsewhere | _between_jumps(by_file, length)
    return EpisodeFrames(
        first, np.where(is_placed, length, 0), first, by_file, is_placed, is_doubtful, by_ordinals=True
    )


def _drifts(declared: Boundaries, length: Int64Array, step_frames: float) -> bool:
    """Whether the seconds repeat the lengths, one behind the other, but for small errors that add up.

    They may begin before the file does, whose times start late where no edit list takes back the delay of reordering.
    """
    gap = declared.gap
    steps = np.concatenate([np.maximum(gap[:1], 0), gap[1:], declared.span - length])
    return bool((np.abs(steps) <= step_frames).all())


def _between_jumps(declared: Boundaries, length: Int64Array) -> BoolArray:
    """Episodes between the first and the last step that is no drift: there, drift may hide what is missing or too much."""
    before, within = np.abs(declared.gap) > DRIFT_STEP_FRAMES, np.abs(declared.span - length) > DRIFT_STEP_FRAMES
    edges = np.stack([before, within], axis=1).reshape(-1)
    behind, in_front = np.logical_or.accumulate(edges), np.logical_or.accumulate(edges[::-1])[::-1]
    is_between: BoolArray = (behind[::2] & in_front[1::2]) | within
    return is_between


def _keeps_order(declared: Boundaries, first: Int64Array, length: Int64Array) -> bool:
    """Whether the counted episodes are the declared ones: no jump is longer than several frames, and of the episodes between
    two jumps one's seconds still hold its middle. One displaced by its whole length may be another one, or of another file.
    """
    moved = declared.begin - first
    jump = np.abs(np.diff(moved, prepend=0))
    if jump.max() > SEVERAL_FRAMES or (np.diff(declared.begin) <= AGREEMENT_FRAMES).any():
        return False
    run = np.cumsum(jump[1:] > NEIGHBOUR_STEP_FRAMES)
    run = np.concatenate([[0], run])
    middle = first + length / 2
    holds_middle = (declared.begin <= middle) & (middle <= declared.end)
    return not run[-1] or bool(np.isin(run, run[holds_middle]).all())
