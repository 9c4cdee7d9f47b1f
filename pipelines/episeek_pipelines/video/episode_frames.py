"""Find the frames of a video file that belong to each of its episodes.

`meta/episodes` declares the frames of an episode twice: by its length in frames, and by its seconds in the file. The seconds are
sums of floats, and drift by whole frames over a file. Therefore only the differences between consecutive boundaries are used,
which are right to a fraction of a frame.

1. If the lengths add up to the file's number of frames, and the seconds of each episode agree with its length, the frames are
   counted off: each episode gets as many frames as its length says, directly after the frames of the previous episode. Small
   errors in the seconds of the episodes may add up to many frames over the file.
2. Otherwise all episodes are aligned with the frames at once (`alignment.align`), and the encoder's marks are read as well: frames
   may be missing from an episode or belong to none, and the seconds may be wrong.

If the episodes need more frames than the file has, an episode may be declared in a file that is not its own. Then step 2
is preceded by a search for episodes whose seconds and lengths cover the file exactly (`alignment.tiling`). If there are some, they
have all frames of the file, and the file has no frame of the other episodes.

An episode whose first frame is uncertain is refused with a message that names the episode. An episode whose frames differ from the
frames that its seconds give, or that has more or fewer frames than its length, is reported (`frame_problems`).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from episeek.mp4.sample_table import SampleTable
from episeek_pipelines.video.alignment.align import Alignment, BoolArray, Evidence, Float64Array, Int64Array, align
from episeek_pipelines.video.alignment.boundaries import (
    AGREEMENT_FRAMES,
    DRIFT_STEP_FRAMES,
    ROUNDING_FRAMES,
    Boundaries,
    by_file_times,
    by_rate,
    drifts,
    is_beside,
    is_displaced,
    is_nowhere,
    walk,
)
from episeek_pipelines.video.alignment.encoder_starts import STARTS, UNKNOWN, Int8Array
from episeek_pipelines.video.alignment.tiling import find_tilings
from episeek_schemas import sidecars

ReadMarks = Callable[[Int64Array], Int8Array]
"""A function that returns, for each frame, whether an encoder started there. Its argument lists the frames that matter most."""


@dataclass(frozen=True, slots=True, eq=False)
class DeclaredEpisodes:
    """The episodes of one video file as `meta/episodes` declares them, sorted by from_timestamp.

    All arrays have the shape [episode_count].
    """

    episode_index: Int64Array
    length: Int64Array
    """Number of frames."""
    from_timestamp: Float64Array
    """Start in the file, seconds."""
    to_timestamp: Float64Array
    """End in the file, seconds."""

    def __len__(self) -> int:
        return len(self.episode_index)

    @property
    def is_finite(self) -> BoolArray:
        """For each episode, whether both timestamps are finite numbers."""
        finite: BoolArray = np.isfinite(self.from_timestamp) & np.isfinite(self.to_timestamp)
        return finite

    def digest(self, *, camera_index: int, fps: float) -> str:
        """Return the value of `files.episodes_sha256`: the SHA-256, hex, of all declarations that assign frames to episodes."""
        digest = hashlib.sha256(np.array(camera_index, "<i8").tobytes() + np.array(fps, "<f8").tobytes())
        for name, dtype in sidecars.DECLARED_EPISODES:
            digest.update(np.ascontiguousarray(getattr(self, name), dtype).tobytes())
        return digest.hexdigest()

    @classmethod
    def sorted(
        cls, episode_index: Int64Array, length: Int64Array, from_timestamp: Float64Array, to_timestamp: Float64Array
    ) -> "DeclaredEpisodes":
        """Return the episodes in these columns, sorted by from_timestamp. The rows of the columns may be in any order."""
        order = np.lexsort((episode_index, from_timestamp))
        return cls(episode_index[order], length[order], from_timestamp[order], to_timestamp[order])


@dataclass(frozen=True, slots=True, eq=False)
class FileFrames:
    """The presented frames of a file, in presentation order; arrays have shape [frames]."""

    seconds: Float64Array
    """Presentation times in seconds, ascending."""
    is_sync: BoolArray
    stop: float
    """Time at which the last frame ends, seconds; 0 without frames."""
    read_marks: ReadMarks | None = None
    """Reads whether an encoder started at each frame; None if the samples cannot be read. It is called only if the declared lengths
    do not settle which frames belong to which episode.
    """

    def __len__(self) -> int:
        return len(self.seconds)

    @property
    def has_steady_rate(self) -> bool:
        """Whether every frame is within half a frame of its time at one constant rate."""
        if len(self) < 3:
            return True
        steady = np.linspace(self.seconds[0], self.seconds[-1], len(self))
        return bool(np.abs(self.seconds - steady).max() < AGREEMENT_FRAMES * (steady[1] - steady[0]))

    @property
    def frames_per_second(self) -> float:
        """Average rate in frames per second; 0 with fewer than two frames."""
        span = float(self.seconds[-1] - self.seconds[0]) if len(self) > 1 else 0.0
        return (len(self) - 1) / span if span > 0 else 0.0

    def has_other_rate(self, *, fps: float) -> bool:
        """Return whether the frames come at a steady rate other than `fps`. The time of frame k then differs from k/fps.

        A rate is steady if every frame is within half a frame of its time at this rate. Otherwise frames are missing or irregular.
        """
        rate = self.frames_per_second
        if not rate:
            return False
        drift = (self.seconds[-1] - self.seconds[0]) * fps - (len(self) - 1)
        steady = self.seconds[0] + np.arange(len(self)) / rate
        wobble = float(np.abs(self.seconds - steady).max()) * rate
        return bool(abs(float(drift)) >= AGREEMENT_FRAMES and wobble < AGREEMENT_FRAMES)

    @classmethod
    def of(cls, table: SampleTable, read_marks: ReadMarks | None = None) -> "FileFrames":
        """Return the frames of a sample table."""
        order = table.presentation_order()
        stop = float(table.pts[order[-1]] + table.duration[order[-1]]) / table.timescale if len(order) else 0.0
        return cls(table.pts[order] / table.timescale, table.is_sync[order], stop, read_marks)


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeFrames:
    """The frames of each episode: `[first, first + count)` of the file, in presentation order.

    All arrays have the shape [episode_count].
    """

    first: Int64Array
    count: Int64Array
    """The episode's length, or less if frames are missing from the file; 0 if `is_placed` is False."""
    other_first: Int64Array
    """The other possible first frame of an episode whose first frame is uncertain; -1 for other episodes."""
    surplus: Int64Array
    """Number of frames that belong to no episode, from the end of this episode to the next episode or to the end of the file."""
    tail: Int64Array
    """Number of the `surplus` frames that were encoded with this episode. The others were encoded with the next episode."""
    head: int
    """Number of frames that belong to no episode, before the first episode."""
    declared: Boundaries
    """The declared seconds, converted to frames of the file."""
    is_placed: BoolArray
    """False for an episode whose first frame is uncertain, or whose seconds are empty, invalid or far from its frames."""
    is_doubtful: BoolArray
    """True for an episode whose seconds give other frames, by more than drift explains, or whose first frame is uncertain."""
    by_ordinals: bool
    """True if the lengths add up to the file's number of frames and the episodes follow one another."""
    is_absent: BoolArray
    """True for an episode of which the file has no frame, because its other episodes have all frames of the file."""
    is_contested: BoolArray
    """True for an episode whose seconds and length give frames that another episode needs as well, and whose `first` is the first
    of these frames. `is_placed` is False for it, as for an absent episode."""


