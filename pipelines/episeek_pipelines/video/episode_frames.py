"""Find the frames of a video file that belong to each of its episodes.

`meta/episodes` declares them in two ways: by lengths in frames, and by seconds in the file. The seconds are sums of floats and
drift by whole frames over a file. Therefore only their differences from one boundary to the next are used, which are right to
a fraction of a frame.

1. Where the lengths add up to the file's frames, counting decides. The seconds may have drifted by any distance: they may
   overlap, leave gaps, or run past the end of the file. Counting does not decide where the seconds fill the file
   exactly, too, but place the episodes elsewhere, or where they jump by more than several frames.
2. Where the lengths do not add up, since episodes were deleted, frames at the end belong to no episode, or the file was cut
   short, an episode starts where the differences of the seconds from the file's start add up to, in whole frames. The
   lengths have to agree with the seconds, or the seconds have to fill the file exactly. The last episode may be cut short by
   the end of the file: the frames that exist are indexed.

Otherwise the first frame of an episode is uncertain, and the episode is refused by name. Where lengths and seconds disagree by
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
"""Greatest distance from a whole number of frames where the seconds alone give that number."""

AGREEMENT_FRAMES = 0.5
"""Greatest difference between an episode's seconds and its length where the two have to agree."""

DRIFT_STEP_FRAMES = 0.75
"""Greatest error of float sums and rounded durations from one boundary to the next where the lengths add up."""

NEIGHBOUR_STEP_FRAMES = 1.5
"""Neighbouring episodes whose displacements differ by no more than this are displaced together; otherwise by a jump."""

SEVERAL_FRAMES = 8
"""The longest jump, gap or rest that may be an error of the seconds rather than the frames of a deleted episode."""

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
class EpisodeFrames:
    """Frames `[first, first + count)` of the file, in presentation order, for each episode.

    All arrays have the shape [episode_count].
    """

    first: Int64Array
    count: Int64Array
    """0 or less for an episode that lies outside the file or is not placed."""
    counted: Int64Array
    """The first frame by the lengths of the episodes before it and the gaps between them."""
    declared: Boundaries
    """The declared seconds, in frames of the file."""
    is_placed: BoolArray
    """False where the first frame of the episode is uncertain."""
    is_doubtful: BoolArray
    """True where seconds and lengths disagree by more than drift explains, or the episode is not placed."""
    by_ordinals: bool
    """True where the lengths add up to the file's frames and decided alone."""


def locate_frames(seconds: Float64Array, episodes: DeclaredEpisodes, *, fps: float) -> EpisodeFrames:
    """Find the frames of each episode of one file. Never raises.

    Args:
        seconds: Presentation times of the file's presented frames, ascending, shape [frames].
        episodes: The declared episodes.
        fps: The dataset's frame rate, which the declared seconds may follow instead of the file's times.
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
    """Find the frames of each episode as `locate_frames`, and refuse episodes outside the file or without a certain place.

    Args:
        table: The file's samples.
        episodes: The declared episodes.
        fps: The dataset's frame rate.
        where: The file, for messages.

    Raises:
        EpisodeOutsideFileError: No frame of the file lies within an episode's seconds.
        EpisodeFramesError: Seconds and lengths contradict each other, and neither of them fits the file.
    """
    seconds = table.pts[table.presentation_order()] / table.timescale
    frames = locate_frames(seconds, episodes, fps=fps)
    half_frame = 0.5 / fps
    held = np.searchsorted(seconds, episodes.to_timestamp - half_frame)
    held -= np.searchsorted(seconds, episodes.from_timestamp - half_frame)
    # NaN sorts after all numbers
    held[~episodes.is_finite] = 0
    outside = np.flatnonzero(np.where(frames.is_placed, frames.count, held) <= 0)
    if len(outside):
        row = int(outside[0])
        last = float(seconds[-1]) if len(seconds) else 0.0
        raise EpisodeOutsideFileError(
            f"{where}, episode {episodes.episode_index[row]}",
            f"declared seconds {episodes.from_timestamp[row]:g} to {episodes.to_timestamp[row]:g}",
            f"seconds within the file's {len(seconds)} frames, 0 to {last:g}",
        )
    unplaced = np.flatnonzero(~frames.is_placed)
    if len(unplaced):
        found, expected = disagreement(frames, episodes.length, int(unplaced[0]), len(seconds))
        raise EpisodeFramesError(f"{where}, episode {episodes.episode_index[unplaced[0]]}", found, expected)
    return frames


def disagreement(frames: EpisodeFrames, length: Int64Array, row: int, frame_count: int) -> tuple[str, str]:
    """Return in words what is found and what is expected for a doubtful episode."""
    start, counted = frames.declared.begin[row], int(frames.counted[row])
    found = f"seconds for the frames from {start:.2f} to {frames.declared.end[row]:.2f} of {frame_count}"
    return found, f"{counted} to {counted + length[row]}, by the lengths of the episodes up to it"


def _by_file_times(seconds: Float64Array, episodes: DeclaredEpisodes, fps: float) -> Boundaries:
    """Return the boundaries by the times of the file's own frames, continued outside the file at its mean rate."""
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
    """Return the boundaries by the dataset's frame rate: the seconds may be lengths divided by it, whatever the file's times."""
    begin, end = (
        (np.clip(x, -_FAR_SECONDS, _FAR_SECONDS) - seconds[0]) * fps
        for x in (episodes.from_timestamp, episodes.to_timestamp)
    )
    return Boundaries(begin, end)


