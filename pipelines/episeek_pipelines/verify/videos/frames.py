"""Assign the frames of a video file to its episodes, and measure its frame rate."""

from dataclasses import dataclass

from episeek.mp4.sample_table import SampleTable
from episeek_pipelines.verify.findings.arrays import Float64Array, Int64Array
from episeek_pipelines.verify.findings.checks import VideoFile
from episeek_pipelines.video.episode_frames import (
    DeclaredEpisodes,
    EpisodeFrames,
    FileFrames,
    ReadMarks,
    locate_frames,
)
from episeek_pipelines.video.header import VideoHeader

HALF_FRAME = 0.5
"""Largest allowed distance, in frames, between the time of a frame and its expected time."""


@dataclass(frozen=True, slots=True, eq=False)
class FrameView:
    """The presented frames of one file, and the declared episodes to which they belong."""

    file: FileFrames
    """The presented frames, in presentation order."""
    decode_position: Int64Array
    """Position of each presented frame in decode order; shape [frames]."""
    frames: EpisodeFrames
    """The first frame and the number of frames of each episode."""
    frames_per_second: float
    """Average rate of the file; 0 if it has fewer than two frames."""

    @property
    def seconds(self) -> Float64Array:
        """The presentation times of the frames, ascending; shape [frames]."""
        return self.file.seconds

    @property
    def first(self) -> Int64Array:
        """The first frame of each episode; shape [episodes]."""
        return self.frames.first

    @property
    def stop(self) -> Int64Array:
        """The exclusive end of each episode's frames; shape [episodes].

        It equals `first` for an episode whose frames cannot be determined.
        """
        return self.frames.first + self.frames.count

    @property
    def is_counted(self) -> bool:
        """Whether frames were assigned by counting, which is possible if the lengths add up to the frames of the file."""
        return self.frames.by_ordinals

    @property
    def frame_count(self) -> int:
        """The number of presented frames of the file."""
        return len(self.seconds)


@dataclass(frozen=True, slots=True, eq=False)
class ParsedVideo:
    """The parsed header of one MP4, with its sample table and the frames of its episodes."""

    header: VideoHeader
    table: SampleTable
    view: FrameView


def frame_view(table: SampleTable, file: VideoFile, *, fps: float, read_marks: ReadMarks | None = None) -> FrameView:
    """Assign the frames of a file to its episodes.

    Args:
        table: The sample table of the file.
        file: The file and its episodes, sorted by from_timestamp.
        fps: The dataset's frame rate.
        read_marks: Reads the samples in which an encoder marks the start of a stream. It is called only if the marks are needed.

    Raises:
        ReadError: The samples with these marks cannot be read.
    """
    frames_of_file = FileFrames.of(table, read_marks)
    frames = locate_frames(frames_of_file, declared_episodes(file), fps=fps)
    return FrameView(frames_of_file, table.presentation_order(), frames, frames_of_file.frames_per_second)


def declared_episodes(file: VideoFile) -> DeclaredEpisodes:
    """Return the episodes of a file as the metadata declares them."""
    return DeclaredEpisodes(file.episode_index, file.length, file.from_timestamp, file.to_timestamp)


def has_other_rate(view: FrameView, *, fps: float) -> bool:
    """Return whether the frames have a steady rate that is not `fps`, so that their times cannot be compared with k/fps.

    A rate is steady if every frame is within half a frame of its time at that rate. Otherwise frames are missing or irregular.
    """
    return view.file.has_other_rate(fps=fps)
