"""Find the frames of episodes without usable seconds: the frames that the other episodes of the video file leave for them.

The numbers of episodes do not show the order of their frames in a file: tools that merge, delete or renumber episodes change it.
Therefore frames are not counted off in the order of the numbers. An episode gets frames only if no other episode without seconds
could have them.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from episeek_pipelines.video.alignment.align import BoolArray, Float64Array, Int64Array
from episeek_pipelines.video.alignment.encoder_starts import CONTINUES, STARTS, UNKNOWN, Int8Array
from episeek_pipelines.video.episode_frames import DeclaredEpisodes, FileFrames

_HALF_FRAME: Final = 0.5
_NOWHERE: Final = -1
_MOST_NUMBERS: Final = 8

_ELSEWHERE: Final = ("its frames follow the frames of the previous episode", "its frames are elsewhere in the file")

_Range = tuple[int, int]
"""A range `[start, stop)` of frames."""


@dataclass(frozen=True, slots=True, eq=False)
class FilledSeconds:
    """The seconds of all episodes of a file, with the missing ones filled in; or the reasons why they cannot be filled in."""

    begin: Float64Array
    """from_timestamp of each episode; shape [episodes]. Usable values are unchanged."""
    end: Float64Array
    proof: str
    """The reason why only these frames are possible, as a clause; empty if the seconds cannot be filled in."""
    readings: tuple[str, ...] = ()
    """The possible explanations if the seconds cannot be filled in."""


def fill_in_seconds(file: FileFrames, episodes: DeclaredEpisodes) -> FilledSeconds:
    """Fill in seconds that are not finite or negative, if the lengths and the other seconds leave one possibility for each of them.

    The episodes together have to have all frames of the file. An episode with one usable second has the frames at this second. The
    episodes without usable seconds have the other frames: each contiguous range of these frames has to be as long as exactly one of
    the episodes. If several episodes share a range, the range is divided where the encoder began a stream. An episode that would
    begin or end within a stream of a file with several streams gets no frames.

    Args:
        file: The frames of the file, at least one.
        episodes: The episodes of the file, in any order.

    Raises:
        ReadError: The samples in which an encoder marks the start of a stream cannot be read.
    """
    columns = episodes.from_timestamp, episodes.to_timestamp
    usable = tuple(np.isfinite(values) & (values >= 0) for values in columns)
    failed = FilledSeconds(*columns, "", _ELSEWHERE)
    length = episodes.length
    if len(file) != length.sum() or length.min() <= 0:
        return failed
    first = _first_frames(file, length, columns, usable)
    free = None if first is None else _free_ranges(first, length, len(file))
    if first is None or free is None:
        return failed
    lost = np.flatnonzero(first == _NOWHERE)
    proof = "the seconds of the other episodes leave only these frames"
    if len(lost):
        marks = _marks(file, free)
        places = _assigned(free, length[lost])
        if places is None and len(free) < len(lost):
            proof = f"{proof}, and only this order agrees with the lengths and the encoded streams"
            places = _assigned(_divided(free, marks), length[lost])
        if places is None:
            numbers = ", ".join(str(number) for number in episodes.episode_index[lost[:_MOST_NUMBERS]].tolist())
            more = " and others" if len(lost) > _MOST_NUMBERS else ""
            order = f"the frames of the episodes without seconds ({numbers}{more}) are in the order of the episodes"
            return FilledSeconds(*columns, "", (order, "their frames are in another order"))
        if _splits_streams(marks, np.concatenate([places, places + length[lost]])):
            return failed
        first[lost] = places
    edges = np.append(file.seconds, file.stop)
    begin, end = (
        np.where(is_usable, values, edges[frames])
        for values, is_usable, frames in zip(columns, usable, (first, first + length), strict=True)
    )
    return FilledSeconds(begin, end, proof)


def _first_frames(
    file: FileFrames, length: Int64Array, columns: tuple[Float64Array, ...], usable: tuple[BoolArray, ...]
) -> Int64Array | None:
    """Return the first frame of each episode with a usable second, `_NOWHERE` for the others; None if seconds contradict it."""
    edges = np.append(file.seconds, file.stop)
    half_frame = _HALF_FRAME / (file.frames_per_second or 1.0)
    first = np.full(len(length), _NOWHERE, np.int64)
    for values, is_usable, before in zip(columns, usable, (np.zeros_like(length), length), strict=True):
        known = np.flatnonzero(is_usable)
        frame = np.searchsorted(edges[1:] - np.diff(edges) / 2, values[known])
        found = frame - before[known]
        is_other = (first[known] != _NOWHERE) & (first[known] != found)
        if (np.abs(edges[frame] - values[known]) > half_frame).any() or is_other.any() or (found < 0).any():
            return None
        first[known] = found
    return first


def _free_ranges(first: Int64Array, length: Int64Array, frame_count: int) -> list[_Range] | None:
    """Return the ranges of frames between the episodes whose first frame is known, ascending; None if these episodes overlap."""
    known = np.flatnonzero(first != _NOWHERE)
    known = known[np.argsort(first[known], kind="stable")]
    starts = np.concatenate([[0], first[known] + length[known]]).tolist()
    stops = [*first[known].tolist(), frame_count]
    ranges = list(zip(starts, stops, strict=True))
    return None if any(stop < start for start, stop in ranges) else [each for each in ranges if each[0] < each[1]]


def _marks(file: FileFrames, ranges: list[_Range]) -> Int8Array:
    """Return the encoder's mark of each frame of the file; frames outside of the ranges may have the mark `UNKNOWN`."""
    if file.read_marks is None:
        return np.full(len(file), UNKNOWN, np.int8)
    return file.read_marks(np.concatenate([np.arange(start, min(stop + 1, len(file))) for start, stop in ranges]))


def _divided(ranges: list[_Range], marks: Int8Array) -> list[_Range]:
    """Divide ranges of frames where the encoder began a stream."""
    starts = np.flatnonzero(marks == STARTS)
    divided: list[_Range] = []
    for start, stop in ranges:
        cuts = [start, *starts[(starts > start) & (starts < stop)].tolist(), stop]
        divided += pairwise(cuts)
    return divided


def _splits_streams(marks: Int8Array, edges: Int64Array) -> bool:
    """Return whether the file has several streams, and one of them continues at a frame at which an episode begins or ends."""
    inside = edges[edges < len(marks)]
    return bool((marks[1:] == STARTS).any() and (marks[inside] == CONTINUES).any())


def _assigned(ranges: list[_Range], lengths: Int64Array) -> Int64Array | None:
    """Return the first frame of each episode, if each range is exactly as long as one episode and no two episodes are equally long.

    Args:
        ranges: Ranges of frames.
        lengths: The lengths of the episodes that have these frames.
    """
    of_size = {stop - start: start for start, stop in ranges}
    wanted = lengths.tolist()
    if len(ranges) != len(wanted) or len({*wanted}) < len(wanted) or of_size.keys() != {*wanted}:
        return None
    return np.array([of_size[size] for size in wanted], np.int64)
