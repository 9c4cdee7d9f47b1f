"""`meta/episodes` as it is: nulls, missing columns and unreadable files included. Each file is opened once.

`episeek_pipelines.dataset.read_episodes` refuses those; here they are what is looked for. A value that is not usable (null, NaN, of
another type, in a column that is not there) is marked, and the rules leave such rows out: EPI011 names them.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from episeek.errors import EpiseekError, ParquetError, ReadError, first_line
from episeek_pipelines.storage import Root
from episeek_pipelines.verify.arrays import BoolArray, Int32Array, Int64Array
from episeek_pipelines.verify.dataset_survey import Files, listed_size
from episeek_pipelines.verify.episode_values import check_columns
from episeek_pipelines.verify.findings import Finding, Location, finding
from episeek_pipelines.verify.guard import guarded
from episeek_pipelines.verify.rewrite_rules import EpisodesComparison, compare_episodes
from episeek_pipelines.verify.row_cursor import RowCursor
from episeek_pipelines.verify.rules import EPISODES_FOOTER, UNREADABLE
from episeek_pipelines.verify.task_rules import check_episode_tasks
from episeek_schemas import lerobot
from episeek_schemas.lerobot import DatasetInfo

SOURCE_COLUMNS = (lerobot.EPISODE_INDEX, lerobot.DATA_CHUNK_INDEX, lerobot.DATA_FILE_INDEX)
"""Which rows of a source become which of its rewrite is worked out from these."""

_BLOCK_ROWS = 1 << 14

UNKNOWN_TASK = -1
"""Stands for a task that meta/tasks.parquet does not list."""


@dataclass(frozen=True, slots=True, eq=False)
class RawColumn:
    """Values of shape [rows], 0 where `is_valid` is false."""

    values: npt.NDArray[Any]  # int64 or float64
    is_valid: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class TaskLists:
    """The tasks of each row by their numbers: those of row k are `values[offsets[k]:offsets[k + 1]]`."""

    offsets: Int64Array = field(default_factory=lambda: np.zeros(1, np.int64))
    values: Int32Array = field(default_factory=lambda: np.zeros(0, np.int32))

    def of(self, row: int) -> Int32Array:
        """The tasks of one row."""
        return self.values[self.offsets[row] : self.offsets[row + 1]]


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """One file of meta/episodes: the columns that say where episodes are, and what was found in it."""

    path: str
    row_count: int = 0
    columns: Mapping[str, RawColumn] = field(default_factory=dict)
    column_names: tuple[str, ...] = ()
    """All of them, those of the statistics included."""
    tasks: TaskLists | None = None
    """None where the file does not say, or the tasks of the dataset are not known."""
    is_readable: bool = False
    findings: tuple[Finding, ...] = ()
    bytes_read: int = 0
    source: Mapping[str, RawColumn] | None = None
    """`SOURCE_COLUMNS` of the same file of the source; None without one."""


@dataclass(frozen=True, slots=True, eq=False)
class RawEpisodes:
    """The location columns of all readable files, in file order."""

    columns: dict[str, RawColumn]
    shards: tuple[tuple[str, int], ...]
    """(path, rows) of each readable file."""
    column_names: tuple[tuple[str, ...], ...]
    """All columns of each readable file."""
    tasks: TaskLists | None
    """None where a file does not say."""
    is_complete: bool
    """Whether every file could be read."""

    def __len__(self) -> int:
        return sum(rows for _, rows in self.shards)

    def values(self, name: str) -> npt.NDArray[Any]:
        """A column's values; meaningless where they are not valid."""
        return self.columns[name].values

    def valid(self, *names: str) -> BoolArray:
        """Rows where all of these columns are usable."""
        valid = np.ones(len(self), np.bool_)
        for name in names:
            valid &= self.columns[name].is_valid
        return valid

    def all_valid(self, *names: str) -> bool:
        """Whether every row of every file is there and usable in these columns."""
        return self.is_complete and bool(self.valid(*names).all())


def episode_columns(info: DatasetInfo) -> list[str]:
    """The columns that say where an episode is."""
    names = list(lerobot.EPISODE_COLUMNS)
    for key in info.video_keys:
        names += [lerobot.video_column(key, field) for field in lerobot.VIDEO_FIELDS]
    return names


