"""Values that pass between the plan of a verification, its checks and its conclusion. All of them are small and can be pickled.

A check contains a batch of files with their metadata, so a worker needs only the context and the check. A dataset of a million
episodes has thousands of checks of some tens of kilobytes each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from episeek.mp4.moov.sample_description import VisualSampleEntry
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify.findings.arrays import Float64Array, Int64Array
from episeek_pipelines.verify.findings.coverage import Coverage, Note
from episeek_pipelines.verify.findings.episode_statistics import RecordedStatistics
from episeek_pipelines.verify.findings.figures import CameraFigures, Figures
from episeek_pipelines.verify.findings.findings import Finding, finding_count
from episeek_pipelines.verify.findings.lags import Lags
from episeek_pipelines.verify.findings.options import DEFAULT_OPTIONS, VerifyOptions
from episeek_pipelines.verify.findings.prints import FramePrints, RowPrints
from episeek_pipelines.verify.findings.ranges import FeatureRanges
from episeek_pipelines.verify.findings.totals import FeatureTotals
from episeek_pipelines.verify.rules import Level
from episeek_schemas.lerobot import DatasetInfo


@dataclass(frozen=True, slots=True)
class ColumnSegments:
    """The byte offsets of the values of one sidecar column, one segment for each row group."""

    dtype: str
    """NumPy type of a value, such as `<i8`."""
    segments: tuple[tuple[int, int, int], ...]
    """(number of the first row, row count, byte offset of the first value in the file) for each row group."""


@dataclass(frozen=True, slots=True)
class SidecarTables:
    """The four sidecar tables of a dataset, all of which follow their format. The keys of the mappings are the names of tables."""

    row_count: dict[str, int]
    columns: dict[str, dict[str, ColumnSegments]]
    """For each table, the byte offsets of the values of each column that can be memory-mapped, by the name of the column."""
    versions: dict[str, str]
    """Identity of each table's file in the listing, which changes with its content."""
    format_version: str
    """The format version that the footers of the tables record."""


@dataclass(frozen=True, slots=True)
class VerificationContext:
    """The parts of a dataset that every check needs."""

    root: Root
    data_root: Root
    """Root of the videos."""
    against: Root | None
    info: DatasetInfo
    features: Mapping[str, Any]
    """The object `features` of meta/info.json."""
    options: VerifyOptions
    task_texts: tuple[str, ...] | None
    """Texts of the tasks of meta/tasks.parquet, by task_index; None where that file cannot be used."""
    is_complete: bool
    """Whether every row of meta/episodes is usable. If not, rows and frames without an episode are not reported."""
    has_tiling: bool
    """Whether dataset_from_index is right for every episode: EPI010 reports nothing."""
    is_prepared: bool
    """Whether the data files have to be as `episeek prepare` writes them."""
    has_promised_row_groups: bool
    """Whether the data files need one row group per episode, because the dataset is prepared or has sidecars."""
    has_sidecars: bool
    """Whether any of the four sidecar tables exists."""
    sidecars: SidecarTables | None
    """The sidecars; None where they do not exist, break the format or are not read. They are not compared with the videos then."""
    subtask_count: int | None = None
    """Number of rows of meta/subtasks.parquet; None without such a file."""
    shards: tuple[tuple[str, int], ...] = ()
    """(path, row count) of each readable file of meta/episodes, in the order of their rows."""
    shard_versions: Mapping[str, str] = field(default_factory=dict)
    """Identity of each readable file of meta/episodes in the listing, by path."""
    task_numbers: Mapping[str, int] | None = None
    """The task_index of each task, by its text; None where the tasks of episodes are not compared with the rows."""
    statistics: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of the statistics in meta/episodes that are compared with the rows, such as `mean`, by feature."""
    quantiles: Mapping[str, Float64Array] = field(default_factory=dict)
    """Quantiles in meta/stats.json that are compared with the rows, by feature; shape [quantiles, dimensions]."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the features that are columns of the data files."""
        return tuple(key for key in self.features if key not in self.info.video_keys)


