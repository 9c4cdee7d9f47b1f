"""Read what meta/episodes declares about the rows of one data file: the tasks and the statistics of its episodes.

Tasks and statistics are read when the data file is checked, so that no process needs the declarations of all episodes at once. The
blocks of rows that were read last are kept, since the episodes of the next data file are usually in the same block.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.parquet.numpy_values import numpy_values, positions_of
from episeek_pipelines.parquet.row_cursor import RowCursor
from episeek_pipelines.verify.episodes.statistics_columns import column_names, read_statistics
from episeek_pipelines.verify.findings.arrays import Int64Array
from episeek_pipelines.verify.findings.checks import UNKNOWN_TASK, DataFile, VerificationContext
from episeek_schemas import lerobot

BLOCK_ROWS: Final = 1 << 14
"""Number of rows of meta/episodes that are read at a time."""

KEPT_BYTES: Final = 32 << 20
"""Largest number of bytes of meta/episodes that a process keeps. In a small dataset, each file is therefore read only once."""


def with_declared_rows(context: VerificationContext, file: DataFile) -> DataFile:
    """Return the data file with the tasks and the statistics of its episodes added, as far as the checks compare them.

    Raises:
        EpiseekError, pyarrow.ArrowException, OSError: A file of meta/episodes can no longer be read.
    """
    wanted = [*([lerobot.TASKS] if context.task_numbers is not None else []), *column_names(context.statistics)]
    if not wanted or not len(file.rows):
        return file
    order = np.argsort(file.rows, kind="stable")
    table = pa.concat_tables(_rows(context, wanted, file.rows[order]))
    table = table.take(positions_of(np.argsort(order, kind="stable")))
    tasks = None if context.task_numbers is None else _numbered(table[lerobot.TASKS], context.task_numbers)
    return replace(file, tasks=tasks, statistics=read_statistics(table, context.statistics, context.features))


def _rows(context: VerificationContext, columns: list[str], rows: Int64Array) -> Iterator[pa.Table]:
    """Yield the given rows of meta/episodes. The numbers in `rows` are ascending, and counted over all files."""
    first = 0
    for path, count in context.shards:
        local = rows[(rows >= first) & (rows < first + count)] - first
        for start in sorted({row // BLOCK_ROWS * BLOCK_ROWS for row in local.tolist()}):
            stop = min(start + BLOCK_ROWS, count)
            here = local[(local >= start) & (local < stop)] - start
            yield _block(context, path, columns, start, stop - start).take(positions_of(here))
        first += count


def _numbered(column: pa.ChunkedArray, task_numbers: Mapping[str, int]) -> tuple[tuple[int, ...], ...]:
    """Return the lists of task texts as lists of task numbers. Unknown texts become `UNKNOWN_TASK`, and null lists become empty."""
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    lengths = numpy_values(pc.list_value_length(array)).astype(np.int64)
    numbers = iter([task_numbers.get(text, UNKNOWN_TASK) for text in array.flatten().to_pylist()])
    return tuple(tuple(islice(numbers, length)) for length in lengths.tolist())


def keep_block(root: Root, path: str, version: str, start: int, table: pa.Table) -> None:
    """Keep rows of a file of meta/episodes for later checks in this process.

    Args:
        root: The dataset.
        path: The file.
        version: A text that differs between versions of the file.
        start: The row of the file at which the rows begin.
        table: The rows.
    """
    _kept.put((root.url, path, version, start), table)


def forget_blocks() -> None:
    """Remove from memory all rows of meta/episodes that this process keeps."""
    _kept.clear()


def _block(context: VerificationContext, path: str, columns: list[str], start: int, count: int) -> pa.Table:
    key = (context.root.url, path, context.shard_versions[path], start)
    table = _kept.get(key)
    if table is None or not set(columns) <= set(table.column_names) or table.num_rows < count:
        with context.root.open_parquet(path) as file:
            table = RowCursor(file, columns=columns).read(start, count)
        _kept.put(key, table)
    return table.select(columns)


class _KeptBlocks:
    """Keeps tables by key, and deletes the oldest tables when the total size exceeds `KEPT_BYTES`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tables: OrderedDict[tuple[str, str, str, int], pa.Table] = OrderedDict()

    def get(self, key: tuple[str, str, str, int]) -> pa.Table | None:
        with self._lock:
            return self._tables.get(key)

    def put(self, key: tuple[str, str, str, int], table: pa.Table) -> None:
        with self._lock:
            self._tables[key] = table
            self._tables.move_to_end(key)
            while sum(kept.nbytes for kept in self._tables.values()) > KEPT_BYTES and len(self._tables) > 1:
                self._tables.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._tables.clear()


_kept = _KeptBlocks()
