"""Values that pass between the plan, its checks and the conclusion; all are small and pickle.

A check holds a batch of files with their metadata, so a worker needs only the context and the check. A million episodes
make thousands of checks of some tens of kilobytes each.
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
    """The places of the values of a sidecar column: (first row, rows, byte offset) of each row group."""

    dtype: str
    segments: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class SidecarTables:
    """The sidecar tables that follow their format, by name: row counts and the places of each mapped column."""

    row_count: dict[str, int]
    columns: dict[str, dict[str, ColumnSegments]]
    versions: dict[str, str]
    """Version of each file, as the listing gives it."""
    format_version: str
    """The format version of the tables, as their footers have it."""


@dataclass(frozen=True, slots=True)
class VerificationContext:
    """The parts of a dataset that every check needs."""

    root: Root
    data_root: Root
    """Root of the videos."""
    against: Root | None
    info: DatasetInfo
    features: Mapping[str, Any]
    """The value of `features` in meta/info.json."""
    options: VerifyOptions
    task_texts: tuple[str, ...] | None
    """Tasks of meta/tasks.parquet by number; None where the file cannot be used."""
    is_complete: bool
    """Whether every row of meta/episodes is usable; if not, rows and frames without an episode are no defect."""
    has_tiling: bool
    """Whether dataset_from_index is correct (EPI010 holds)."""
    is_prepared: bool
    """Whether the data files are declared to be as `episeek prepare` writes them."""
    has_promised_row_groups: bool
    """Whether the dataset promises one row group per episode: by a declaration, or by its sidecars."""
    has_sidecars: bool
    sidecars: SidecarTables | None
    """None without sidecars, and if their format is broken: then they are not compared with the videos."""
    subtask_count: int | None = None
    """Rows of meta/subtasks.parquet; None without such a file."""
    shards: tuple[tuple[str, int], ...] = ()
    """(path, row count) of the readable files of meta/episodes, in the order of their rows."""
    shard_versions: Mapping[str, str] = field(default_factory=dict)
    """Version of each of these files, as the listing gives it."""
    task_numbers: Mapping[str, int] | None = None
    """Numbers of the tasks by text; None where the tasks of episodes are not compared with rows."""
    statistics: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of the statistics of episodes that are compared with rows, by feature."""
    quantiles: Mapping[str, Float64Array] = field(default_factory=dict)
    """Quantiles of meta/stats.json that are compared with rows, by feature; shape [quantiles, dimensions]."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the features that are columns of the data files."""
        return tuple(key for key in self.features if key not in self.info.video_keys)


@dataclass(frozen=True, slots=True, eq=False)
class DataFile:
    """A data file and its episodes according to the metadata; arrays have shape [episodes], sorted by episode_index."""

    path: str
    file_size: int | None
    """Bytes; None where the listing does not say."""
    episode_index: Int64Array
    length: Int64Array
    dataset_from_index: Int64Array
    rows: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    """Rows of the episodes in all of meta/episodes."""
    tasks: tuple[tuple[int, ...], ...] | None = None
    """Numbers of each episode's tasks; None if the metadata does not give them, and until rows are read."""
    statistics: Mapping[str, RecordedStatistics] = field(default_factory=dict)
    """Statistics of the episodes by feature; empty until rows are read."""


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """The row of an MP4 file in the sidecar table `files`."""

    row: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class VideoFile:
    """An MP4 file and its episodes according to the metadata; arrays have shape [episodes], sorted by from_timestamp."""

    path: str
    camera_key: str
    file_size: int | None
    """Bytes; None where the listing does not say."""
    episode_index: Int64Array
    length: Int64Array
    from_timestamp: Float64Array
    """Seconds, as `to_timestamp`."""
    to_timestamp: Float64Array
    indexed: IndexedFile | None = None
    decoded: tuple[int, ...] = ()
    """Positions of the episodes to decode."""


@dataclass(frozen=True, slots=True, eq=False)
class SourceFile:
    """A data file of the source of a rewrite, and the new places of its episodes, sorted by episode_index."""

    path: str
    episode_index: Int64Array
    rewritten_paths: tuple[str, ...]
    """Paths in the rewritten dataset."""
    rewritten_file: Int64Array
    """Positions in `rewritten_paths`, of shape [episodes]."""


@dataclass(frozen=True, slots=True)
class DataGroup:
    """Data files that are checked together with the source files of their rows: each file is opened once."""

    files: tuple[DataFile, ...]
    sources: tuple[SourceFile, ...] = ()


@dataclass(frozen=True, slots=True)
class DataCheck:
    """A check of data files: their footers, and their rows at the level `rows`."""

    groups: tuple[DataGroup, ...]


@dataclass(frozen=True, slots=True)
class VideoCheck:
    """A check of MP4 files: their headers, their rows in the sidecars, and pictures at the level `decode`."""

    files: tuple[VideoFile, ...]


@dataclass(frozen=True, slots=True)
class SidecarCheck:
    """A check of one sidecar table: its columns, order and values."""

    table: str


Check = DataCheck | VideoCheck | SidecarCheck


@dataclass(frozen=True, slots=True)
class ForeignRows:
    """Rows of an episode in another file than the one that meta/episodes declares for it."""

    episode_index: int
    path: str
    first_row: int | None
    row_count: int | None
    """None where only the footer was read, which shows that such rows exist."""


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """The format of the frames of an MP4 file."""

    camera_key: str
    path: str
    entry: VisualSampleEntry


