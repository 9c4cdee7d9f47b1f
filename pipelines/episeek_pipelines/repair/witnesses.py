"""Decide whether the seconds of the episodes of a video file can be read in one way only.

The seconds of an episode name its first frame twice: by from_timestamp, and by to_timestamp minus the length. A reading gives each
episode a first frame; each of these two values that names another frame is contradicted, and would be changed. A repair follows the
reading that contradicts the fewest values, and only if every other reading contradicts more.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from episeek_pipelines.video.alignment.align import BoolArray, Float64Array, Int64Array
from episeek_pipelines.video.alignment.boundaries import AGREEMENT_FRAMES, DRIFT_STEP_FRAMES, by_file_times, by_rate
from episeek_pipelines.video.alignment.encoder_starts import CONTINUES, STARTS, UNKNOWN, Int8Array
from episeek_pipelines.video.episode_frames import DeclaredEpisodes, EpisodeFrames, FileFrames, locate_frames

_ALL_VALUES: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A reading of the seconds of a file: the episodes in an order, and their frames. Arrays have the shape [episodes]."""

    order: Int64Array
    """The positions of the episodes in `DeclaredEpisodes`, in the order of their frames."""
    episodes: DeclaredEpisodes
    """The episodes in this order."""
    frames: EpisodeFrames
    named: Float64Array
    """The first frame that from_timestamp and to_timestamp name; shape [episodes, 2]."""
    contradicted: Int64Array
    """How many of the two values name another first frame than `frames.first`."""


def possible_readings(file: FileFrames, episodes: DeclaredEpisodes, *, fps: float) -> list[Reading]:
    """Return one reading for each order that the seconds allow, the one with the fewest contradicted values first.

    The seconds allow the order of from_timestamp, the order of to_timestamp minus the length, and either order of episodes with
    the same value.

    Args:
        file: The frames of the file, at least one.
        episodes: The episodes of the file, in any order, with finite seconds.
        fps: The dataset's frame rate.

    Raises:
        ReadError: The samples in which an encoder marks the start of a stream cannot be read.
    """
    named = _named(file, episodes, fps=fps)[0]
    numbers = episodes.episode_index
    begins = np.lexsort((numbers, episodes.from_timestamp))
    orders = [begins]
    orders += [np.lexsort((sign * numbers, np.rint(places))) for places in named.T for sign in (1, -1)]
    distinct = {tuple(order.tolist()): order for order in orders}
    readings = [_reading(file, episodes, order, fps=fps) for order in distinct.values()]
    if any(reading.frames.is_absent.any() or reading.frames.is_contested.any() for reading in readings):
        # Episodes are declared in a file that is not their own. Their seconds say nothing about the order in this file.
        return readings[:1]
    return sorted(readings, key=lambda reading: int(reading.contradicted.sum()))


def is_decided(readings: Sequence[Reading]) -> bool:
    """Return whether the first of several readings is the right one.

    It has to contradict fewer values than every other one. As not all orders are tried, it also has to agree with one value of
    each episode, and the episodes have to have all frames of the file: then no other order contradicts fewer values.
    """
    best, *others = readings
    fewest = int(best.contradicted.sum())
    is_least = all(int(other.contradicted.sum()) > fewest for other in others)
    return not others or (is_least and best.frames.by_ordinals and bool((best.contradicted < _ALL_VALUES).all()))


def other_places(file: FileFrames, reading: Reading) -> dict[int, int]:
    """Return another first frame for each episode that has one in a reading that contradicts no more values; keys are rows.

    Such a reading moves an episode to a frame that one of its values names, and with it the episodes that have these frames.
    They are moved to frames that their own values name, or to any other frames that are left. An episode is not moved to where
    its first or last frame would split an encoded stream, unless the given reading splits streams as well.

    Raises:
        ReadError: The samples in which an encoder marks the start of a stream cannot be read.
    """
    rows = np.flatnonzero((reading.contradicted > 0) & reading.frames.is_placed)
    if not len(rows):
        return {}
    search = _Search.of(file, reading)
    found: dict[int, int] = {}
    for row in rows.tolist():
        for place in search.candidates(row):
            for moved, first in search.moves(row, place).items():
                found.setdefault(moved, first)
    return found


def _reading(file: FileFrames, episodes: DeclaredEpisodes, order: Int64Array, *, fps: float) -> Reading:
    ordered = DeclaredEpisodes(
        episodes.episode_index[order],
        episodes.length[order],
        episodes.from_timestamp[order],
        episodes.to_timestamp[order],
    )
    frames = locate_frames(file, ordered, fps=fps)
    start = float(file.seconds[0]) * file.frames_per_second
    best: tuple[Float64Array, Int64Array] | None = None
    for named in _named(file, ordered, fps=fps):
        contradicted = np.sum(~_agrees(named - frames.first[:, None], start), axis=1)
        if best is None or contradicted.sum() < best[1].sum():
            best = named, contradicted
    assert best is not None
    return Reading(order, ordered, frames, *best)


