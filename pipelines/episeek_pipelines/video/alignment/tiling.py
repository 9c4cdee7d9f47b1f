"""Find the episodes that have all frames of a file, if the declared episodes need more frames than the file has.

An episode may be declared in a file that is not its own. The episodes that the file really contains still follow one another by
their declared seconds, and their lengths still add up to the frames of the file. They are found without the frames: a tiling is a
sequence of episodes whose seconds and lengths cover the file from its first frame to its last, without gap or overlap.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np

from episeek_pipelines.video.alignment.align import BoolArray, Int64Array
from episeek_pipelines.video.alignment.boundaries import Boundaries

_MOST_STEPS: Final = 1_000_000
"""Greatest number of pairs of consecutive episodes that are tried. A file with more of them has too many tilings to help."""


@dataclass(frozen=True, slots=True, eq=False)
class Tilings:
    """All tilings of a file, of which there is at least one. Arrays have shape [episodes]."""

    first: Int64Array
    """The first frame of each episode in the tilings; -1 for an episode in no tiling."""
    is_certain: BoolArray
    """Whether every tiling contains the episode."""

    @property
    def is_absent(self) -> BoolArray:
        """Whether no tiling contains the episode."""
        return self.first < 0

    @property
    def is_contested(self) -> BoolArray:
        """Whether some tilings contain the episode, and others contain other episodes with the same frames."""
        return ~self.is_certain & ~self.is_absent


def find_tilings(
    declared: Boundaries, length: Int64Array, frame_count: int, *, delay: float, step_frames: float
) -> Tilings | None:
    """Return the tilings of a file.

    Return None if the file has no tiling, or if an episode has other frames in one tiling than in another.

    Args:
        declared: The declared seconds of the episodes in frames, sorted by their starts.
        length: The number of frames of each episode.
        frame_count: The number of frames of the file.
        delay: The number of frames from time 0 to the file's first frame.
        step_frames: The greatest error, in frames, of the duration of an episode and of the distance between two episodes.
    """
    count = len(length)
    is_first = np.minimum(np.abs(declared.begin), np.abs(declared.begin + delay)) <= step_frames
    nodes = np.flatnonzero((length > 0) & (np.abs(declared.span - length) <= step_frames)).tolist()
    next_of = _successors(declared, nodes, step_frames)
    if next_of is None:
        return None
    # the number of ways to reach a frame with the end of an episode, and to go on from there to the end of the file
    before: list[dict[int, int]] = [defaultdict(int) for _ in range(count)]
    after: list[dict[int, int]] = [defaultdict(int) for _ in range(count)]
    for row in nodes:
        if is_first[row]:
            before[row][int(length[row])] += 1
        for stop, ways in before[row].items():
            for other in next_of[row]:
                if stop + int(length[other]) <= frame_count:
                    before[other][stop + int(length[other])] += ways
    for row in reversed(nodes):
        for stop in before[row]:
            after[row][stop] = int(stop == frame_count) + sum(
                after[other].get(stop + int(length[other]), 0) for other in next_of[row]
            )
    total = sum(before[row].get(frame_count, 0) for row in nodes)
    first, is_certain = np.full(count, -1, np.int64), np.zeros(count, np.bool_)
    for row in nodes:
        through = {stop: ways * after[row][stop] for stop, ways in before[row].items() if after[row][stop]}
        if len(through) > 1:
            return None
        for stop, ways in through.items():
            first[row], is_certain[row] = stop - int(length[row]), ways == total
    return Tilings(first, is_certain) if total else None


def _successors(declared: Boundaries, nodes: list[int], step_frames: float) -> dict[int, list[int]] | None:
    """Return, for each episode, the episodes that begin where it ends; None if there are too many of them."""
    begin = declared.begin[nodes]
    low = np.searchsorted(begin, declared.end[nodes] - step_frames, side="left")
    high = np.searchsorted(begin, declared.end[nodes] + step_frames, side="right")
    if int((high - low).sum()) > _MOST_STEPS:
        return None
    return {row: nodes[start:stop] for row, start, stop in zip(nodes, low.tolist(), high.tolist(), strict=True)}
