"""The observations of a check: values that rules over several files need, after all checks have run. All of them can be pickled."""

from collections.abc import Sequence
from dataclasses import dataclass

from episeek.mp4.moov.sample_description import VisualSampleEntry
from episeek_pipelines.verify.findings.arrays import Float64Array
from episeek_pipelines.verify.findings.figures import CameraFigures
from episeek_pipelines.verify.findings.lags import Lags
from episeek_pipelines.verify.findings.prints import FramePrints, RowPrints
from episeek_pipelines.verify.findings.ranges import FeatureRanges
from episeek_pipelines.verify.findings.totals import FeatureTotals


@dataclass(frozen=True, slots=True)
class ForeignRows:
    """Rows of one episode in a data file that meta/episodes does not declare for this episode."""

    episode_index: int
    path: str
    """The data file that contains the rows."""
    first_row: int | None
    """Number of the first of these rows in the file; None where only the footer was read."""
    row_count: int | None
    """Number of these rows; None where only the footer was read, which shows that there are some, but not how many."""


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """The format of the frames of one MP4 file."""

    camera_key: str
    path: str
    entry: VisualSampleEntry
    """The sample description, with codec and picture size."""


@dataclass(frozen=True, slots=True, eq=False)
class FrameTimes:
    """The times of the frames of one episode and camera, for an episode in which some frame k is not at k/fps seconds."""

    path: str
    camera_key: str
    episode_index: int
    worst_frames: float
    """Largest distance of a frame k from k/fps seconds, as a number of frames."""
    tick_seconds: float
    """Length of a tick of the track's timescale, in seconds."""
    seconds: Float64Array
    """Time of each frame after the first frame of the episode, in seconds; shape [frames]."""


@dataclass(frozen=True, slots=True)
class FramesOfNoEpisode:
    """The frames of one MP4 file that belong to no episode."""

    camera_key: str
    path: str
    count: int
    """Number of these frames, at least 1."""


@dataclass(frozen=True, slots=True)
class LackingFrames:
    """An episode of which an MP4 file may lack frames, as VID024 reports."""

    camera_key: str
    path: str
    episode_index: int
    length: int
    """Number of frames of the episode."""


@dataclass(frozen=True, slots=True, eq=False)
class RowTimes:
    """The timestamps of the rows of one episode, for an episode in which some timestamps are not frame_index / fps."""

    episode_index: int
    seconds: Float64Array
    """The values of `timestamp`, in seconds; shape [rows]."""


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """Counts of windows: short ranges of frames that are decoded from a later sync sample than the file's first.

    The pictures of a window have to be the same as when the whole file is decoded.
    """

    compared: int = 0
    """Number of windows whose pictures were compared."""
    unknown: int = 0
    """Number of windows that could not be compared, because decoding the whole file gives no picture at their times."""

    def __add__(self, other: "WindowCounts") -> "WindowCounts":
        return WindowCounts(self.compared + other.compared, self.unknown + other.unknown)


@dataclass(frozen=True, slots=True)
class KeyframeCounts:
    """The number of keyframes that the headers of videos declare, and how many of them had their coded bytes inspected."""

    flagged: int = 0
    """Number of samples that a header declares as sync samples."""
    inspected: int = 0
    """Number of declared sync samples whose coded bytes were inspected."""

    def __add__(self, other: "KeyframeCounts") -> "KeyframeCounts":
        return KeyframeCounts(self.flagged + other.flagged, self.inspected + other.inspected)


@dataclass(frozen=True, slots=True)
class Observations:
    """The observations of one check that the rules over several files need.

    Observations are not findings yet. `conclude` merges the observations of all checks, and applies the rules to the result.
    """

    absent_episodes: tuple[tuple[int, str], ...] = ()
    """(episode_index, path of the data file) of each episode that has no rows in the data file that meta/episodes gives."""
    foreign_rows: tuple[ForeignRows, ...] = ()
    timestamp_tolerance_seconds: float = 0.0
    """The smallest tolerance in seconds with which ROW017 reports nothing."""
    row_group_count: int = 0
    """Number of row groups of the data files."""
    collapsed_file_count: int = 0
    """Number of data files that contain, or may contain, a row group with several episodes."""
    ranges: tuple[FeatureRanges, ...] = ()
    totals: tuple[FeatureTotals, ...] = ()
    video_formats: tuple[VideoFormat, ...] = ()
    figures: tuple[CameraFigures, ...] = ()
    windows: WindowCounts = WindowCounts()
    keyframes: KeyframeCounts = KeyframeCounts()
    frame_times: tuple[FrameTimes, ...] = ()
    row_times: tuple[RowTimes, ...] = ()
    row_prints: tuple[RowPrints, ...] = ()
    frame_prints: tuple[FramePrints, ...] = ()
    lags: tuple[Lags, ...] = ()
    free_frames: tuple[FramesOfNoEpisode, ...] = ()
    lacking_frames: tuple[LackingFrames, ...] = ()

    @classmethod
    def merged(cls, observations: Sequence["Observations"]) -> "Observations":
        """Return the observations of several checks as one value."""
        return cls(
            absent_episodes=tuple(absent for observed in observations for absent in observed.absent_episodes),
            foreign_rows=tuple(rows for observed in observations for rows in observed.foreign_rows),
            timestamp_tolerance_seconds=max(
                (observed.timestamp_tolerance_seconds for observed in observations), default=0.0
            ),
            row_group_count=sum(observed.row_group_count for observed in observations),
            collapsed_file_count=sum(observed.collapsed_file_count for observed in observations),
            ranges=tuple(ranges for observed in observations for ranges in observed.ranges),
            totals=tuple(totals for observed in observations for totals in observed.totals),
            video_formats=tuple(each for observed in observations for each in observed.video_formats),
            figures=tuple(figures for observed in observations for figures in observed.figures),
            windows=sum((observed.windows for observed in observations), WindowCounts()),
            keyframes=sum((observed.keyframes for observed in observations), KeyframeCounts()),
            frame_times=tuple(times for observed in observations for times in observed.frame_times),
            row_times=tuple(times for observed in observations for times in observed.row_times),
            row_prints=tuple(prints for observed in observations for prints in observed.row_prints),
            frame_prints=tuple(prints for observed in observations for prints in observed.frame_prints),
            lags=tuple(lags for observed in observations for lags in observed.lags),
            free_frames=tuple(each for observed in observations for each in observed.free_frames),
            lacking_frames=tuple(each for observed in observations for each in observed.lacking_frames),
        )
