"""What goes between the plan, its checks and the conclusion: small values that pickle.

A check holds a batch of files with what the metadata says of them, so that a worker needs nothing but the context and the check. A
million episodes make thousands of checks, each some tens of kilobytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify.findings.arrays import Float64Array, Int64Array
from episeek_pipelines.verify.findings.coverage import Coverage, Note
from episeek_pipelines.verify.findings.figures import CameraFigures, Figures
from episeek_pipelines.verify.findings.findings import Finding, finding_count
from episeek_pipelines.verify.findings.options import DEFAULT_OPTIONS, VerifyOptions
from episeek_pipelines.verify.findings.ranges import (
    FeatureRanges,
)
from episeek_pipelines.verify.rules import Level
from episeek_schemas.lerobot import DatasetInfo


@dataclass(frozen=True, slots=True)
class ColumnSegments:
    """Where the values of one sidecar column lie: (first row, rows, byte offset) of each row group."""

    dtype: str
    segments: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class SidecarTables:
    """The sidecar tables whose layout can be trusted, by name: row counts and where each mapped column's values lie."""

    row_count: dict[str, int]
    columns: dict[str, dict[str, ColumnSegments]]
    versions: dict[str, str]
    """What the listing says of each file."""


@dataclass(frozen=True, slots=True)
class VerificationContext:
    """What every check needs to know of the dataset."""

    root: Root
    data_root: Root
    """Where the videos are."""
    against: Root | None
    info: DatasetInfo
    features: Mapping[str, Any]
    """`features` of meta/info.json."""
    options: VerifyOptions
    task_texts: tuple[str, ...] | None
    """Of meta/tasks.parquet by number; None where it cannot be used."""
    is_complete: bool
    """Whether every row of meta/episodes is usable: otherwise rows and frames without an episode mean nothing."""
    has_tiling: bool
    """Whether dataset_from_index can be trusted (EPI010 holds)."""
    is_prepared: bool
    """Whether one row group per episode is promised."""
    has_sidecars: bool
    sidecars: SidecarTables | None
    """None when there are none, or when their format is broken: then the comparisons with the videos are left out."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The features that are columns of the data files."""
        return tuple(key for key in self.features if key not in self.info.video_keys)


@dataclass(frozen=True, slots=True, eq=False)
class DataFile:
    """One data file and the episodes that the metadata places in it; arrays of shape [episodes], by rising episode_index."""

    path: str
    file_size: int | None
    """Bytes; None where the listing does not say."""
    episode_index: Int64Array
    length: Int64Array
    dataset_from_index: Int64Array
    tasks: tuple[tuple[int, ...], ...] | None = None
    """Numbers of each episode's tasks; None where meta/episodes or meta/tasks.parquet does not say, or rows are not looked at."""


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """What the sidecars say of one MP4: a row of `files`."""

    row: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class VideoFile:
    """One MP4 and the episodes that the metadata places in it; arrays of shape [episodes], by rising from_timestamp."""

    path: str
    camera_key: str
    file_size: int | None
    """Bytes; None where the listing does not say."""
    episode_index: Int64Array
    length: Int64Array
    from_timestamp: Float64Array  # seconds
    to_timestamp: Float64Array
    indexed: IndexedFile | None = None
    decoded: tuple[int, ...] = ()
    """Positions of the episodes that are decoded."""


@dataclass(frozen=True, slots=True, eq=False)
class SourceFile:
    """One data file of the source of a rewrite, and where its episodes are now; by rising episode_index."""

    path: str
    episode_index: Int64Array
    rewritten_paths: tuple[str, ...]
    """Of the rewritten dataset, by position of `rewritten_file`."""
    rewritten_file: Int64Array
    """Position in `rewritten_paths`, shape [episodes]."""


@dataclass(frozen=True, slots=True)
class DataGroup:
    """Data files that are looked at together, and the source files that their rows come from: each is opened once."""

    files: tuple[DataFile, ...]
    sources: tuple[SourceFile, ...] = ()


@dataclass(frozen=True, slots=True)
class DataCheck:
    """Some data files: footers, and rows where they are looked at."""

    groups: tuple[DataGroup, ...]


