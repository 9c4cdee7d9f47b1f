"""Read a data file episode by episode, regardless of its row groups, with one episode and one batch in memory.

A file may be a single row group, so it is not read by row groups. Batches are limited by bytes, not by rows: 65,536 rows of images
would take gigabytes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import EpiseekError, ParquetError, ReadError, RowOrderError, first_line
from episeek_pipelines.parquet.numpy_values import is_valid, numpy_values
from episeek_schemas import lerobot

BATCH_BYTES: Final = 8 << 20
MAX_BATCH_ROWS: Final = 1 << 16
PROBE_ROWS: Final = 64
SAMPLE_ROWS: Final = 4096
SAMPLE_EPISODES: Final = 64

READ_OPTIONS: Final[dict[str, Any]] = {"pre_buffer": False, "buffer_size": 1 << 16}
"""Options of `ParquetFile` that read each page when it is needed. By default pyarrow reads whole column chunks into memory."""


@dataclass(frozen=True, slots=True)
class EpisodeRun:
    """The rows of one episode of a file."""

    episode_index: int
    first_row: int
    table: pa.Table


def episode_runs(file: pq.ParquetFile, where: str, *, row_bytes: float | None = None) -> Iterator[EpisodeRun]:
    """Yield the episodes of a file, in the order of its rows.

    Args:
        file: A file that was opened with `READ_OPTIONS`.
        where: Path or URL of the file, for errors.
        row_bytes: Estimated size of a row in memory, in bytes, from `measure_row_bytes`; None to estimate it here.

    Raises:
        RowOrderError: The column `episode_index` is missing, is not of an integer type or has nulls, or the rows of an episode are
            not contiguous.
        ParquetError: Pages cannot be read, or there are fewer rows than the footer says.
        ReadError: The operating system or the store failed.
    """
    column = _episode_column(file.schema_arrow, where)
    batch_rows = _batch_rows(measure_row_bytes(file, where) if row_bytes is None else row_bytes)
    seen: set[int] = set()
    pieces: list[pa.RecordBatch] = []
    current = first_row = row = 0
    for batch in _batches(file, where, batch_rows):
        for episode, start, stop in _stretches(batch.column(column), where, row):
            if pieces and episode != current:
                yield EpisodeRun(current, first_row, _table(pieces))
                pieces = []
            if not pieces:
                if episode in seen:
                    raise RowOrderError(
                        where,
                        f"episode {episode} again at row {row + start}",
                        "contiguous rows of each episode",
                    )
                seen.add(episode)
                current, first_row = episode, row + start
            pieces.append(batch.slice(start, stop - start))
        row += len(batch)
    if row != file.metadata.num_rows:
        raise ParquetError(where, f"{row} rows", f"{file.metadata.num_rows} rows, as the footer says")
    if pieces:
        yield EpisodeRun(current, first_row, _table(pieces))


def sample_episodes(file: pq.ParquetFile, where: str) -> list[pa.Table]:
    """Return the first episodes of a file, one table each: at most 64, and as many as fit into 4,096 rows or 8 MiB.

    The last of these episodes may be incomplete, and is omitted unless it is the only one. An empty file gives an empty list.

    Raises:
        RowOrderError: The column `episode_index` is missing, is not of an integer type or has nulls.
        ParquetError: Pages cannot be read.
        ReadError: The operating system or the store failed.
    """
    column = _episode_column(file.schema_arrow, where)
    wanted_rows = min(SAMPLE_ROWS, _batch_rows(measure_row_bytes(file, where)))
    pieces: list[pa.RecordBatch] = []
    # pyarrow returns columns of some types in one batch for each row group
    for batch in _batches(file, where, wanted_rows):
        pieces.append(batch.slice(0, wanted_rows))
        wanted_rows -= len(pieces[-1])
        if not wanted_rows:
            break
    if not pieces:
        return []
    table = _table(pieces)
    stretches = list(_stretches(table.column(column).combine_chunks(), where, 0))
    whole = stretches[:-1] or stretches
    return [table.slice(start, stop - start) for _, start, stop in whole[:SAMPLE_EPISODES]]


def measure_row_bytes(file: pq.ParquetFile, where: str) -> float:
    """Return an estimate of the size of a row in memory, in bytes. It is more likely too large than too small.

    The estimate is the encoded size plus the width of the fixed-size types, from the footer. Long values that the file stores once,
    in a dictionary, take many times more memory than in the file. Therefore a few rows are read if a column may contain such
    values.
    """
    metadata = file.metadata
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    encoded = max((group.total_byte_size / group.num_rows for group in groups if group.num_rows), default=0.0)
    estimate = encoded + sum(_fixed_bytes(field.type) for field in file.schema_arrow)
    if _may_hide_long_values(file.schema):
        batch = next(_batches(file, where, min(PROBE_ROWS, _batch_rows(estimate))), None)
        if batch is not None and len(batch):
            estimate = max(estimate, pa.Table.from_batches([batch]).nbytes / len(batch))
    return max(1.0, estimate)


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Convert errors that pyarrow raises in a `with` block into errors that name the file.

    Raises:
        ReadError: The operating system or the store failed.
        ParquetError: The contents of the file are invalid.
    """
    try:
        yield
    except EpiseekError:
        raise
    except OSError as error:
        # pyarrow raises OSError for corrupt pages as well, but without a number
        if error.errno is not None:
            raise ReadError(where, first_line(error), "a readable file") from error
        raise ParquetError(where, first_line(error), "readable data pages") from None
    except (pa.ArrowException, EOFError, ValueError) as error:
        raise ParquetError(where, first_line(error), "readable data pages") from None


