"""Windows of samples: the samples, in decode order, that a run of frames needs.

A window extends from a sync sample at or before the frames to the last of their samples. The same rule serves whole episodes
when a file is indexed, and parts of an episode at run time. The sync sample is the last one whose presentation time is *not
after* the first wanted frame. This makes open GOPs right: pictures that precede a sync sample in presentation but follow it in
decoding refer to the GOP before it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from episeek.errors import EpisodeFramesError

IntegerArray = npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class SampleWindow:
    """Positions `[start, stop)` in decode order of the samples that some frames need."""

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
    # leading pictures of the very first sample: decoding the whole file has nothing before them either
    if len(before) and before[0] == 0:
        return SampleWindow(0, stop)
    raise EpisodeFramesError(
        where, f"no sync sample before the frame at tick {int(first_pts)}", "a sync sample to start decoding from"
    )
