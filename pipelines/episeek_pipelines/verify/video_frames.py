"""Where the frames of each episode of one MP4 are: by counting when the lengths add up, by the declared seconds otherwise."""

from dataclasses import dataclass

import numpy as np

from episeek.header import Mp4Header
from episeek.sample_table import SampleTable
from episeek.sources import ByteSource
from episeek_pipelines.episode_frames import DeclaredEpisodes, locate_frames
from episeek_pipelines.verify.tasks import Float64Array, Int64Array, VideoFile

HALF_FRAME = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class FrameView:
    """The presented frames of one file beside the episodes declared in it; episode arrays have shape [episodes]."""

    seconds: Float64Array  # presentation times, [frames]
    decode_position: Int64Array  # of each presented frame, [frames]
    first: Int64Array  # first frame of each episode
    stop: Int64Array  # end, exclusive
    is_counted: bool
    """True when the lengths add up to the file's frames and the seconds do not contradict their order."""
    frames_per_second: float
    """Of the file; 0 with fewer than two frames."""

    @property
    def frame_count(self) -> int:
        """Presented frames of the file."""
        return len(self.seconds)


@dataclass(frozen=True, slots=True, eq=False)
class ParsedVideo:
    """One MP4's header and what follows from it."""

    header: Mp4Header
    table: SampleTable
    view: FrameView
    sidecar_source: ByteSource
    """Where the sidecars are read from, to compare with."""


def frame_view(table: SampleTable, file: VideoFile, *, fps: float) -> FrameView:
    """Assign frames to episodes. `file` holds its episodes by rising from_timestamp."""
    order = table.presentation_order()
    seconds = table.pts[order] / table.timescale
    episodes = DeclaredEpisodes(file.episode_index, file.length, file.from_timestamp, file.to_timestamp)
    frames = locate_frames(seconds, episodes, fps=fps)
    span = float(seconds[-1] - seconds[0]) if len(seconds) > 1 else 0.0
    rate = (len(seconds) - 1) / span if span > 0 else 0.0
    return FrameView(seconds, order, frames.first, frames.first + frames.count, frames.by_ordinals, rate)


def has_other_rate(view: FrameView, *, fps: float) -> bool:
    """Whether the file's frames come at another steady rate than `fps`: then its seconds say nothing about the grid.

    Steady means that no frame is more than half a frame off the file's own rate; otherwise frames are missing or irregular.
    """
    if not view.frames_per_second:
        return False
    drift = (view.seconds[-1] - view.seconds[0]) * fps - (view.frame_count - 1)
    steady = view.seconds[0] + np.arange(view.frame_count) / view.frames_per_second
    wobble = float(np.abs(view.seconds - steady).max()) * view.frames_per_second
    return abs(float(drift)) >= HALF_FRAME and wobble < HALF_FRAME
