"""Cut a video file into pieces: runs of samples that contain whole episodes and decode to the same pictures in any file.

A file can be cut at a position in decode order if every sample before it is shown before every sample after it. A piece begins at
the start of the file, or at such a position if decoding can start there with the sample entry alone, without earlier samples and
without decoder state that they set up. The piece ends at the first position after its episodes at which the file can be cut.

All samples of a piece are kept, even if they belong to no episode or an edit list hides them, since other samples may need them for
decoding. They become frames of no episode. Samples outside of all pieces are left out.
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
    """Return, for each sample, whether the file can be cut before it; the last value is for the end of the file.

    The shape is [sample_count + 1]. The file can be cut if all samples before the cut are shown before all samples after it.
    """
    latest = np.maximum.accumulate(table.pts)
    earliest = np.minimum.accumulate(table.pts[::-1])[::-1]
    closed = np.ones(len(table) + 1, np.bool_)
    closed[1:-1] = latest[:-1] < earliest[1:]
    return closed


def possible_starts(table: SampleTable, closed: BoolArray) -> Int64Array:
    """Return the positions of the samples at which a piece can start, judged by the sample tables, ascending.

    A piece can start at the first sample, and at each sync sample before which the file can be cut, unless the sync sample needs
    decoder state from earlier samples.
    """
    is_start = table.is_sync & closed[:-1]
    if table.start_description_index is not None:
        own = np.ones(len(table), np.int64) if table.description_index is None else table.description_index
        # other sync samples need decoder state that earlier samples set up
        is_start &= table.start_description_index == own
    is_start[0] = True
    starts: Int64Array = np.flatnonzero(is_start)
    return starts


def wanted_starts(
    table: SampleTable, starts: Int64Array, episodes: DeclaredEpisodes, frames: EpisodeFrames, *, where: str
) -> tuple[Int64Array, Int64Array]:
    """Return, for each episode, the start of its piece, and the end (exclusive) of the samples that decoding the episode needs.

    A piece starts at the last position in `starts` that is before or at the first sample that decoding the episode needs.

    Raises:
        EpisodeFramesError: No sync sample precedes an episode, so decoding cannot start.
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
        stops: For each episode, the end (exclusive) of the samples that decoding it needs.
        closed: Whether the file can be cut before each sample, and after the last one, as `closed_places` returns it.
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
    """Raise an error if a piece has samples that could not be shown as separate frames in a packed file.

    Raises:
        SampleTableError: A piece starts with hidden pictures that precede its first sync sample in presentation order, such as
            pictures that refer to a picture before the piece. Decoders skip such pictures.
        EpisodeFramesError: Two samples are presented at the same time.
    """
    for cut in cuts:
        pts = table.pts[cut.start : cut.stop]
        leading = np.flatnonzero(~table.is_presented[cut.start : cut.stop] & (pts < pts[0]))
        if len(leading):
            found = f"hidden sample {cut.start + leading[0]}, whose presentation time is before that of its sync sample"
            raise SampleTableError(where, found, "samples that can be decoded in another file", "re-encode the video")
        same = np.flatnonzero(np.diff(np.sort(pts)) == 0)
        if len(same):
            found = f"two samples at the same tick {np.sort(pts)[same[0]]}"
            raise EpisodeFramesError(where, found, "a different presentation time for every sample")
