"""Values that pass between the plan of a verification, its checks and its conclusion. All of them are small and can be pickled.

A check contains a batch of files with their metadata, so a worker needs only the context and the check. A dataset of a million
episodes has thousands of checks of some tens of kilobytes each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify.findings.arrays import Float64Array, Int64Array
from episeek_pipelines.verify.findings.episode_statistics import RecordedStatistics
from episeek_pipelines.verify.findings.figures import Figures
from episeek_pipelines.verify.findings.findings import Finding
from episeek_pipelines.verify.findings.observations import Observations
from episeek_pipelines.verify.findings.options import VerifyOptions
from episeek_schemas.lerobot import DatasetInfo

UNKNOWN_TASK: Final = -1
"""The number that `DataFile.tasks` contains for a task that meta/tasks.parquet does not list."""


@dataclass(frozen=True, slots=True)
class ColumnSegments:
    """The byte offsets of the values of one column of an index table, with one segment for each row group."""

    dtype: str
    """NumPy type of a value, such as `<i8`."""
    segments: tuple[tuple[int, int, int], ...]
    """(number of the first row, row count, byte offset of the first value in the file) for each row group."""


@dataclass(frozen=True, slots=True)
class SidecarTables:
    """The four sidecars of a dataset (index tables in `meta/byte_index/`), after all of them have passed the check of their format.

    The keys of the mappings are the names of the tables.
    """

    row_count: dict[str, int]
    columns: dict[str, dict[str, ColumnSegments]]
    """For each table except `files`, the byte offsets of the values of each column that can be memory-mapped, by column name."""
    versions: dict[str, str]
    """Identity of each table's file in the listing, which changes with its content."""
    format_version: str
    """The format version that the footers of the tables record."""
    episode_count: int
    """The number of episodes of the dataset, which the tables have to list."""


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
    """Texts of the tasks, by task_index; None if meta/tasks.parquet cannot be used or its task_index values have a gap."""
    is_complete: bool
    """Whether every row of meta/episodes is usable. If not, rows and frames without an episode are not reported."""
    has_tiling: bool
    """Whether dataset_from_index is usable for every episode, and EPI010 reports no gap or overlap."""
    is_prepared: bool
    """Whether the data files have to be as `episeek prepare` writes them."""
    has_promised_row_groups: bool
    """Whether the data files need one row group per episode, because the dataset is prepared or has sidecars."""
    has_sidecars: bool
    """Whether any of the four sidecar tables exists."""
    sidecars: SidecarTables | None
    """The sidecars; None if they do not exist, break the format or are not read. With None, no video is compared with sidecars."""
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
    """A data file, with the episodes whose rows it contains according to meta/episodes.

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
    """The row that describes one MP4 file in the index table `files` of `meta/byte_index/`."""

    row: int
    """Number of the row, from 0."""
    values: dict[str, Any]
    """Values of the row, by column."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoFile:
    """An MP4 file, with the episodes that it contains according to meta/episodes.

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
    """A data file of the source dataset, and the data files of the rewritten dataset that contain the same episodes."""

    path: str
    """Path of the file in the source."""
    episode_index: Int64Array
    """Indices of the file's episodes, sorted; shape [episodes]."""
    rewritten_paths: tuple[str, ...]
    """Paths of data files in the rewritten dataset."""
    rewritten_file: Int64Array
    """Position in `rewritten_paths` of the file that contains each episode; shape [episodes]."""


@dataclass(frozen=True, slots=True)
class DataGroup:
    """Data files, and the data files of the source dataset with the same rows. One check opens each file of a group once."""

    files: tuple[DataFile, ...]
    sources: tuple[SourceFile, ...] = ()


@dataclass(frozen=True, slots=True)
class DataCheck:
    """A check of the footers of some data files, and from the level `rows` on also of the rows."""

    groups: tuple[DataGroup, ...]


@dataclass(frozen=True, slots=True)
class VideoCheck:
    """A check of the headers of some MP4 files, and of the rows of these files in the index tables of `meta/byte_index/`.

    Pictures are also checked at the level `decode`, or if the option `decoded_windows` requests it.
    """

    files: tuple[VideoFile, ...]


@dataclass(frozen=True, slots=True)
class SidecarCheck:
    """A check of the values and the order of rows of one sidecar (index table in `meta/byte_index/`)."""

    table: str
    """Name of the table: `files`, `episodes`, `keyframes` or `samples`."""


Check = DataCheck | VideoCheck | SidecarCheck


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The findings of a check, its observations (values for rules over several files), and how many bytes and files it read."""

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
