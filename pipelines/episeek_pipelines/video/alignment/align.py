"""Align all episodes of a video file with its frames at once.

An alignment gives each episode its first frame. Each contradiction of the evidence has a cost, and the cost of an alignment is
the sum of these costs. Dynamic programming over a few possible first frames of each episode finds the cheapest alignment. An
episode is uncertain if an alignment with another first frame costs at most `MARGIN` more, and certain otherwise.

The kinds of evidence, and the cost of contradicting each:

- Declared seconds: A difference between the seconds and the frames from one start to the next costs nothing if rounding explains
  it, and otherwise up to `_LONGEST_JUMP` (see `jump_cost`). A declared end that fits neither the episode's length nor the next
  start costs `_END`.
- Lengths: Frames that are missing from an episode cost `_MISSING` if the declared seconds lack them, too. Otherwise they cost
  `_MISSING_UNDECLARED`, or `_CUT` at the end of the file. Frames that belong to no episode cost only `_UNCLAIMED` or
  `_UNCLAIMED_UNDECLARED`, because recordings are trimmed.
- Encoder starts: LeRobot encodes each episode by itself. A stream that begins within an episode therefore costs `_STRADDLE`, and an
  episode that begins within a stream costs `_INSIDE`, unless trimmed frames precede the episode. A file that was encoded as one
  stream has no such costs. If the encoder left no marks, a stream may begin at each sync sample whose distance to the previous sync
  sample is less than the greatest distance in the file. An episode that begins at another sync sample costs `_DUE`.

One fault of the metadata costs 8 to 20. An alignment that assumes one fault fewer than every other is therefore certain. If two
alignments assume different faults of the same cost, the episode is uncertain.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from episeek_pipelines.video.alignment.encoder_starts import CONTINUES, STARTS, UNKNOWN, Int8Array

Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

MARGIN: Final = 4.0
"""An alignment is another possible one if it costs at most this much more than the cheapest alignment."""

_ROUNDING_FRAMES = 0.25
_JUMP_FRAMES = 0.75
"""A difference of up to `_ROUNDING_FRAMES` frames between the declared seconds and the file counts as rounding. A difference of
`_JUMP_FRAMES` frames or more counts as a fault.
"""
_SEVERAL_FRAMES = 8
"""A difference between declared seconds and frames costs 1 more for each frame above this number: the larger the difference, the
less likely it is an error of the seconds."""

_JUMP = 8.0
_LONGEST_JUMP = 20.0
_END = 4.0
_MISSING = 12.0
_MISSING_UNDECLARED = 20.0
_CUT = 14.0
_UNCLAIMED = 1.0
_UNCLAIMED_UNDECLARED = 2.0
_STRADDLE = 16.0
_INSIDE = 6.0
_DUE = 2.0
_IMPOSSIBLE = 1e9

_NEAR_STARTS = 3
"""Number of encoder starts, or of sync samples, before and after a declared start that are tried as the episode's first frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The frames of a file and its declared episodes. `is_sync` and `marks` have shape [frames], the other arrays [episodes]."""

    is_sync: BoolArray
    marks: Int8Array
    """For each frame, whether an encoder started there: `STARTS`, `CONTINUES` or `UNKNOWN`, from `encoder_starts`."""
    begin: Float64Array
    """Declared starts of the episodes, in frames from the file's first frame."""
    end: Float64Array
    length: Int64Array
    delay: float
    """Number of frames from time 0 to the file's first frame: more than 0 if no edit list removes the delay that reordering causes.
    The declared seconds may count from time 0 or from the first frame.
    """
    possible: list[Int64Array]
    """For each episode, frames to try as its first frame, besides the frames that the other evidence suggests."""


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """The alignment that contradicts the evidence least, and its cost; arrays have shape [episodes]."""

    first: Int64Array
    other: Int64Array
    """The other possible first frame of an uncertain episode; -1 for a certain episode."""
    cost: float


def jump_cost(difference: npt.ArrayLike) -> Float64Array:
    """Return the cost of declared seconds that differ from the number of frames by `difference` frames."""
    size = np.abs(np.asarray(difference, np.float64))
    slope = _JUMP / (_JUMP_FRAMES - _ROUNDING_FRAMES)
    short = np.clip((size - _ROUNDING_FRAMES) * slope, 0, _JUMP)
    cost: Float64Array = np.minimum(short + np.maximum(size - _SEVERAL_FRAMES, 0), _LONGEST_JUMP)
    return cost