def _named(file: FileFrames, episodes: DeclaredEpisodes, *, fps: float) -> list[Float64Array]:
    """Return the first frames that from_timestamp and to_timestamp name, by the times of the frames and by the dataset's rate."""
    columns = episodes.from_timestamp, episodes.to_timestamp
    by_file = by_file_times(file.seconds, file.stop, *columns, fps=fps)
    clocks = by_file, by_rate(float(file.seconds[0]), *columns, fps=fps)
    return [np.stack([clock.begin, clock.end - episodes.length], axis=1) for clock in clocks]


def _agrees(error: Float64Array, delay: float) -> BoolArray:
    """Return which values name the first frame of their episode, apart from drift; shape [episodes, 2].

    Args:
        error: The named first frames minus those of the reading, in the order of the frames; shape [episodes, 2].
        delay: Number of frames from time 0 to the file's first frame.
    """
    agrees = np.abs(error) <= AGREEMENT_FRAMES
    drift = 0.0
    flat, result = error.reshape(-1).tolist(), agrees.reshape(-1)
    for position, each in enumerate(flat):
        is_drift = abs(each - drift) <= DRIFT_STEP_FRAMES or abs(each + delay) <= AGREEMENT_FRAMES
        result[position] |= is_drift
        if result[position]:
            drift = each
    return agrees


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """The search for another reading. Rows are positions in the order of the reading."""

    reading: Reading
    frame_count: int
    is_continued: BoolArray
    """Whether a frame continues a stream, so that no episode begins there; shape [frames + 1]."""
    starts: Int64Array
    """The frames at which an encoder began a stream, if no episode of the reading has one within it; otherwise none."""

    @classmethod
    def of(cls, file: FileFrames, reading: Reading) -> "_Search":
        first, stop = reading.frames.first, reading.frames.first + reading.episodes.length
        marks: Int8Array = np.full(len(file), UNKNOWN, np.int8)
        if file.read_marks is not None:
            named = np.rint(reading.named).astype(np.int64).reshape(-1)
            wanted = np.unique(np.concatenate([first, named]))
            marks = file.read_marks(wanted[(wanted >= 0) & (wanted < len(file))])
        is_continued = np.append(~file.is_sync | (marks == CONTINUES), False)
        if is_continued[np.minimum(first, len(file))].any():
            is_continued[:] = False
        starts = np.flatnonzero(marks == STARTS)
        if (np.searchsorted(starts, stop) > np.searchsorted(starts, first, side="right")).any():
            starts = starts[:0]
        return cls(reading, len(file), is_continued, starts)

    def candidates(self, row: int) -> Iterator[int]:
        """Yield the other possible first frames of an episode that its values name."""
        first, length = int(self.reading.frames.first[row]), int(self.reading.episodes.length[row])
        for place in sorted({round(each) for each in self.reading.named[row].tolist()}):
            if place == first or place < 0 or place + length > self.frame_count:
                continue
            within = np.searchsorted(self.starts, place + length) - np.searchsorted(self.starts, place, side="right")
            if not within and not self.is_continued[place]:
                yield place

    def moves(self, row: int, place: int) -> dict[int, int]:
        """Return the episodes that move if an episode is moved, with their new first frames.

        The result is empty if the other reading is impossible or contradicts more values. Episodes that may be anywhere in the
        frames that are left are not listed.
        """
        length, contradicted = self.reading.episodes.length, self.reading.contradicted
        moved = {row: place}
        homeless: set[int] = set()
        waiting = [row]
        while waiting:
            for other in self._at(waiting.pop(), moved):
                if other in moved or other in homeless:
                    continue
                free = [each for each in self.candidates(other) if not self._overlaps(other, each, moved)]
                if free:
                    moved[other] = free[0]
                    waiting.append(other)
                else:
                    homeless.add(other)
        more = sum(self._contradicts(each, at) - int(contradicted[each]) for each, at in moved.items())
        more += sum(_ALL_VALUES - int(contradicted[each]) for each in homeless)
        if more > 0 or (homeless and self._longest_rest(moved, homeless) < int(length[list(homeless)].max())):
            return {}
        return moved

    def _contradicts(self, row: int, place: int) -> int:
        return int((np.abs(self.reading.named[row] - place) > AGREEMENT_FRAMES).sum())

    def _at(self, row: int, moved: dict[int, int]) -> list[int]:
        """Return the other episodes that have frames at the new place of an episode in the given reading."""
        first, length = self.reading.frames.first, self.reading.episodes.length
        start, stop = moved[row], moved[row] + int(length[row])
        rows = np.flatnonzero((first < stop) & (first + length > start))
        return [other for other in rows.tolist() if other != row]

    def _overlaps(self, row: int, place: int, moved: dict[int, int]) -> bool:
        length = self.reading.episodes.length
        stop = place + int(length[row])
        return any(place < at + int(length[each]) and at < stop for each, at in moved.items())

    def _longest_rest(self, moved: dict[int, int], homeless: set[int]) -> int:
        """Return the greatest number of contiguous frames that no other episode has."""
        length = self.reading.episodes.length.tolist()
        first = {row: moved.get(row, at) for row, at in enumerate(self.reading.frames.first.tolist())}
        taken = sorted((at, at + length[row]) for row, at in first.items() if row not in homeless)
        longest = done = 0
        for start, stop in (*taken, (self.frame_count, self.frame_count)):
            longest, done = max(longest, start - done), max(done, stop)
        return longest
