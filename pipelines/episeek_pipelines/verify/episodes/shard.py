"""Read one file of `meta/episodes` once, and apply the rules that need no other file of `meta/episodes`."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import EpiseekError, ParquetError, ReadError, first_line
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.parquet.arrow_types import is_any_list
from episeek_pipelines.parquet.numpy_values import is_valid, numpy_values
from episeek_pipelines.parquet.row_cursor import RowCursor, column_bytes
from episeek_pipelines.verify.episodes.declared_rows import BLOCK_ROWS, keep_block
from episeek_pipelines.verify.episodes.source_comparison import EpisodesComparison, compare_episodes
from episeek_pipelines.verify.episodes.statistics_columns import statistics_columns
from episeek_pipelines.verify.episodes.table import (
    SOURCE_COLUMNS,
    RawColumn,
    Shard,
    concatenated,
    episode_columns,
)
from episeek_pipelines.verify.episodes.values import DOUBLED_REMEDY, check_columns
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.guard import guarded, unreadable
from episeek_pipelines.verify.metadata.survey import Files, listed_size
from episeek_pipelines.verify.metadata.task_rules import check_episode_tasks
from episeek_pipelines.verify.rules import EPISODE_VALUES, EPISODES_FOOTER
from episeek_schemas import lerobot
from episeek_schemas.lerobot import DatasetInfo


def read_shard(
    path: str,
    root: Root,
    info: DatasetInfo,
    task_numbers: Mapping[str, int] | None,
    against: Root | None,
    files: Files,
    source_files: Files,
    pointers: frozenset[str] = frozenset(),
    compared_features: Mapping[str, Any] | None = None,
    moved_columns: frozenset[str] = frozenset(),
) -> Shard:
    """Read one file of meta/episodes, and apply the rules that need no other such file: EPI005, EPI011, TSK014, EPI021.

    The file is read in blocks of rows, and only the needed columns: those that locate episodes, the tasks, statistics that later
    checks use, and columns that are compared with a source. Damaged contents never raise: they become findings.

    Args:
        path: The file.
        root: The dataset.
        info: Parsed meta/info.json.
        task_numbers: Numbers of the tasks by text, from meta/tasks.parquet; None if that file cannot be used.
        against: The source of a rewrite; None without one. The source's file of the same name is compared, except for the columns
            that locate data.
        files: The listing of the dataset.
        source_files: The listing of the source.
        pointers: Files that are pointers of Git LFS or git-annex. They are not opened, since INF040 reports them.
        compared_features: `features` of meta/info.json if the statistics of episodes are read; None if they are not.
        moved_columns: Further columns that may differ from those of the source.
    """
    if path in pointers:
        return Shard(path)
    where = Location(file=path)
    try:
        file = root.open_parquet(path, file_size=listed_size(files, path))
    except ReadError as error:
        return Shard(path, findings=(unreadable(error, where),))
    except (EpiseekError, pa.ArrowException, OSError) as error:
        return Shard(path, findings=(_unreadable_footer(error, where),))
    with file:
        try:
            source_size = listed_size(source_files, path)
            keep = None if compared_features is None else partial(keep_block, root, path, str(files.get(path)))
            features = compared_features or {}
            return _read_open_shard(file, path, info, task_numbers, against, source_size, features, moved_columns, keep)
        except ReadError as error:
            return Shard(path, findings=(unreadable(error, where),))
        except (EpiseekError, pa.ArrowException, OSError, EOFError) as error:
            return Shard(path, findings=(_unreadable_footer(error, where),))


def _unreadable_footer(error: Exception, where: Location) -> Finding:
    found = error.found if isinstance(error, ParquetError) else first_line(error).rstrip(".")
    return finding(EPISODES_FOOTER, found, "a readable Parquet file", where)


def _read_open_shard(
    file: pq.ParquetFile,
    path: str,
    info: DatasetInfo,
    task_numbers: Mapping[str, int] | None,
    against: Root | None,
    source_size: int | None,
    features: Mapping[str, Any],
    moved_columns: frozenset[str],
    keep: Callable[[int, pa.Table], None] | None,
) -> Shard:
    names = episode_columns(info)
    all_names = file.schema_arrow.names
    doubled = frozenset(name for name in all_names if all_names.count(name) > 1)
    has_tasks = lerobot.TASKS in all_names and lerobot.TASKS not in doubled
    has_other_cameras = not {lerobot.camera_of_column(name) for name in all_names} <= {None, *info.video_keys}
    present = [name for name in names if name in all_names and name not in doubled]
    compared = tuple(name for name in statistics_columns(features, file.schema_arrow) if name not in doubled)
    located = [*present, *([lerobot.TASKS] if has_tasks else [])]
    rows_with_tasks = 0
    findings: list[Finding] = [
        finding(
            EPISODE_VALUES,
            "two columns of this name",
            "one column of each name",
            Location(file=path, column=name),
            remedy=DOUBLED_REMEDY,
        )
        for name in sorted(doubled)
    ]
    parts: dict[str, list[RawColumn]] = {name: [] for name in names}
    row_count = file.metadata.num_rows
    with ExitStack() as stack:
        comparison: EpisodesComparison | None = None
        with guarded(findings, "compare meta/episodes", Location(file=path)):
            if against is not None:
                compared_file = compare_episodes(
                    against, path, file, findings, file_size=source_size, moved_columns=moved_columns
                )
                comparison = stack.enter_context(compared_file)
        # The checks of data files need tasks and statistics. They are kept if the file is small, and otherwise read again later.
        wanted_later = [*([lerobot.TASKS] if has_tasks else []), *compared]
        kept = wanted_later if keep is not None and row_count <= BLOCK_ROWS else []
        wanted = dict.fromkeys([*located, *kept, *(comparison.columns if comparison is not None else ())])
        columns = [name for name in wanted if name not in doubled]
        cursor = RowCursor(file, columns=columns)
        for start in range(0, max(row_count, 1), BLOCK_ROWS):
            table = cursor.read(start, min(BLOCK_ROWS, row_count - start))
            locations = table.select(present)
            if keep is not None and kept:
                keep(start, table.select(kept))
            with guarded(findings, "check columns", Location(file=path)):
                findings += check_columns(
                    locations, info, path, start, has_other_cameras=has_other_cameras, doubled=doubled
                )
            for name in names:
                parts[name].append(_usable(locations, name))
            if has_tasks and task_numbers is not None:
                with guarded(findings, "check tasks", Location(file=path)):
                    findings += check_episode_tasks(path, table[lerobot.TASKS], task_numbers, start)
                    rows_with_tasks += table.num_rows if is_any_list(table[lerobot.TASKS].type) else 0
            if comparison is not None:
                with guarded(findings, "compare meta/episodes", Location(file=path)):
                    findings += comparison.differences(table, start)
        source: dict[str, RawColumn] | None = None
        with guarded(findings, "compare meta/episodes", Location(file=path)):
            if comparison is not None:
                source_names = comparison.source.schema_arrow.names
                in_source = [name for name in SOURCE_COLUMNS if name in source_names]
                locations = comparison.source.read(columns=in_source, use_threads=False)
                source = {name: _usable(locations, name) for name in SOURCE_COLUMNS}
        bytes_read = file.metadata.serialized_size + column_bytes(
            file.metadata, list(dict.fromkeys([*columns, *compared]))
        )
        bytes_read += comparison.bytes_read if comparison is not None else 0
    return Shard(
        path=path,
        row_count=row_count,
        columns={name: concatenated(parts[name], name) for name in names},
        column_names=tuple(all_names),
        has_tasks=rows_with_tasks == row_count,
        is_readable=True,
        findings=tuple(findings),
        bytes_read=bytes_read,
        source=source,
        statistics=compared,
    )


def _usable(table: pa.Table, name: str) -> RawColumn:
    """Return a column with its unusable values marked. In a column that is missing or of a wrong type, all values are unusable."""
    is_seconds = name.endswith("_timestamp")
    dtype = np.float64 if is_seconds else np.int64
    unusable = RawColumn(np.zeros(table.num_rows, dtype), np.zeros(table.num_rows, np.bool_))
    if table.column_names.count(name) != 1:
        return unusable
    column = table[name]
    if not (pa.types.is_integer(column.type) or (is_seconds and pa.types.is_floating(column.type))):
        return unusable
    has_value = is_valid(column)
    values = numpy_values(column)
    if values.dtype.kind == "f":
        has_value = has_value & np.isfinite(values)
    has_value = has_value & (values >= 0)
    return RawColumn(np.where(has_value, values, 0).astype(dtype), has_value)
