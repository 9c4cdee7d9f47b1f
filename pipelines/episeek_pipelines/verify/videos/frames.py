"""Where the frames of each episode of one MP4 are."""

from dataclasses import dataclass

import numpy as np

from episeek.mp4.sample_table import SampleTable
from episeek_pipelines.verify.findings.arrays import Float64Array, Int64Array
from episeek_pipelines.verify.findings.checks import VideoFile
from episeek_pipelines.video.episode_frames import DeclaredEpisodes, EpisodeFrames, locate_frames
from episeek_pipelines.video.header import VideoHeader

HALF_FRAME = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class FrameView:
    """The presented frames of one file beside the episodes declared in it; episode arrays have shape [episodes]."""

    seconds: Float64Array  # presentation times, [frames]
    decode_position: Int64Array  # of each presented frame, [frames]
    frames: EpisodeFrames  # of each episode
    frames_per_second: float
    """Of the file; 0 with fewer than two frames."""

    @property
    def first(self) -> Int64Array:
        """First frame of each episode."""
        return self.frames.first

    @property
    def stop(self) -> Int64Array:
        """End of each episode, exclusive; not behind its first frame where nothing says which frames are its."""
        return self.frames.first + self.frames.count

    @property
    def is_counted(self) -> bool:
        """Whether the lengths add up to the file's frames, and decided."""
        return self.frames.by_ordinals

    @property
    def frame_count(self) -> int:
        """Presented frames of the file."""
        return len(self.seconds)


@dataclass(frozen=True, slots=True, eq=False)
class ParsedVideo:
    """One MP4's header and what follows from it."""

    header: VideoHeader
    table: SampleTable
    view: FrameView


def frame_view(table: SampleTable, file: VideoFile, *, fps: float) -> FrameView:
    """Assign frames to episodes. `file` holds its episodes by rising from_timestamp."""
    order = table.presentation_order()
    seconds = table.pts[order] / table.timescale
    episodes = DeclaredEpisodes(file.episode_index, file.length, file.from_timestamp, file.to_timestamp)
    frames = locate_frames(seconds, episodes, fps=fps)
    span = float(seconds[-1] - seconds[0]) if len(seconds) > 1 else 0.0
    rate = (len(seconds) - 1) / span if span > 0 else 0.0
    return FrameView(seconds, order, frames, rate)


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
