"""Find the runs of a data file. A run is a range of consecutive rows of one episode; a few values summarize its numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from episeek_pipelines.dataset.row_times import other_rate
from episeek_pipelines.parquet.arrow_types import is_any_list, is_number, is_text
from episeek_pipelines.parquet.numpy_values import is_valid, numpy_values
from episeek_schemas import lerobot

NO_NUMBER: Final = -(1 << 62)
"""Replaces a null and a value that is not a number. No tool writes it, and differences from row numbers fit 64 bits."""

TIME_TOLERANCE_SECONDS: Final = 1e-4
"""LeRobot's tolerance for the timestamp of a row, in seconds."""

MOST_TASKS: Final = 1024
"""Greatest number of different task numbers that are kept for a run."""

RowColumns = Mapping[str, npt.NDArray[Any]]
"""The numbers of LeRobot's own columns of a data file, by column; each of shape [rows]."""


@dataclass(frozen=True, slots=True)
class Count:
    """Whether the values of one column count up by one from row to row of a run."""

    start: int
    """The value of row 0 that most rows of the run imply if values count up by one; `NO_NUMBER` without the column."""
    wrong: int
    """The number of rows k whose value is not `start` + k; all rows if the column is missing."""

    @property
    def is_exact(self) -> bool:
        """Whether every row k has the value `start` + k."""
        return not self.wrong