def locate(shards: Sequence[tuple[str, int]], row: int) -> tuple[str, int]:
    """The file and the row in it of a row over all shards."""
    for path, rows in shards:
        if row < rows:
            return path, row
        row -= rows
    raise IndexError(row)


def read_shard(
    path: str,
    root: Root,
    info: DatasetInfo,
    task_numbers: Mapping[str, int] | None,
    against: Root | None,
    files: Files,
    source_files: Files,
    pointers: frozenset[str] = frozenset(),
) -> Shard:
    """Read one file of meta/episodes, and check what takes no other file to see: EPI005, EPI011, TSK014, EPI021.

    Some rows at a time: of the columns that do not say where something is, tasks are looked at, and with a source every
    column is compared with it. Never raises for what is in the file.

    Args:
        path: The file.
        root: The dataset.
        info: Its description.
        task_numbers: Of meta/tasks.parquet; None where it cannot be read.
        against: The source of a rewrite: the same file of it is compared, but for the place of the data.
        files: The listing.
        source_files: That of the source.
        pointers: Files that are Git LFS pointers, which is known: nothing is found in them.
    """
    if path in pointers:
        return Shard(path)
    where = Location(file=path)
    try:
        file = root.open_parquet(path, file_size=listed_size(files, path))
    except ReadError as error:
        return Shard(path, findings=(finding(UNREADABLE, str(error), where),))
    except (EpiseekError, pa.ArrowException, OSError) as error:
        return Shard(path, findings=(_no_footer(error, where),))
    with file:
        try:
            return _read_open_shard(file, path, info, task_numbers, against, listed_size(source_files, path))
        except ReadError as error:
            return Shard(path, findings=(finding(UNREADABLE, str(error), where),))
        except (EpiseekError, pa.ArrowException, OSError, EOFError) as error:
            return Shard(path, findings=(_no_footer(error, where),))


def _no_footer(error: Exception, where: Location) -> Finding:
    found = error.found if isinstance(error, ParquetError) else first_line(error)
    return finding(EPISODES_FOOTER, f"{found}; expected a readable Parquet file", where)


def _read_open_shard(
    file: pq.ParquetFile,
    path: str,
    info: DatasetInfo,
    task_numbers: Mapping[str, int] | None,
    against: Root | None,
    source_size: int | None,
) -> Shard:
    names = episode_columns(info)
    all_names = file.schema_arrow.names
    has_tasks = lerobot.TASKS in all_names
    present = [name for name in names if name in all_names]
    wanted = [*present, *([lerobot.TASKS] if has_tasks else [])]
    findings: list[Finding] = []
    parts: dict[str, list[RawColumn]] = {name: [] for name in names}
    task_parts: list[TaskLists] = []
    row_count = file.metadata.num_rows
    with ExitStack() as stack:
        comparison: EpisodesComparison | None = None
        with guarded(findings, "compare meta/episodes", Location(file=path)):
            if against is not None:
                comparison = stack.enter_context(compare_episodes(against, path, file, findings, file_size=source_size))
        columns = list(dict.fromkeys([*wanted, *(comparison.columns if comparison is not None else ())]))
        cursor = RowCursor(file, columns=columns)
        for start in range(0, max(row_count, 1), _BLOCK_ROWS):
            table = cursor.read(start, min(_BLOCK_ROWS, row_count - start))
            located = table.select(present)
            with guarded(findings, "check columns", Location(file=path)):
                findings += check_columns(located, info, path, start)
            for name in names:
                parts[name].append(_usable(located, name))
            if has_tasks and task_numbers is not None:
                with guarded(findings, "check tasks", Location(file=path)):
                    findings += check_episode_tasks(path, table[lerobot.TASKS], task_numbers, start)
                    task_parts.append(_numbered(table[lerobot.TASKS], task_numbers))
            if comparison is not None:
                with guarded(findings, "compare meta/episodes", Location(file=path)):
                    findings += comparison.differences(table, start)
        source: dict[str, RawColumn] | None = None
        with guarded(findings, "compare meta/episodes", Location(file=path)):
            if comparison is not None:
                there = [name for name in SOURCE_COLUMNS if name in comparison.source.schema_arrow.names]
                places = comparison.source.read(columns=there, use_threads=False)
                source = {name: _usable(places, name) for name in SOURCE_COLUMNS}
        bytes_read = file.metadata.serialized_size + column_bytes(file.metadata, columns)
        bytes_read += comparison.bytes_read if comparison is not None else 0
    tasks = _joined_tasks(task_parts)
    return Shard(
        path=path,
        row_count=row_count,
        columns={name: _concatenated(parts[name], name) for name in names},
        column_names=tuple(all_names),
        tasks=tasks if len(tasks.offsets) == row_count + 1 else None,
        is_readable=True,
        findings=tuple(findings),
        bytes_read=bytes_read,
        source=source,
    )