def _batches(file: pq.ParquetFile, where: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
    with reading(where):
        batches = file.iter_batches(batch_size=batch_rows)
    while True:
        with reading(where):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _batch_rows(row_bytes: float) -> int:
    return max(1, min(MAX_BATCH_ROWS, int(BATCH_BYTES / row_bytes)))


def _table(pieces: list[pa.RecordBatch]) -> pa.Table:
    table = pa.Table.from_batches(pieces)
    # each batch of a categorical column may have its own dictionary, but a row group can have only one
    return table.unify_dictionaries() if len(pieces) > 1 else table


def _episode_column(schema: pa.Schema, where: str) -> int:
    column: int = schema.get_field_index(lerobot.EPISODE_INDEX)
    if column < 0:
        count = schema.names.count(lerobot.EPISODE_INDEX)
        raise RowOrderError(
            where, f"{count or 'no'} columns {lerobot.EPISODE_INDEX!r}", "one column with the episode of every row"
        )
    dtype = schema.field(column).type
    if not pa.types.is_integer(dtype):
        raise RowOrderError(where, f"column {lerobot.EPISODE_INDEX!r} of type {dtype}", "an integer type")
    return column


def _stretches(column: pa.Array, where: str, first_row: int) -> Iterator[tuple[int, int, int]]:
    """Yield (episode, start, stop) for each run of equal values in a batch. The rows `[start, stop)` are counted in the batch.

    `first_row` is the row number, in the file, of the first row of the batch. It is used in errors.
    """
    if column.null_count:
        row = first_row + int(np.argmin(is_valid(column)))
        raise RowOrderError(where, f"null in column {lerobot.EPISODE_INDEX!r} at row {row}", "an episode in every row")
    indices = numpy_values(column)
    if len(indices):
        starts = (np.flatnonzero(indices[1:] != indices[:-1]) + 1).tolist()
        for start, stop in pairwise([0, *starts, len(indices)]):
            yield int(indices[start]), start, stop


def _fixed_bytes(dtype: pa.DataType) -> int:
    if isinstance(dtype, pa.BaseExtensionType):
        return _fixed_bytes(dtype.storage_type)
    if pa.types.is_fixed_size_list(dtype):
        return int(dtype.list_size) * _fixed_bytes(dtype.value_type)
    if pa.types.is_struct(dtype):
        return sum(_fixed_bytes(field.type) for field in dtype)
    try:
        return (int(dtype.bit_width) + 7) // 8
    except ValueError:
        # the width of the offsets; the encoded size already includes the values
        return 8


def _may_hide_long_values(schema: pq.ParquetSchema) -> bool:
    # column chunks are not examined for dictionaries: pyarrow aborts the process for some damaged column entries of a footer
    return any("BYTE_ARRAY" in schema.column(number).physical_type for number in range(len(schema)))