@dataclass(frozen=True, slots=True, eq=False)
class DataFile:
    """A data file, with the episodes that meta/episodes places in it.

    Arrays have shape [episodes] and are sorted by episode_index.
    """

    path: str
    file_size: int | None
    """Size in bytes; None where the listing does not give it."""
    episode_index: Int64Array
    length: Int64Array
    """Number of rows of each episode, according to meta/episodes."""
    dataset_from_index: Int64Array
    rows: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    """Number of the row of meta/episodes that describes each episode, counted from 0 over all its files."""
    tasks: tuple[tuple[int, ...], ...] | None = None
    """The task_index of each task of each episode; None where meta/episodes does not give them, or before the check reads them."""
    statistics: Mapping[str, RecordedStatistics] = field(default_factory=dict)
    """Recorded statistics of the episodes, by feature; empty before the check reads them from meta/episodes."""


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """The row of the sidecar table `files` that describes one MP4 file."""

    row: int
    """Number of the row, from 0."""
    values: dict[str, Any]
    """Values of the row, by column."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoFile:
    """An MP4 file, with the episodes that meta/episodes places in it.

    Arrays have shape [episodes] and are sorted by from_timestamp.
    """

    path: str
    camera_key: str
    file_size: int | None
    """Size in bytes; None where the listing does not give it."""
    episode_index: Int64Array
    length: Int64Array
    """Number of frames of each episode, according to meta/episodes."""
    from_timestamp: Float64Array
    """Start of each episode in the file, in seconds."""
    to_timestamp: Float64Array
    """End of each episode in the file, in seconds, exclusive."""
    indexed: IndexedFile | None = None
    """The file's row in the sidecars; None where they do not list the file."""
    decoded: tuple[int, ...] = ()
    """Positions in `episode_index` of the episodes to decode."""


@dataclass(frozen=True, slots=True, eq=False)
class SourceFile:
    """A data file of the source of a rewrite, and the data files of the rewritten dataset that contain its episodes."""

    path: str
    """Path of the file in the source."""
    episode_index: Int64Array
    """Its episodes, sorted; shape [episodes]."""
    rewritten_paths: tuple[str, ...]
    """Paths of data files in the rewritten dataset."""
    rewritten_file: Int64Array
    """Position in `rewritten_paths` of the file that contains each episode; shape [episodes]."""


@dataclass(frozen=True, slots=True)
class DataGroup:
    """Data files that are checked together with the source files of their rows, so that each file is opened once."""

    files: tuple[DataFile, ...]
    sources: tuple[SourceFile, ...] = ()


@dataclass(frozen=True, slots=True)
class DataCheck:
    """A check of the footers of some data files, and at the level `rows` also of their rows."""

    groups: tuple[DataGroup, ...]


@dataclass(frozen=True, slots=True)
class VideoCheck:
    """A check of the headers of some MP4 files and of their rows in the sidecars, and at the level `decode` also of pictures."""

    files: tuple[VideoFile, ...]


@dataclass(frozen=True, slots=True)
class SidecarCheck:
    """A check of the values and the order of rows of one sidecar table."""

    table: str
    """Name of the table: `files`, `episodes`, `keyframes` or `samples`."""


Check = DataCheck | VideoCheck | SidecarCheck


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
    """Times of the frames of one episode of a camera, in a file in which frame k is not at k/fps seconds."""

    path: str
    camera_key: str
    episode_index: int
    worst_frames: float
    """Largest distance of a frame k from k/fps seconds, as a number of frames."""
    tick_seconds: float
    """Length of a tick of the track's timescale, in seconds."""
    seconds: Float64Array
    """Time of each frame after the first frame of the episode, in seconds; shape [frames]."""


@dataclass(frozen=True, slots=True, eq=False)
class RowTimes:
    """Timestamps of the rows of one episode in which some timestamps are not frame_index / fps."""

    episode_index: int
    seconds: Float64Array
    """The values of `timestamp`, in seconds; shape [rows]."""


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """Numbers of windows: short ranges of frames that are decoded from a later sync sample than the file's first.

    The pictures of a window have to be those that decoding the whole file gives.
    """

    compared: int = 0
    """Windows whose pictures were compared."""
    unknown: int = 0
    """Windows that could not be compared, because decoding the whole file gives no picture at their times."""

    def __add__(self, other: "WindowCounts") -> "WindowCounts":
        return WindowCounts(self.compared + other.compared, self.unknown + other.unknown)


@dataclass(frozen=True, slots=True)
class KeyframeCounts:
    """Numbers of keyframes that the headers of videos declare, and of those whose coded bytes were inspected."""

    flagged: int = 0
    """Samples that a header declares as sync samples."""
    inspected: int = 0
    """Samples among them whose coded bytes were inspected."""

    def __add__(self, other: "KeyframeCounts") -> "KeyframeCounts":
        return KeyframeCounts(self.flagged + other.flagged, self.inspected + other.inspected)