def joined(shards: Sequence[Shard], info: DatasetInfo) -> RawEpisodes:
    """All readable shards as one table."""
    readable = [shard for shard in shards if shard.is_readable]
    columns = {name: _concatenated([shard.columns[name] for shard in readable], name) for name in episode_columns(info)}
    tasks = [shard.tasks for shard in readable]
    known = [lists for lists in tasks if lists is not None]
    return RawEpisodes(
        columns=columns,
        shards=tuple((shard.path, shard.row_count) for shard in readable),
        column_names=tuple(shard.column_names for shard in readable),
        tasks=_joined_tasks(known) if len(known) == len(tasks) else None,
        is_complete=bool(shards) and len(readable) == len(shards),
    )


def column_numbers(footer: pq.FileMetaData, names: Sequence[str]) -> list[int]:
    """Leaf columns that belong to some columns of a Parquet file."""
    wanted = set(names)
    paths = [footer.schema.column(number).path for number in range(footer.num_columns)]
    return [number for number, path in enumerate(paths) if path in wanted or _top_level(path, wanted)]


def column_bytes(footer: pq.FileMetaData, names: Sequence[str]) -> int:
    """Bytes that some columns take in a Parquet file."""
    numbers = column_numbers(footer, names)
    groups = [footer.row_group(group) for group in range(footer.num_row_groups)]
    return sum(group.column(number).total_compressed_size for group in groups for number in numbers)


def _top_level(path: str, wanted: set[str]) -> bool:
    """Whether a leaf such as `action.list.element` belongs to a wanted column; names may hold dots themselves."""
    parts = path.split(".")
    return any(".".join(parts[:count]) in wanted for count in range(1, len(parts)))


def _usable(table: pa.Table, name: str) -> RawColumn:
    is_seconds = name.endswith("_timestamp")
    dtype = np.float64 if is_seconds else np.int64
    nothing = RawColumn(np.zeros(table.num_rows, dtype), np.zeros(table.num_rows, np.bool_))
    if table.column_names.count(name) != 1:
        return nothing
    column = table[name]
    if not (pa.types.is_integer(column.type) or (is_seconds and pa.types.is_floating(column.type))):
        return nothing
    is_valid = np.asarray(pc.is_valid(column).to_numpy(), dtype=np.bool_)
    values = np.asarray(pc.fill_null(column, 0).to_numpy())
    if values.dtype.kind == "f":
        is_valid = is_valid & np.isfinite(values)
    is_valid = is_valid & (values >= 0)
    return RawColumn(np.where(is_valid, values, 0).astype(dtype), is_valid)


def _concatenated(parts: Sequence[RawColumn], name: str) -> RawColumn:
    if not parts:
        dtype = np.float64 if name.endswith("_timestamp") else np.int64
        return RawColumn(np.zeros(0, dtype), np.zeros(0, np.bool_))
    return RawColumn(np.concatenate([part.values for part in parts]), np.concatenate([part.is_valid for part in parts]))


def _numbered(column: pa.ChunkedArray, task_numbers: Mapping[str, int]) -> TaskLists:
    """The lists of texts as lists of numbers; a row without a list has none."""
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    lengths = np.asarray(pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False), np.int64)
    texts = array.flatten().to_pylist()
    values = np.array([task_numbers.get(text, UNKNOWN_TASK) for text in texts], np.int32)
    return TaskLists(np.concatenate([[0], np.cumsum(lengths)]), values)


def _joined_tasks(parts: Sequence[TaskLists]) -> TaskLists:
    if not parts:
        return TaskLists()
    counts = np.concatenate([np.diff(part.offsets) for part in parts])
    return TaskLists(np.concatenate([[0], np.cumsum(counts)]), np.concatenate([part.values for part in parts]))
