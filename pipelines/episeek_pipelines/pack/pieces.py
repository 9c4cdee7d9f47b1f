"""Cut a video file into pieces: runs of samples with whole episodes that decode to the same pictures in any file.

A file may be cut before a sample where no sample after it is shown before one that precedes it. A piece starts at such a place
whose sample also resets decoding and has its decoder state in its sample entry, and it ends at the first such place after its
episodes. Samples between are kept, also those that belong to no episode or that an edit list hides: others may need them. They
become frames of no episode. All other samples are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from episeek.errors import EpisodeFramesError, SampleTableError
from episeek.mp4.moov.sample_boxes import BoolArray, Int64Array
from episeek.mp4.sample_table import SampleTable
from episeek.mp4.window import needed_samples
from episeek_pipelines.video.episode_frames import DeclaredEpisodes, EpisodeFrames


@dataclass(frozen=True, slots=True)
class Cut:
    """Samples `[start, stop)` in decode order, and the rows of their episodes in the file's `DeclaredEpisodes`."""

    start: int
    stop: int
    rows: tuple[int, ...]


def closed_places(table: SampleTable) -> BoolArray:
    """Return the places at which a file can be cut, from 0 to its number of samples; shape [sample_count + 1].

    All samples before such a place are shown before all samples after it.
    """
    latest = np.maximum.accumulate(table.pts)
    earliest = np.minimum.accumulate(table.pts[::-1])[::-1]
    closed = np.ones(len(table) + 1, np.bool_)
    closed[1:-1] = latest[:-1] < earliest[1:]
    return closed


def possible_starts(table: SampleTable, closed: BoolArray) -> Int64Array:
    """Return the samples before which the tables allow a piece to start: the first sample, and sync samples, ascending."""
    is_start = table.is_sync & closed[:-1]
    if table.start_description_index is not None:
        own = np.ones(len(table), np.int64) if table.description_index is None else table.description_index
        # others need state that earlier samples left
        is_start &= table.start_description_index == own
    is_start[0] = True
    starts: Int64Array = np.flatnonzero(is_start)
    return starts


def wanted_starts(
    table: SampleTable, starts: Int64Array, episodes: DeclaredEpisodes, frames: EpisodeFrames, *, where: str
) -> tuple[Int64Array, Int64Array]:
    """Return, for each episode, the last possible start before the samples that it needs, and the sample after the last of these.

    Raises:
        EpisodeFramesError: An episode has no sample before it at which decoding can start.
    """
    order, sync = table.presentation_order(), np.flatnonzero(table.is_sync)
    chosen, stops = np.empty(len(episodes), np.int64), np.empty(len(episodes), np.int64)
    for row in range(len(episodes)):
        name = f"{where}, episode {episodes.episode_index[row]}"
        window = needed_samples(
            table.pts, sync, order[frames.first[row] : frames.first[row] + frames.count[row]], where=name
        )
        chosen[row] = starts[np.searchsorted(starts, window.start, side="right") - 1]
        stops[row] = window.stop
    return chosen, stops


def join_cuts(starts: Int64Array, stops: Int64Array, closed: BoolArray) -> list[Cut]:
    """Return the pieces that contain the given episodes, in order. Overlapping pieces become one piece.

    Args:
        starts: The first sample of each episode's piece.
        stops: The sample after the last one that each episode needs.
        closed: The result of `closed_places`.
    """
    places = np.flatnonzero(closed)
    ends = places[np.searchsorted(places, stops)]
    cuts: list[Cut] = []
    for row in np.argsort(starts, kind="stable").tolist():
        start, stop = int(starts[row]), int(ends[row])
        if cuts and start < cuts[-1].stop:
            last = cuts.pop()
            cuts.append(Cut(last.start, max(last.stop, stop), (*last.rows, row)))
        else:
            cuts.append(Cut(start, stop, (row,)))
    return cuts


def require_showable(table: SampleTable, cuts: Sequence[Cut], *, where: str) -> None:
    """Refuse pieces with samples that cannot be frames of their own in another file.

    Raises:
        SampleTableError: Decoders skip pictures at the start of a piece, as those that refer to a picture before the file.
        EpisodeFramesError: Two samples are presented at the same time.
    """
    for cut in cuts:
        pts = table.pts[cut.start : cut.stop]
        leading = np.flatnonzero(~table.is_presented[cut.start : cut.stop] & (pts < pts[0]))
        if len(leading):
            found = f"sample {cut.start + leading[0]}, which is not shown and leads the first picture"
            raise SampleTableError(where, found, "samples that decode wherever they are", "re-encode the video")
        same = np.flatnonzero(np.diff(np.sort(pts)) == 0)
        if len(same):
            found = f"two samples at the same tick {np.sort(pts)[same[0]]}"
            raise EpisodeFramesError(where, found, "a presentation time of its own for every sample")