def locate_frames(file: FileFrames, episodes: DeclaredEpisodes, *, fps: float) -> EpisodeFrames:
    """Find the frames of each episode of one file.

    Args:
        file: The file's frames.
        episodes: The declared episodes.
        fps: The dataset's frame rate, which the declared seconds may follow instead of the file's times.

    Raises:
        ReadError: The samples cannot be read to find where an encoder started.
    """
    by_file = by_file_times(file.seconds, file.stop, episodes.from_timestamp, episodes.to_timestamp, fps=fps)
    if not len(file) or not len(episodes) or not episodes.is_finite.all():
        nothing, nowhere = np.zeros(len(episodes), np.int64), np.zeros(len(episodes), np.bool_)
        return _without_surplus(nothing, nothing, by_file, nowhere, nowhere, nowhere, by_ordinals=False)
    by_clock = by_rate(float(file.seconds[0]), episodes.from_timestamp, episodes.to_timestamp, fps=fps)
    length = episodes.length
    counted = np.cumsum(length) - length
    adds_up = len(file) == length.sum() and length.min() >= 0
    if adds_up and (drifts(by_file, length, DRIFT_STEP_FRAMES) or drifts(by_clock, length, ROUNDING_FRAMES)):
        none = np.zeros(len(length), np.bool_)
        return _without_surplus(counted, length, by_file, ~none, none, none, by_ordinals=True)
    if len(file) < length.sum() and length.min() > 0:
        for clock, step_frames in ((by_file, DRIFT_STEP_FRAMES), (by_clock, ROUNDING_FRAMES)):
            found = find_tilings(clock, length, len(file), delay=_delay(file), step_frames=step_frames)
            if found is not None:
                first, count = np.maximum(found.first, 0), np.where(found.is_certain, length, 0)
                is_absent, is_contested = found.is_absent, found.is_contested
                return _without_surplus(
                    first, count, by_file, found.is_certain, is_absent, is_contested, by_ordinals=False
                )
    return _aligned(file, length, (by_file, by_clock))