@dataclass(frozen=True, slots=True)
class VideoCheck:
    """Headers of some MP4 files, what the sidecars say of them, and pictures where they are looked at."""

    files: tuple[VideoFile, ...]


@dataclass(frozen=True, slots=True)
class SidecarCheck:
    """Columns, order and values of one sidecar table."""

    table: str


Check = DataCheck | VideoCheck | SidecarCheck


@dataclass(frozen=True, slots=True)
class ForeignRows:
    """Rows of an episode in another file than the one that meta/episodes declares for it."""

    episode_index: int
    path: str
    first_row: int | None
    row_count: int | None
    """None where only the footer was read, which shows that there are some."""


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """What the frames of one MP4 are."""

    camera_key: str
    path: str
    text: str
    """From `videos.format.format_text`: equal texts, equal formats."""


@dataclass(frozen=True, slots=True)
class Observations:
    """What one check saw that rules over several files need; besides figures, nothing where the files are sound."""

    absent_episodes: tuple[tuple[int, str], ...] = ()
    """(episode_index, path): meta/episodes places the episode in this file, which holds no row of it."""
    foreign_rows: tuple[ForeignRows, ...] = ()
    timestamp_tolerance_seconds: float = 0.0
    """The smallest tolerance with which ROW017 passes."""
    row_group_count: int = 0
    collapsed_file_count: int = 0
    """Data files that have a row group of several episodes, or may have one."""
    ranges: tuple[FeatureRanges, ...] = ()
    video_formats: tuple[VideoFormat, ...] = ()
    figures: tuple[CameraFigures, ...] = ()

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
            video_formats=tuple(each for observed in observations for each in observed.video_formats),
            figures=tuple(figures for observed in observations for figures in observed.figures),
        )


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found, and what it cost."""

    findings: tuple[Finding, ...] = ()
    bytes_read: int = 0
    files_read: int = 0
    observations: Observations = field(default_factory=Observations)


@dataclass(frozen=True, slots=True, eq=False)
class VerificationPlan:
    """The checks of one dataset, and what was found while planning them."""

    root: str
    context: VerificationContext | None
    """None where meta/info.json cannot be used: then there are no checks."""
    options: VerifyOptions
    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]
    figures: Figures
    """Without those of the cameras."""
    data_file_count: int = 0
    video_file_count: int = 0
    episode_index: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    data_path: tuple[str, ...] = ()
    """Of the files that the metadata names; by position of `data_file`."""
    data_file: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    """Position in `data_path` by row of `episode_index`, -1 where the metadata does not say."""
    shards: tuple[tuple[str, int], ...] = ()
    """(path, rows) of the readable files of meta/episodes, in order: where row i of `episode_index` is."""
    bytes_read: int = 0
    files_read: int = 0

    def require_context(self) -> VerificationContext:
        """The context, where there are checks."""
        if self.context is None:
            raise ValueError(f"{self.root}: nothing can be checked")
        return self.context


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """All findings, sorted, and the summary."""

    root: str
    findings: tuple[Finding, ...]
    episode_count: int
    data_file_count: int
    video_file_count: int
    files_read: int
    bytes_read: int
    timestamp_tolerance_seconds: float
    """The smallest tolerance with which ROW017 passes; 0 where rows were not looked at."""
    level: Level = "layout"
    against: str | None = None
    """The source that it was compared with."""
    figures: Figures = field(default_factory=Figures, compare=False)
    ignored_count: int = 0
    """Findings that the configuration leaves out, those that a finding stands for included."""
    accepted_count: int = 0
    """Findings that the baseline accepts, those that a finding stands for included."""
    notes: tuple[Note, ...] = ()
    """Problems that the sidecars make moot, sorted by code."""
    coverage: Coverage = field(default_factory=Coverage)
    options: VerifyOptions = DEFAULT_OPTIONS
    date: datetime | None = None
    """When the dataset was verified, as the caller sets it; None leaves it out of reports."""
    revision: str | None = None
    """Commit of the dataset, as the caller sets it; None where it is not known."""
    data_root: str | None = None
    """Dataset that the videos were read from, as the caller sets it; None if they are those of `root`."""

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
"""Stands for a task that meta/tasks.parquet does not list."""