@dataclass(frozen=True, slots=True)
class Times:
    """The number of rows of a run with a wrong timestamp, and the first of them.

    The timestamp of row k, from 0, should be k / fps.
    """

    wrong: int
    first_wrong: int = -1
    found: float = 0.0
    wrong_rows: tuple[int, ...] = ()
    """The first 64 rows with a wrong timestamp, counted from the start of the run."""
    other_rate: float = 0.0
    """The rate r for which every row k has the timestamp k / r; 0 without such a rate."""

    @property
    def is_exact(self) -> bool:
        """Whether every row k has the timestamp k / fps."""
        return not self.wrong


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive rows of one episode in a data file."""

    path: str
    episode: int
    """The episode_index of the rows; `NO_NUMBER` if it is null."""
    first_row: int
    count: int
    frames: Count
    """How frame_index counts up."""
    index: Count
    times: Times
    tasks: tuple[tuple[int, int, int], ...]
    """For each task_index: the task_index, the number of its rows, and the first of these rows, counted from the start of the run.

    The most frequent task_index comes first. At most `MOST_TASKS` are kept. Empty if the column is missing.
    """

    @property
    def order_witnesses(self) -> tuple[str, ...]:
        """The names of the columns that prove that the rows are in order and that no row between them is missing."""
        columns = ((lerobot.FRAME_INDEX, self.frames.is_exact and self.frames.start == 0),
                   (lerobot.INDEX, self.index.is_exact), (lerobot.TIMESTAMP, self.times.is_exact))  # fmt: skip
        return tuple(name for name, is_exact in columns if is_exact)


def read_row_columns(file: pq.ParquetFile) -> pa.Table:
    """Read LeRobot's own columns of an open data file, such as `index`. A column that occurs twice is left out.

    Raises:
        pa.ArrowException, OSError, ValueError: Pages cannot be read.
    """
    names = file.schema_arrow.names
    return file.read(columns=[name for name in lerobot.ROW_COLUMNS if names.count(name) == 1], use_threads=False)


def row_numbers(table: pa.Table) -> RowColumns:
    """Return the values of those columns of `read_row_columns` that contain numbers; values of any type are accepted.

    Returns:
        The values by column: float64 for `timestamp`, with NaN for a null; int64 for the others, with `NO_NUMBER` for a null and
        for a value that is not a whole number of 64 bits.
    """
    found: dict[str, npt.NDArray[Any]] = {}
    for name in table.column_names:
        plain = plain_numbers(table[name])
        if plain is not None:
            found[name] = _times_of(plain) if name == lerobot.TIMESTAMP else _whole_numbers(plain)
    return found


def find_runs(columns: RowColumns, path: str, *, fps: float) -> list[Run]:
    """Return the runs of a data file, in the order of its rows; empty if the column episode_index does not contain numbers.

    Args:
        columns: The values of the columns, as `row_numbers` returns them.
        path: The path of the file, for the runs.
        fps: The dataset's frame rate.
    """
    episode = columns.get(lerobot.EPISODE_INDEX)
    if episode is None or not len(episode):
        return []
    starts = np.concatenate([[0], np.flatnonzero(np.diff(episode) != 0) + 1]).astype(np.int64)
    stops = np.append(starts[1:], len(episode))
    return [_run(path, columns, start, stop, fps) for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)]


def _run(path: str, columns: RowColumns, start: int, stop: int, fps: float) -> Run:
    def part(name: str) -> npt.NDArray[Any] | None:
        values = columns.get(name)
        return None if values is None else values[start:stop]

    return Run(
        path,
        int(columns[lerobot.EPISODE_INDEX][start]),
        start,
        stop - start,
        _count(part(lerobot.FRAME_INDEX), stop - start),
        _count(part(lerobot.INDEX), stop - start),
        _times(part(lerobot.TIMESTAMP), stop - start, fps),
        _tasks(part(lerobot.TASK_INDEX)),
    )


def _count(values: npt.NDArray[Any] | None, rows: int) -> Count:
    if values is None:
        return Count(NO_NUMBER, rows)
    start = values - np.arange(rows)
    found, counts = np.unique(start, return_counts=True)
    usual = int(found[np.argmax(counts)])
    wrong = rows if usual < 0 else int(((start != usual) | (values < 0)).sum())
    return Count(max(usual, NO_NUMBER), wrong)


def _times(values: npt.NDArray[Any] | None, rows: int, fps: float) -> Times:
    if values is None:
        return Times(rows)
    with np.errstate(invalid="ignore"):
        wrong = np.flatnonzero(~(np.abs(values - np.arange(rows) / fps) <= TIME_TOLERANCE_SECONDS))
    if not len(wrong):
        return Times(0)
    rate = other_rate(values, fps=fps)
    return Times(len(wrong), int(wrong[0]), float(values[wrong[0]]), tuple(wrong[:64].tolist()), rate)


def _tasks(values: npt.NDArray[Any] | None) -> tuple[tuple[int, int, int], ...]:
    if values is None:
        return ()
    found, first, counts = np.unique(values, return_index=True, return_counts=True)
    order = sorted(range(len(found)), key=lambda place: (-int(counts[place]), int(first[place])))
    return tuple((int(found[place]), int(counts[place]), int(first[place])) for place in order[:MOST_TASKS])


def plain_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return the values of a column as a column of an integer or float type; None if the column does not contain numbers.

    A list with one number counts as the number, and so does the text of a whole number. Dictionaries are decoded.
    Truth values count as 0 and 1.
    """
    if pa.types.is_dictionary(column.type):
        column = pa.chunked_array([chunk.dictionary_decode() for chunk in column.chunks], column.type.value_type)
    if is_any_list(column.type):
        flat = flat_lists(column)
        if flat is None:
            return None
        column = flat
    if is_text(column.type):
        try:
            column = column.cast(pa.int64())
        except pa.ArrowInvalid:
            return None
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int64())
    return column if is_number(column.type) else None


def _times_of(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    return np.where(is_valid(column), numpy_values(column).astype(np.float64), np.nan)


def _whole_numbers(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    values, is_whole = numpy_values(column), is_valid(column)
    if pa.types.is_floating(column.type):
        values = values.astype(np.float64)
        with np.errstate(invalid="ignore"):
            is_whole = is_whole & (np.floor(values) == values) & (np.abs(values) < 2.0**63)
    elif values.dtype == np.uint64:
        is_whole = is_whole & (values < 2**63)
    return np.where(is_whole, values, np.zeros(1, values.dtype)).astype(np.int64) + np.where(is_whole, 0, NO_NUMBER)


def flat_lists(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return the single values of a column of one-element lists; None if a list is null or has another length."""
    flat = pa.chunked_array([chunk.flatten() for chunk in column.chunks], column.type.value_type)
    if column.null_count or len(flat) != len(column):
        return None
    for chunk in column.chunks:
        if not pa.types.is_fixed_size_list(chunk.type) and len(chunk):
            lengths = np.diff(numpy_values(chunk.offsets))
            if (lengths != 1).any():
                return None
        elif pa.types.is_fixed_size_list(chunk.type) and chunk.type.list_size != 1:
            return None
    return flat
