"""Find windows of samples: the samples, in decode order, that are needed to decode a run of frames.

A window extends from a sync sample at or before the frames to the last of their samples. The same rule serves whole episodes
when a file is indexed, and parts of an episode at run time. The sync sample is the last one whose presentation time is *not
after* the first wanted frame. Open GOPs need this condition: pictures that precede a sync sample in presentation but follow it in
decoding refer to the previous GOP.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from episeek.errors import EpisodeFramesError

IntegerArray = npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class SampleWindow:
    """Positions `[start, stop)`, in decode order, of the samples that are needed to decode some frames."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def needed_samples(
    pts: IntegerArray, sync_positions: IntegerArray, wanted: IntegerArray, *, where: str
) -> SampleWindow:
    """Return the samples that are needed to decode some frames.

    Args:
        pts: Presentation times in decode order, ticks, shape [sample_count].
        sync_positions: Positions of the sync samples in decode order, ascending.
        wanted: Positions in decode order of the wanted frames, sorted by presentation time; not empty.
        where: The file and episode, for messages.

    Raises:
        EpisodeFramesError: No sync sample precedes the first wanted frame, and decoding cannot start at sample 0 either.
    """
    first_position, stop = int(wanted.min()), int(wanted.max()) + 1
    before = sync_positions[: int(np.searchsorted(sync_positions, first_position, side="right"))]
    first_pts = pts[wanted[0]]
    # nearly always the last sync sample fits, or the one before it
    for position in reversed(before):
        if pts[position] <= first_pts:
            return SampleWindow(int(position), stop)
    # the frames are leading pictures of sample 0: decoding the whole file has no earlier sample for them either
    if len(before) and before[0] == 0:
        return SampleWindow(0, stop)
    raise EpisodeFramesError(
        where, f"no sync sample before the frame at tick {int(first_pts)}", "a sync sample to start decoding from"
    )


def clip_order(
    pts: IntegerArray,
    is_sync: npt.NDArray[np.bool_],
    description_index: IntegerArray | None,
    *,
    has_start_entries: bool,
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Return the order in which a clip stores its samples, and whether decoders may start at each of them; shape [sample_count].

    Decoders may start at a sync sample unless an earlier sample is presented after it, or holds decoder state that the sync sample
    needs.

    Args:
        pts: Presentation times of the samples in decode order, in ticks.
        is_sync: Whether each sample is a sync sample.
        description_index: Description with which each sample is decoded, from 1; None if all samples use the first description.
        has_start_entries: Whether the file has extra sample descriptions that carry the decoder state of earlier samples, so that
            decoding can start at samples that need it.
    """
    order = np.arange(len(pts))
    if len(pts) == 1:
        return order, np.ones(1, np.bool_)
    if is_sync.all() and description_index is None:
        # decoders return intra pictures in the order in which they get them, so they are stored in presentation order
        order = np.argsort(pts, kind="stable")
    is_start = is_sync[order] & (np.maximum.accumulate(pts[order]) <= pts[order])
    if has_start_entries:
        is_start[1:] = False
    is_start[0] = True
    return order, is_start