def _without_surplus(
    first: Int64Array,
    count: Int64Array,
    declared: Boundaries,
    is_placed: BoolArray,
    is_absent: BoolArray,
    is_contested: BoolArray,
    *,
    by_ordinals: bool,
) -> EpisodeFrames:
    """Return the frames of episodes that have one possible first frame or none, in a file without frames of no episode."""
    none = np.zeros(len(first), np.int64)
    return EpisodeFrames(
        first=first,
        count=count,
        other_first=none - 1,
        surplus=none,
        tail=none,
        head=0,
        declared=declared,
        is_placed=is_placed,
        is_doubtful=~is_placed,
        by_ordinals=by_ordinals,
        is_absent=is_absent,
        is_contested=is_contested,
    )


def _delay(file: FileFrames) -> float:
    """Return the number of frames from time 0 to the file's first frame, at the file's mean rate."""
    span = float(file.seconds[-1] - file.seconds[0])
    return float(file.seconds[0]) * (len(file) - 1) / span if span > 0 else 0.0


def is_counted_alone(episodes: DeclaredEpisodes, frame_count: int, *, fps: float) -> bool:
    """Return whether the frames of all episodes follow from the declared lengths, whatever the times of the file's frames are."""
    if not len(episodes) or not episodes.is_finite.all() or frame_count != episodes.length.sum():
        return False
    declared = by_rate(0.0, episodes.from_timestamp, episodes.to_timestamp, fps=fps)
    return drifts(declared, episodes.length, ROUNDING_FRAMES)


def _aligned(file: FileFrames, length: Int64Array, clocks: tuple[Boundaries, ...]) -> EpisodeFrames:
    """Align the episodes with the frames, once for each conversion of seconds to frames, and use the cheapest alignment."""
    by_file, by_clock = clocks
    if np.abs(np.stack([by_file.begin - by_clock.begin, by_file.end - by_clock.end])).max() <= ROUNDING_FRAMES:
        clocks = (by_file,)
    counted = np.cumsum(length) - length
    rest = len(file) - int(length.sum())
    walks = [walk(clock, length) for clock in clocks]
    wanted = np.unique(np.concatenate([counted, counted + rest, *walks]))
    wanted = wanted[(wanted >= 0) & (wanted < len(file))]
    marks = np.full(len(file), UNKNOWN, np.int8) if file.read_marks is None else file.read_marks(wanted)
    delay = _delay(file)
    best: Alignment | None = None
    best_clock = clocks[0]
    for clock, walked in zip(clocks, walks, strict=True):
        possible = [np.array(places) for places in zip(counted, counted + rest, walked, strict=True)]
        found = align(Evidence(file.is_sync, marks, clock.begin, clock.end, length, delay, possible))
        if best is None or found.cost < best.cost - 1:
            best, best_clock = found, clock
    assert best is not None
    first = best.first
    stop = np.minimum(first + length, np.append(first[1:], len(file)))
    surplus = np.append(first[1:], len(file)) - stop
    begins_stream = np.append(marks == STARTS, False)[first]
    is_elsewhere = is_beside(best_clock, first, length, delay) & ~begins_stream
    is_placed = (best.other < 0) & ~is_elsewhere & ~is_nowhere(best_clock, length, len(file))
    is_doubtful = ~is_placed | is_displaced(best_clock, first, length, surplus, delay)
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
        is_absent=np.zeros(len(length), np.bool_),
        is_contested=np.zeros(len(length), np.bool_),
    )


def _tails(
    declared: Boundaries, first: Int64Array, length: Int64Array, surplus: Int64Array, marks: Int8Array
) -> Int64Array:
    """Return, for each episode, how many of the frames between it and the next episode were encoded in the episode's stream.

    `surplus` has the number of all frames between the episodes. A stream ends at the next frame that is marked as the start of a
    stream. If no frame is marked, it ends with the episode's declared seconds, or with the file for the last episode.
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
