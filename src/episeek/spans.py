"""The location of an episode in its video, and its sync samples, as the sidecar tables record them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class EpisodeSpan:
    """The location of one episode of one camera: a row of the `episodes` table."""

    global_episode_id: int
    episode_index: int
    camera_index: int
    camera_key: str
    file_id: int
    mdat_offset: int
    """Offset in the file of the first byte that decoding the episode needs."""
    mdat_length: int
    """Number of bytes from `mdat_offset` to the end of the last sample that the episode needs."""
    frame_count: int
    first_pts: float
    """Declared start, seconds from the start of the file."""
    last_pts: float
    """Declared end, seconds from the start of the file."""
    first_frame_tick: int
    """Presentation time of the first frame, in ticks of the file."""
    sample_start: int
    sample_count: int
    keyframe_start: int
    keyframe_count: int
    lead_in_count: int


@dataclass(frozen=True, slots=True, eq=False)
class Keyframes:
    """The sync samples of one episode, sorted by presentation time, as views of the mapped table.

    Arrays have shape [keyframe_count].
    """

    pts: npt.NDArray[np.int64]
    """Presentation times, in ticks of the file."""
    byte_offset: npt.NDArray[np.int64]
    """Offsets in the file, in bytes."""
    sample_index: npt.NDArray[np.int32]
    """Positions, in decode order, among the samples of the episode."""
    frame_index: npt.NDArray[np.int32]
    """Positions, in presentation order, among the frames of the episode; negative for samples of the lead-in."""

    def __len__(self) -> int:
        return len(self.pts)
