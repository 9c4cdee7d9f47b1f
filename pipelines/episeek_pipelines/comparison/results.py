"""The result of a comparison: values for people and for JSON."""

from dataclasses import dataclass, field
from typing import Any

from episeek_pipelines.comparison.levels import DiffLevel


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """One of the two datasets."""

    url: str
    """Its path or URL; at a commit where it is in a repository of the Hub."""
    version: str
    """Its `codebase_version`."""
    episode_count: int
    frame_count: int
    videos: str = ""
    """The root of its videos, where that is another one."""


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A value that differs, as JSON has it; None on the side that has no such value."""

    key: str
    a: Any
    b: Any


@dataclass(frozen=True, slots=True)
class TaskChange:
    """The text of a task that one side lacks, or that has another number; None where a side does not have it."""

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
    """Between two values; None where one side lacks it, or has another number of values or something that is no number."""
    episode_count: int | None = None
    """Episodes whose statistic differs; None for that of the whole dataset."""
    only_in: str = ""
    """`A` or `B` where the other side has no such statistic; empty where both have it."""


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """A column of the rows of an episode that differs."""

    column: str
    """Its name; of columns of structs, with the name of the field: `observation.image.bytes`."""
    row_count: int | None = None
    """Rows that differ; of episodes of two lengths, among the first ones of both. None where the types differ, too."""
    first_row: int | None = None
    """The first of them, from the start of the episode."""
    only_in: str = ""
    """`A` or `B` where the rows of the other one have no such column; empty where both have it."""


@dataclass(frozen=True, slots=True)
class VideoChange:
    """The coded samples of an episode in one camera, where they differ."""

    camera: str
    frames: tuple[int, int] | None = None
    """Numbers of frames, where these differ."""
    samples: tuple[int, int] | None = None
    """Numbers of samples that the frames need, where these differ."""
    different_samples: int | None = None
    """Samples that differ, of `sample_count`; None where the numbers of samples differ, or all samples are the same."""
    sample_count: int | None = None
    first_sample: int | None = None
    """The first sample that differs, in decode order from the start of decoding."""
    is_least: bool = False
    """Whether samples of one size were not read: then at least `different_samples` differ."""
    is_order_changed: bool = False
    """Whether frames are decoded in another order than they were, or other samples are frames of the episode."""
    is_time_changed: bool = False
    """Whether frames are shown at other times after the first one."""
    entry: tuple[str, str] | None = None
    """The sample entries in words, where these differ."""


@dataclass(frozen=True, slots=True)
class EpisodeChange:
    """A pair of episodes that differ."""

    a: int
    """Its number in A."""
    b: int
    """Its number in B."""
    length: tuple[int, int] | None = None
    """Declared lengths, where these differ."""
    rows: tuple[int, int] | None = None
    """Numbers of rows in the data files, where these differ."""
    tasks: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    """Declared tasks, where these differ."""
    is_start_changed: bool = False
    """Whether `dataset_from_index` is another one, counted from the end of the episode before."""
    columns: tuple[ColumnChange, ...] = ()
    videos: tuple[VideoChange, ...] = ()


@dataclass(frozen=True, slots=True)
class NotCompared:
    """A part of the datasets that was not looked at."""

    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """The work of a comparison."""

    same_files: int = 0
    """Pairs of data files and of videos that are the same by their identities, their digests or all of their bytes."""
    data_files: int = 0
    """Data files of both sides of which footers or rows were read."""
    headers: int = 0
    """Headers of videos that were read, of both sides."""
    samples: int = 0
    """Pairs of coded samples that were compared."""
    byte_count: int = 0
    """Bytes of both sides that were read of data files and videos."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences between two datasets, A and B."""

    a: DatasetSummary
    b: DatasetSummary
    level: DiffLevel
    metadata: tuple[ValueChange, ...] = ()
    """Values of meta/info.json, by their keys with dots; and the types of columns of data files."""
    tasks: tuple[TaskChange, ...] = ()
    statistics: tuple[StatisticChange, ...] = ()
    removed: tuple[int, ...] = ()
    """Numbers of episodes that only A has."""
    added: tuple[int, ...] = ()
    """Numbers of episodes that only B has."""
    renumbered: tuple[tuple[int, int], ...] = ()
    """Numbers in A and in B of episodes that have two; those that have changed as well are also in `changed`."""
    changed: tuple[EpisodeChange, ...] = ()
    equal_count: int = 0
    """Pairs of episodes in which nothing differs that was compared; also renumbered ones."""
    layout: tuple[ValueChange, ...] = ()
    """Where rows, videos and other files are; no part of this makes the datasets different."""
    undecided: tuple[NotCompared, ...] = ()
    """Parts that could not be compared, because a side is defective there."""
    not_compared: tuple[NotCompared, ...] = ()
    """Parts that were left out by the level, or because one side has nothing to compare them with."""
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
        """Whether all parts that were to be compared could be compared."""
        return not self.undecided
