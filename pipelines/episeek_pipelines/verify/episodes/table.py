"""Classes for a possibly defective `meta/episodes`, which may have nulls, missing columns or unreadable files.

`dataset.metadata.read_episodes` refuses such metadata, but verification has to examine it. `shard` reads the files. Unusable values
(null, not finite, negative, of a wrong type, or in a missing column) are marked: EPI011 reports them, and the other rules skip
their rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from episeek_pipelines.verify.findings.arrays import BoolArray
from episeek_pipelines.verify.findings.findings import Finding
from episeek_schemas import lerobot
from episeek_schemas.lerobot import DatasetInfo

SOURCE_COLUMNS = (lerobot.EPISODE_INDEX, lerobot.DATA_CHUNK_INDEX, lerobot.DATA_FILE_INDEX)
"""The columns of a source's meta/episodes that say which data file contains each episode."""


@dataclass(frozen=True, slots=True, eq=False)
class RawColumn:
    """The values of a column, shape [rows]; unusable values are 0 and have False in `is_valid`."""

    values: npt.NDArray[Any]
    """The values as int64 or float64."""
    is_valid: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """The contents of one file of meta/episodes: the columns that locate episodes, and the findings about the file."""

    path: str
    row_count: int = 0
    columns: Mapping[str, RawColumn] = field(default_factory=dict)
    column_names: tuple[str, ...] = ()
    """Names of all columns of the file, including those of statistics."""
    has_tasks: bool = False
    """Whether the file has a column with lists of tasks. False if meta/tasks.parquet cannot be used."""
    is_readable: bool = False
    findings: tuple[Finding, ...] = ()
    bytes_read: int = 0
    source: Mapping[str, RawColumn] | None = None
    """`SOURCE_COLUMNS` of the file of the same name in the source; None without such a file."""
    statistics: tuple[str, ...] = ()
    """Names of the columns with statistics that are compared with the rows of data files; empty if statistics are not read."""


@dataclass(frozen=True, slots=True, eq=False)
class RawEpisodes:
    """The columns that locate episodes, of all readable files in the order of their paths."""

    columns: dict[str, RawColumn]
    shards: tuple[tuple[str, int], ...]
    """(path, rows) of each readable file."""
    column_names: tuple[tuple[str, ...], ...]
    """Names of all columns of each readable file."""
    has_tasks: bool
    """Whether every readable file has a column with lists of tasks. False if meta/tasks.parquet cannot be used."""
    is_complete: bool
    """Whether one or more files exist, and all of them could be read."""
    has_unreadable_files: bool = False
    """Whether one or more files exist that could not be read."""
    statistics: tuple[str, ...] = ()
    """Names of the columns with statistics that every readable file has."""

    def __len__(self) -> int:
        return sum(rows for _, rows in self.shards)

    def values(self, name: str) -> npt.NDArray[Any]:
        """Return the values of a column. A value has no meaning in a row for which `valid` returns False."""
        return self.columns[name].values

    def valid(self, *names: str) -> BoolArray:
        """Return a mask of the rows in which the values of all columns in `names` are usable."""
        valid = np.ones(len(self), np.bool_)
        for name in names:
            valid &= self.columns[name].is_valid
        return valid

    def all_valid(self, *names: str) -> bool:
        """Return whether every file was read, and the values of all columns in `names` are usable in every row."""
        return self.is_complete and bool(self.valid(*names).all())


def episode_columns(info: DatasetInfo) -> list[str]:
    """Return the names of the columns that locate an episode."""
    names = list(lerobot.EPISODE_COLUMNS)
    for key in info.video_keys:
        names += [lerobot.video_column(key, field) for field in lerobot.VIDEO_FIELDS]
    return names


def locate(shards: Sequence[tuple[str, int]], row: int) -> tuple[str, int]:
    """Return the path of the file that contains row `row`, counted over all files, and the number of this row in the file."""
    for path, rows in shards:
        if row < rows:
            return path, row
        row -= rows
    raise IndexError(row)


def joined(shards: Sequence[Shard], info: DatasetInfo) -> RawEpisodes:
    """Return the rows of all readable files of meta/episodes as one table."""
    readable = [shard for shard in shards if shard.is_readable]
    columns = {name: concatenated([shard.columns[name] for shard in readable], name) for name in episode_columns(info)}
    return RawEpisodes(
        columns=columns,
        shards=tuple((shard.path, shard.row_count) for shard in readable),
        column_names=tuple(shard.column_names for shard in readable),
        has_tasks=all(shard.has_tasks for shard in readable),
        is_complete=bool(shards) and len(readable) == len(shards),
        has_unreadable_files=len(readable) < len(shards),
        statistics=tuple(
            column
            for column in (readable[0].statistics if readable else ())
            if all(column in shard.statistics for shard in readable)
        ),
    )


def concatenated(parts: Sequence[RawColumn], name: str) -> RawColumn:
    """Return the parts of the column `name` as one column. The column is empty if there are no parts."""
    if not parts:
        dtype = np.float64 if name.endswith("_timestamp") else np.int64
        return RawColumn(np.zeros(0, dtype), np.zeros(0, np.bool_))
    return RawColumn(np.concatenate([part.values for part in parts]), np.concatenate([part.is_valid for part in parts]))