@dataclass(frozen=True, slots=True, eq=False)
class FrameTimes:
    """Times of the frames of one episode of a camera, which do not come at k/fps."""

    path: str
    camera_key: str
    episode_index: int
    worst_frames: float
    """Largest distance of a frame from its time at k/fps, in frames."""
    tick_seconds: float
    seconds: Float64Array
    """After frame 0; shape [frames]."""


@dataclass(frozen=True, slots=True, eq=False)
class RowTimes:
    """Timestamps of the rows of one episode, which are not frame_index / fps; shape [rows]."""

    episode_index: int
    seconds: Float64Array


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """Numbers of windows that start at later sync samples than a file's first."""

    compared: int = 0
    """Windows that were decoded and compared."""
    unknown: int = 0
    """Windows without anything to compare with: FFmpeg decodes no picture of theirs from the whole file."""

    def __add__(self, other: "WindowCounts") -> "WindowCounts":
        return WindowCounts(self.compared + other.compared, self.unknown + other.unknown)


@dataclass(frozen=True, slots=True)
class KeyframeCounts:
    """Numbers of keyframes by the headers of videos, and of those whose bytes were looked at."""

    flagged: int = 0
    inspected: int = 0

    def __add__(self, other: "KeyframeCounts") -> "KeyframeCounts":
        return KeyframeCounts(self.flagged + other.flagged, self.inspected + other.inspected)


@dataclass(frozen=True, slots=True)
class Observations:
    """Observations of one check for the rules over several files; sound files only have figures."""

    absent_episodes: tuple[tuple[int, str], ...] = ()
    """(episode_index, path): meta/episodes places the episode in this file, which holds no row of it."""
    foreign_rows: tuple[ForeignRows, ...] = ()
    timestamp_tolerance_seconds: float = 0.0
    """The smallest tolerance with which ROW017 passes."""
    row_group_count: int = 0
    collapsed_file_count: int = 0
    """Data files that have a row group of several episodes, or may have one."""
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
        """Merge the observations of several checks."""
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
    """The findings and observations of a check, and how much it read."""

    findings: tuple[Finding, ...] = ()
    bytes_read: int = 0
    files_read: int = 0
    observations: Observations = field(default_factory=Observations)


@dataclass(frozen=True, slots=True, eq=False)
class VerificationPlan:
    """The checks of a dataset, and the findings that planning them gave."""

    root: str
    context: VerificationContext | None
    """None if meta/info.json cannot be used: then there are no checks."""
    options: VerifyOptions
    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]
    figures: Figures
    """Figures of the episodes; those of the cameras come from the checks."""
    data_file_count: int = 0
    video_file_count: int = 0
    episode_index: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    data_path: tuple[str, ...] = ()
    """Paths of the data files that the metadata refers to."""
    data_file: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    """Position in `data_path` by row of `episode_index`; -1 where the metadata gives no file."""
    statistics: Mapping[str, Any] | None = None
    """Parsed meta/stats.json; None where there is none."""
    shards: tuple[tuple[str, int], ...] = ()
    """(path, row count) of the readable files of meta/episodes, in the order of `episode_index`."""
    bytes_read: int = 0
    files_read: int = 0

    def require_context(self) -> VerificationContext:
        """Return the context.

        Raises:
            ValueError: There is none, since meta/info.json cannot be used.
        """
        if self.context is None:
            raise ValueError(f"{self.root}: nothing can be checked")
        return self.context


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """The findings of a verification, sorted, and what it covered."""

    root: str
    findings: tuple[Finding, ...]
    episode_count: int
    data_file_count: int
    video_file_count: int
    files_read: int
    bytes_read: int
    timestamp_tolerance_seconds: float
    """The smallest tolerance with which ROW017 passes; 0 if rows were not read."""
    level: Level = "layout"
    against: str | None = None
    """Path or URL of the source that the dataset was compared with."""
    figures: Figures = field(default_factory=Figures, compare=False)
    ignored_count: int = 0
    """Number of findings that the configuration ignores, including those that a finding stands for."""
    accepted_count: int = 0
    """Number of findings that the baseline accepts, including those that a finding stands for."""
    notes: tuple[Note, ...] = ()
    """Problems that the sidecars make moot, sorted by code."""
    coverage: Coverage = field(default_factory=Coverage)
    options: VerifyOptions = DEFAULT_OPTIONS
    date: datetime | None = None
    """When the dataset was verified, as the caller sets it; None leaves it out of reports."""
    revision: str | None = None
    """Commit of the dataset, as the caller sets it; None where it is not known."""
    window_count: int = 0
    """Windows from later sync samples that were compared with decoding the whole file."""
    data_root: str | None = None
    """Dataset that the videos were read from, as the caller sets it; None if they are those of `root`."""

    @property
    def level_reason(self) -> str:
        """Return why it was verified at this level, as in `VerifyOptions.level_reason`; empty where nobody says."""
        return self.options.level_reason

    @property
    def error_count(self) -> int:
        """Return the number of errors, including those that a finding stands for."""
        return finding_count(found for found in self.findings if found.severity == "error")

    @property
    def warning_count(self) -> int:
        """Return the number of warnings, including those that a finding stands for."""
        return finding_count(found for found in self.findings if found.severity == "warning")

    @property
    def is_clean(self) -> bool:
        """Return whether there are no errors; warnings do not count."""
        return not self.error_count


UNKNOWN_TASK = -1
"""Number of a task that meta/tasks.parquet does not list."""
