"""The classes that make up the result of a comparison. Their fields become text for people and JSON for programs."""

from dataclasses import dataclass, field
from typing import Any

from episeek_pipelines.comparison.levels import DiffLevel


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """A short description of one of the two datasets."""

    url: str
    """The path or URL of the dataset, at a commit if it is a repository on the Hub."""
    version: str
    """The `codebase_version` of the dataset."""
    episode_count: int
    frame_count: int
    videos: str = ""
    """The root of the dataset's videos if it differs from the root of the dataset."""


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A JSON value that differs. A side that has no such value has None."""

    key: str
    a: Any
    b: Any


@dataclass(frozen=True, slots=True)
class TaskChange:
    """The text of a task that only one side has, or that has different numbers in A and B.

    The number is None on a side without the task.
    """

    text: str
    a: int | None
    b: int | None
    table: str = "tasks"
    """`tasks` or `subtasks`."""


@dataclass(frozen=True, slots=True)
class StatisticChange:
    """A statistic of a feature that differs."""

    feature: str
    statistic: str
    largest_difference: float | None
    """The largest difference between two values. None if one side has no such statistic, if the numbers of values differ, or if a
    value is not a number."""
    episode_count: int | None = None
    """The number of episodes whose statistic differs; None for a statistic of the whole dataset."""
    only_in: str = ""
    """`A` or `B` if only this side has the statistic; empty if both have it."""
    is_rounding: bool = False
    """Whether no value differs by more than one part in a million of the largest value, as after rounding to float32."""


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """A column in which the rows of a pair of episodes differ."""

    column: str
    """The name of the column; for a field of a struct, with the name of the field: `observation.image.bytes`."""
    row_count: int | None = None
    """The number of rows that differ, without surplus rows if the lengths differ. None if the types differ, or if only one side has
    the column."""
    first_row: int | None = None
    """The first row that differs, counted from the start of the episode."""
    only_in: str = ""
    """`A` or `B` if only the rows of this side have the column; empty if both have it."""


@dataclass(frozen=True, slots=True)
class VideoChange:
    """The differences between the coded samples of an episode in one camera."""

    camera: str
    frames: tuple[int, int] | None = None
    """The numbers of frames in A and B if they differ."""
    samples: tuple[int, int] | None = None
    """The numbers of samples in A and B that decoding the frames needs, if they differ."""
    different_samples: int | None = None
    """How many of the `sample_count` samples differ. None if the numbers of samples differ, or if all samples are equal."""
    sample_count: int | None = None
    first_sample: int | None = None
    """The first sample that differs, counted in decode order from the sample at which decoding starts."""
    is_least: bool = False
    """Whether `different_samples` is a lower bound, because samples of equal size were not read."""
    is_order_changed: bool = False
    """Whether the frames are decoded in a different order, or different samples are frames of the episode."""
    are_flags_changed: bool = False
    """Whether the files flag different samples of the episode as sync samples, so that a reader starts decoding elsewhere."""
    is_time_changed: bool = False
    """Whether the times of frames relative to the first frame differ."""
    entry: tuple[str, str] | None = None
    """The sample entries of A and B as text if they differ."""
    seconds: tuple[str, str] | None = None
    """The ranges that from_timestamp and to_timestamp select in A and in B, as text. None if LeRobot reads the same frames in both,
    and both ranges, or neither of them, agree with the frames of the episode.
    """


@dataclass(frozen=True, slots=True)
class EpisodeChange:
    """A pair of episodes that differ."""

    a: int
    """The number of the episode in A."""
    b: int
    """The number of the episode in B."""
    length: tuple[int, int] | None = None
    """The declared lengths in A and B if they differ."""
    rows: tuple[int, int] | None = None
    """The numbers of rows in the data files of A and B if they differ."""
    tasks: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    """The declared tasks in A and B if they differ."""
    is_start_changed: bool = False
    """Whether the distance from the end of the previous episode to `dataset_from_index` differs."""
    starts: tuple[int, int] | None = None
    """`dataset_from_index` in A and B if `is_start_changed`."""
    lookups: tuple[ValueChange, ...] = ()
    """Differences in how LeRobot finds the rows of the episode, in spite of equal rows."""
    columns: tuple[ColumnChange, ...] = ()
    videos: tuple[VideoChange, ...] = ()


@dataclass(frozen=True, slots=True)
class NotCompared:
    """A part of the datasets that was not compared, and the reason."""

    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """The numbers of files, samples and bytes that a comparison read."""

    same_files: int = 0
    """Number of pairs of data files or videos that are equal by their identities, their digests or their bytes."""
    data_files: int = 0
    """Number of data files of both sides whose footers or rows were read."""
    headers: int = 0
    """Number of headers of videos that were read, on both sides together."""
    samples: int = 0
    """Number of pairs of coded samples that were compared."""
    byte_count: int = 0
    """Number of bytes of data files and videos that were read, on both sides together."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences between two datasets, A and B."""

    a: DatasetSummary
    b: DatasetSummary
    level: DiffLevel
    metadata: tuple[ValueChange, ...] = ()
    """Values of meta/info.json that differ, with their keys joined by dots. Also columns of data files that only one side has, or
    whose types differ, and files and texts of tasks that LeRobot reads differently."""
    tasks: tuple[TaskChange, ...] = ()
    statistics: tuple[StatisticChange, ...] = ()
    removed: tuple[int, ...] = ()
    """Numbers of episodes that only A has."""
    added: tuple[int, ...] = ()
    """Numbers of episodes that only B has."""
    renumbered: tuple[tuple[int, int], ...] = ()
    """The number in A and the number in B of each pair of episodes with different numbers.

    If the episodes differ in anything else, the pair is also in `changed`.
    """
    changed: tuple[EpisodeChange, ...] = ()
    equal_count: int = 0
    """Number of pairs of episodes in which no compared part differs, including renumbered episodes."""
    layout: tuple[ValueChange, ...] = ()
    """Differences in the layout: where rows, videos and other files are stored. They do not count as differences of contents."""
    undecided: tuple[NotCompared, ...] = ()
    """Parts that could not be compared, because one of the datasets is defective there."""
    not_compared: tuple[NotCompared, ...] = ()
    """Parts that were not compared because of the level, or because only one of the datasets has them."""
    reading: Reading = field(default=Reading())

    @property
    def is_different(self) -> bool:
        """Whether the contents of the datasets differ."""
        return any(
            (
                self.metadata,
                self.tasks,
                self.statistics,
                self.removed,
                self.added,
                self.renumbered,
                self.changed,
            )
        )

    @property
    def is_decided(self) -> bool:
        """Whether every part that the level of the comparison includes could be compared."""
        return not self.undecided