@dataclass(frozen=True, slots=True)
class Observations:
    """The observations of one check that the rules over several files need.

    They are not findings yet: `conclude` merges the observations of all checks, and applies these rules to them.
    """

    absent_episodes: tuple[tuple[int, str], ...] = ()
    """(episode_index, path) of each episode that meta/episodes places in a file without any row of it."""
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
        )


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The findings and observations of a check, and the numbers of bytes and files that it read."""

    findings: tuple[Finding, ...] = ()
    bytes_read: int = 0
    files_read: int = 0
    observations: Observations = field(default_factory=Observations)


@dataclass(frozen=True, slots=True, eq=False)
class VerificationPlan:
    """The checks of a dataset, and the findings of the rules that need only its metadata."""

    root: str
    """Path or URL of the dataset."""
    context: VerificationContext | None
    """The parts of the dataset that every check needs; None if meta/info.json cannot be used, and then there are no checks."""
    options: VerifyOptions
    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]
    figures: Figures
    """Figures of the episodes. The checks add the figures of the cameras."""
    data_file_count: int = 0
    video_file_count: int = 0
    episode_index: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    data_path: tuple[str, ...] = ()
    """Paths of the data files that the metadata refers to."""
    data_file: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    """Position in `data_path` of each episode's data file, in the order of `episode_index`; -1 where the metadata gives no file."""
    statistics: Mapping[str, Any] | None = None
    """Parsed meta/stats.json; None without such a file."""
    shards: tuple[tuple[str, int], ...] = ()
    """(path, row count) of each readable file of meta/episodes, in the order of `episode_index`."""
    bytes_read: int = 0
    files_read: int = 0

    def require_context(self) -> VerificationContext:
        """Return the context of the checks.

        Raises:
            ValueError: The plan has no context, because meta/info.json cannot be used.
        """
        if self.context is None:
            raise ValueError(
                f"{self.root}: found a meta/info.json that cannot be used; expected a dataset that can be checked"
            )
        return self.context


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """The result of a verification: its findings, sorted, and the parts of the dataset that it checked."""

    root: str
    findings: tuple[Finding, ...]
    episode_count: int
    data_file_count: int
    video_file_count: int
    files_read: int
    bytes_read: int
    timestamp_tolerance_seconds: float
    """The smallest tolerance in seconds with which ROW017 reports nothing; 0 if rows were not read."""
    level: Level = "layout"
    against: str | None = None
    """Path or URL of the source that the dataset was compared with."""
    figures: Figures = field(default_factory=Figures, compare=False)
    ignored_count: int = 0
    """Number of findings that the configuration ignores, including those that `Finding.more` counts."""
    accepted_count: int = 0
    """Number of findings that the baseline accepts, including those that `Finding.more` counts."""
    notes: tuple[Note, ...] = ()
    """Problems that do not matter because the sidecars index the videos, sorted by code."""
    coverage: Coverage = field(default_factory=Coverage)
    options: VerifyOptions = DEFAULT_OPTIONS
    date: datetime | None = None
    """Time of the verification, which the caller sets; None leaves it out of reports."""
    revision: str | None = None
    """Commit of the dataset, which the caller sets; None where it is unknown."""
    window_count: int = 0
    """Number of windows, decoded from later sync samples, whose pictures were compared with those of the whole file."""
    data_root: str | None = None
    """Path or URL of the dataset whose videos were read, which the caller sets; None if `root` has the videos."""

    @property
    def level_reason(self) -> str:
        """Return the reason for the level, as in `VerifyOptions.level_reason`; empty without a recorded reason."""
        return self.options.level_reason

    @property
    def error_count(self) -> int:
        """Return the number of errors, including those that `Finding.more` counts."""
        return finding_count(found for found in self.findings if found.severity == "error")

    @property
    def warning_count(self) -> int:
        """Return the number of warnings, including those that `Finding.more` counts."""
        return finding_count(found for found in self.findings if found.severity == "warning")

    @property
    def is_clean(self) -> bool:
        """Return whether the report has no errors; warnings do not count."""
        return not self.error_count


UNKNOWN_TASK = -1
"""Stands for the task_index of a task that meta/tasks.parquet does not list."""