def align(evidence: Evidence) -> Alignment:
    """Return the alignment that contradicts the evidence least. Never raises.

    The evidence has to contain at least one episode and one frame.
    """
    count = len(evidence.length)
    streams = _Streams.of(evidence)
    places = [_places(evidence, streams, row) for row in range(count)]
    local = [_local_cost(evidence, streams, row, places[row]) for row in range(count)]
    local[0] = local[0] + _cost_of_first(evidence, streams, places[0])
    local[-1] = local[-1] + _cost_of_last(evidence, places[-1])
    steps = [_step_cost(evidence, streams, row, places[row - 1], places[row]) for row in range(1, count)]

    forward, backward = [local[0]], [np.zeros(len(places[-1]))]
    for row in range(1, count):
        forward.append((forward[-1][:, None] + steps[row - 1]).min(axis=0) + local[row])
    for row in range(count - 1, 0, -1):
        backward.append((steps[row - 1] + (local[row] + backward[-1])[None, :]).min(axis=1))
    backward.reverse()

    cost = float(forward[-1].min())
    first, other = np.zeros(count, np.int64), np.full(count, -1, np.int64)
    chosen = int(forward[-1].argmin())
    for row in range(count - 1, -1, -1):
        first[row] = places[row][chosen]
        through = forward[row] + backward[row]
        through[chosen] = np.inf
        rival = int(through.argmin())
        if through[rival] <= cost + MARGIN:
            other[row] = places[row][rival]
        if row:
            chosen = int((forward[row - 1] + steps[row - 1][:, chosen]).argmin())
    return Alignment(first, other, cost)


@dataclass(frozen=True, slots=True, eq=False)
class _Streams:
    """The frames of a file at which an encoder began a new stream, found from sync samples and the marks that encoders leave.

    The boolean arrays have shape [frames + 1] and end with False.
    """

    starts: Int64Array
    """Frames at which a stream begins according to the encoder's marks, ascending."""
    early: Int64Array
    """Frames at which a stream begins or may begin, ascending.

    They are the same as `starts` in a file with marks. In a file without marks, they are the sync samples whose distance to the
    previous sync sample is not the greatest in the file.
    """
    sync: Int64Array
    """Frames that are sync samples, ascending."""
    is_early: BoolArray
    is_inside: BoolArray
    """For each frame, whether an episode that begins there begins within a stream."""
    inside_cost: float
    """The cost of an episode that begins within a stream."""

    @classmethod
    def of(cls, evidence: Evidence) -> "_Streams":
        """Return the streams that the sync samples and marks of a file show."""
        starts = np.flatnonzero(evidence.marks == STARTS)
        sync = np.flatnonzero(evidence.is_sync)
        early = starts
        if not (evidence.marks != UNKNOWN).any():
            distance = np.diff(sync)
            early = sync[1:][distance < distance.max(initial=0)]
        is_early = np.zeros(len(evidence.is_sync) + 1, np.bool_)
        is_early[early] = True
        is_inside = np.append(~evidence.is_sync | (evidence.marks == CONTINUES), False)
        return cls(starts, early, sync, is_early, is_inside, 0.0 if _is_one_stream(evidence) else _INSIDE)


def _places(evidence: Evidence, streams: _Streams, row: int) -> Int64Array:
    """Return the possible first frames of an episode, at least one, in ascending order."""
    frame_count = len(evidence.is_sync)
    around = int(np.clip(np.rint(evidence.begin[row]), 0, frame_count - 1))
    wanted = [*evidence.possible[row].tolist(), around]
    for known in (streams.early, streams.sync):
        place = int(np.searchsorted(known, around))
        wanted += known[max(place - _NEAR_STARTS, 0) : place + _NEAR_STARTS].tolist()
    if len(streams.starts) == len(evidence.length):
        wanted.append(int(streams.starts[row]))
    places = np.unique(np.array(wanted, np.int64))
    # all frames of an episode may lie after the end of the file
    places = places[(places >= 0) & (places <= frame_count)]
    return places if len(places) else np.array([around], np.int64)