def _walk(declared: Boundaries, length: Int64Array, frame_count: int) -> tuple[EpisodeFrames, bool]:
    """Place the episodes from the file's start, boundary by boundary, in whole frames (rule 2).

    Returns:
        The frames, and whether they fill the file exactly.
    """
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
    is_unplaced = np.logical_or.accumulate(broken)
    rest = frame_count - end
    is_odd_gap = has_gap & ((whole_gap <= SEVERAL_FRAMES) | (rest < 0) | ((rest > 0) & (rest <= SEVERAL_FRAMES)))
    walked = EpisodeFrames(
        first=first,
        count=np.where(is_unplaced, 0, np.minimum(held, frame_count - first)),
        counted=counted,
        declared=declared,
        is_placed=~is_unplaced,
        is_doubtful=is_unplaced | np.logical_or.accumulate(is_odd_gap) | (first != counted),
        by_ordinals=False,
    )
    return walked, fills_file


def _count(by_file: Boundaries, by_rate: Boundaries, length: Int64Array, other: EpisodeFrames | None) -> EpisodeFrames:
    """Place the episodes by their lengths, which add up to the frames of the file (rule 1).

    Args:
        by_file: Boundaries by the times of the file's frames.
        by_rate: Boundaries by the dataset's frame rate.
        length: The declared lengths, frames.
        other: The frames by the seconds, where these fill the file exactly as well.
    """
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
    """Return whether the seconds repeat the lengths, one after the other, with small errors that add up.

    They may begin before the file does: its times start late where no edit list takes back the delay of reordering.
    """
    gap = declared.gap
    steps = np.concatenate([np.maximum(gap[:1], 0), gap[1:], declared.span - length])
    return bool((np.abs(steps) <= step_frames).all())


def _between_jumps(declared: Boundaries, length: Int64Array) -> BoolArray:
    """Return the episodes between the first and the last step that drift does not explain.

    Between these, drift may hide missing or surplus frames.
    """
    before, within = np.abs(declared.gap) > DRIFT_STEP_FRAMES, np.abs(declared.span - length) > DRIFT_STEP_FRAMES
    edges = np.stack([before, within], axis=1).reshape(-1)
    after_one, before_one = np.logical_or.accumulate(edges), np.logical_or.accumulate(edges[::-1])[::-1]
    is_between: BoolArray = (after_one[::2] & before_one[1::2]) | within
    return is_between


def _keeps_order(declared: Boundaries, first: Int64Array, length: Int64Array) -> bool:
    """Return whether the counted episodes are the declared ones.

    They are where no jump is longer than several frames, and between two jumps the seconds of at least one episode still
    contain its middle. An episode displaced by its whole length may be another one, or belong to another file.
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
