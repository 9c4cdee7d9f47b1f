"""Which samples a run of frames needs: from the last sync sample at or before it to the last sample, in decode order,
that it needs.

One rule, used twice: offline for whole episodes in a file, at run time for windows of an episode. Starting at the last
sync sample whose presentation time is *not after* the first wanted frame is what makes open GOPs right: pictures that
precede a sync sample in presentation but follow it in decoding refer to the GOP before it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from episeek.errors import EpisodeFramesError

IntegerArray = npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class SampleWindow:
    """Decode positions `[start, stop)` of the samples that some frames need."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def needed_samples(
    pts: IntegerArray, sync_positions: IntegerArray, wanted: IntegerArray, *, where: str
) -> SampleWindow:
    """The samples needed to decode some frames.

    Args:
        pts: Presentation times in decode order, shape [sample_count].
        sync_positions: Decode positions of the sync samples, ascending.
        wanted: Decode positions of the wanted frames in presentation order; not empty.
        where: The file and episode, for messages.

    Raises:
        EpisodeFramesError: No sync sample comes before the first wanted frame, and decoding cannot start at sample 0 either.
    """
    first_position, stop = int(wanted.min()), int(wanted.max()) + 1
    before = sync_positions[: int(np.searchsorted(sync_positions, first_position, side="right"))]
    first_pts = pts[wanted[0]]
    for position in reversed(before):  # nearly always the last or the one before it; never the whole list
        if pts[position] <= first_pts:
            return SampleWindow(int(position), stop)
    if (
        len(before) and before[0] == 0
    ):  # leading pictures of the very first sample: a whole-file decode has no more either
        return SampleWindow(0, stop)
    raise EpisodeFramesError(
        where, f"no sync sample before the frame at tick {int(first_pts)}", "a sync sample to start decoding from"
    )