def _is_one_stream(evidence: Evidence) -> bool:
    """Return whether the file was encoded as one stream, so that encoder starts say nothing about episodes.

    A file without marks counts as one stream if the distance between its sync samples is the same throughout.
    """
    if (evidence.marks != UNKNOWN).any():
        return len(np.flatnonzero(evidence.marks[1:] == STARTS)) == 0
    distances = np.diff(np.flatnonzero(evidence.is_sync))
    return len(distances) == 0 or bool((distances == distances[0]).all())


def _local_cost(evidence: Evidence, streams: _Streams, row: int, place: Int64Array) -> Float64Array:
    """Return, for each possible first frame of an episode, the cost of the streams that would begin within the episode."""
    stop = place + max(int(evidence.length[row]), 1)
    within = np.searchsorted(streams.starts, stop) - np.searchsorted(streams.starts, place, side="right")
    return np.asarray(within * _STRADDLE, np.float64)


def _cost_of_first(evidence: Evidence, streams: _Streams, place: Int64Array) -> Float64Array:
    """Return the cost of each possible first frame of the first episode, from the declared start and the frames before it."""
    difference = evidence.begin[0] - place
    cost: Float64Array = np.minimum(jump_cost(difference), jump_cost(difference + evidence.delay))
    is_declared = cost < _JUMP
    cost += np.where(place > 0, np.where(is_declared, _UNCLAIMED, _UNCLAIMED_UNDECLARED), 0)
    cost += np.where(streams.is_inside[place] & ~is_declared, streams.inside_cost, 0)
    return cost


def _cost_of_last(evidence: Evidence, place: Int64Array) -> Float64Array:
    """Return the cost of each possible first frame of the last episode, from the declared end and the end of the file.

    The cost depends on whether the file lacks frames of the episode, or has more frames after the episode.
    """
    length, span = int(evidence.length[-1]), float(evidence.end[-1] - evidence.begin[-1])
    rest = len(evidence.is_sync) - place - length
    ends_with_file = np.abs(span - length - rest) <= _JUMP_FRAMES
    is_explained = (np.abs(span - length) <= _JUMP_FRAMES) | ends_with_file
    missing = np.where(ends_with_file, _MISSING, _CUT)
    cost: Float64Array = np.where(rest > 0, _UNCLAIMED, np.where(rest < 0, missing, 0.0)).astype(np.float64)
    cost += np.where(is_explained, 0, _END)
    return cost


def _step_cost(evidence: Evidence, streams: _Streams, row: int, before: Int64Array, place: Int64Array) -> Float64Array:
    """Return the cost of each combination of first frames of two consecutive episodes; shape [before, place].

    Args:
        evidence: The evidence of the file.
        streams: The streams of the file.
        row: The position of the second episode.
        before: The possible first frames of the first episode.
        place: The possible first frames of the second episode.
    """
    length = int(evidence.length[row - 1])
    declared = float(evidence.begin[row] - evidence.begin[row - 1])
    span = float(evidence.end[row - 1] - evidence.begin[row - 1])
    step = place[None, :] - before[:, None]
    cost = jump_cost(declared - step)
    is_declared = cost < _JUMP
    # seconds that were computed from lengths leave out all frames of a discarded take
    is_early = streams.is_early[place][None, :]
    cost = np.where(is_early, np.minimum(cost, _JUMP), cost)
    ends = (np.abs(span - length) <= _JUMP_FRAMES) | (np.abs(span - step) <= _JUMP_FRAMES)
    cost += np.where(is_declared & ~ends, _END, 0)
    gap = step - length
    cost += np.where(gap > 0, np.where(is_declared, _UNCLAIMED, _UNCLAIMED_UNDECLARED), 0)
    cost += np.where(gap < 0, np.where(is_declared, _MISSING, _MISSING_UNDECLARED), 0)
    cost += np.where(step <= 0, _IMPOSSIBLE if length else 0, 0)
    is_trimmed = is_declared & (gap > 0)
    is_inside, inside = streams.is_inside[place][None, :], streams.inside_cost
    cost += np.where(is_trimmed, 0, np.where(is_inside, inside, np.where(is_early, 0, min(inside, _DUE))))
    return cost
