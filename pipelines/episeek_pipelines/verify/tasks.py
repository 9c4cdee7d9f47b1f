"""What goes between the plan, its checks and the conclusion: small values that pickle.

A check holds a batch of files with what the metadata says of them, so that a worker needs nothing but the context and the check. A
million episodes make thousands of checks, each some tens of kilobytes.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from episeek_pipelines.storage import Root
from episeek_pipelines.verify.figures import Figures
from episeek_pipelines.verify.findings import Finding
from episeek_pipelines.verify.rules import Level
from episeek_schemas.lerobot import DatasetInfo

Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]


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


@dataclass(frozen=True, slots=True)
class VerificationContext:
    """What every check needs to know of the dataset."""

    root: Root
    data_root: Root
    """Where the videos are."""
    against: Root | None
    info: DatasetInfo
    features: tuple[str, ...]
    """Keys of the features that are columns of the data files."""
    is_complete: bool
    """Whether every row of meta/episodes is usable: otherwise rows and frames without an episode mean nothing."""
    has_tiling: bool
    """Whether dataset_from_index can be trusted (EPI010 holds)."""
    is_prepared: bool
    """Whether one row group per episode is promised."""
    has_sidecars: bool
    sidecars: SidecarTables | None
    """None when there are none, or when their format is broken: then the comparisons with the videos are left out."""


@dataclass(frozen=True, slots=True, eq=False)
class DataFile:
    """One data file and the episodes that the metadata places in it; arrays of shape [episodes], by rising episode_index."""

    path: str
    episode_index: Int64Array
    length: Int64Array
    dataset_from_index: Int64Array


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
    episode_index: Int64Array
    length: Int64Array
    from_timestamp: Float64Array  # seconds
    to_timestamp: Float64Array
    indexed: IndexedFile | None = None


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
class EpisodesCheck:
    """Columns, types, nulls and ranges of some files of meta/episodes; compared with the source's where there is one."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DataCheck:
    """Rows of some data files."""

    files: tuple[DataFile, ...]


@dataclass(frozen=True, slots=True)
class VideoCheck:
    """Headers of some MP4 files, and what the sidecars say of them."""

    files: tuple[VideoFile, ...]


@dataclass(frozen=True, slots=True)
class SidecarCheck:
    """Columns, order and values of one sidecar table."""

    table: str
    unreferenced_paths: tuple[str, ...] = ()
    """With the table `files`: MP4 files in it that no episode refers to."""


@dataclass(frozen=True, slots=True)
class RewriteCheck:
    """Data files of the source, row by row the same in the rewritten dataset."""

    files: tuple[SourceFile, ...]


@dataclass(frozen=True, slots=True)
class MetadataCheck:
    """Files below meta/ of the source, the same in the rewritten dataset; meta/episodes and the sidecars have their own checks."""

    paths: tuple[str, ...]


Check = EpisodesCheck | DataCheck | VideoCheck | SidecarCheck | RewriteCheck | MetadataCheck


@dataclass(frozen=True, slots=True)
class ForeignRows:
    """Rows of an episode in a file that the metadata does not name for it."""

    episode_index: int
    path: str
    first_row: int
    row_count: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules over several files need from one check: nothing, when the files are as they should be."""

    absent_episodes: tuple[tuple[int, str], ...] = ()
    """(episode_index, path): named for the file, no row of it there."""
    foreign_rows: tuple[ForeignRows, ...] = ()
    timestamp_tolerance_seconds: float = 0.0
    """The smallest tolerance with which ROW017 passes."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found, and what it cost."""

    findings: tuple[Finding, ...] = ()
    bytes_read: int = 0
    files_read: int = 0
    facts: Facts = field(default_factory=Facts)


@dataclass(frozen=True, slots=True, eq=False)
class VerificationPlan:
    """The checks of one dataset, and what was found while planning them."""

    context: VerificationContext
    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]
    episode_count: int
    data_file_count: int
    video_file_count: int
    episode_index: Int64Array
    data_path: tuple[str, ...]
    """Of the files that the metadata names; by position of `data_file`."""
    data_file: Int64Array
    """Position in `data_path` by row of `episode_index`, -1 where the metadata does not say."""
    shards: tuple[tuple[str, int], ...]
    """(path, rows) of the readable files of meta/episodes, in order: where row i of `episode_index` is."""
    bytes_read: int = 0


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

    @property
    def error_count(self) -> int:
        """Errors, those that a finding stands for included."""
        return sum(1 + f.more for f in self.findings if f.severity == "error")

    @property
    def warning_count(self) -> int:
        """Warnings, those that a finding stands for included."""
        return sum(1 + f.more for f in self.findings if f.severity == "warning")

    @property
    def is_clean(self) -> bool:
        """Whether there are no errors; warnings do not count."""
        return not self.error_count
