"""Find the runs of a data file. A run is a range of consecutive rows of one episode; a few values summarize its numbers."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from episeek_pipelines.parquet.arrow_types import is_any_list, is_number, is_text
from episeek_pipelines.parquet.numpy_values import is_valid, numpy_values
from episeek_schemas import lerobot

NO_NUMBER: Final = -1
"""Replaces a null and a value that is not a number. Numbers in LeRobot's columns are never negative."""

TIME_TOLERANCE_SECONDS: Final = 1e-4
"""LeRobot's tolerance for the timestamp of a row, in seconds."""

_MOST_TASKS: Final = 16
"""Greatest number of different task numbers that are kept for a run."""


@dataclass(frozen=True, slots=True)
class Count:
    """Whether the values of one column count up by one from row to row of a run, and in which rows they do not."""

    start: int
    """The value of row 0 that most rows of the run imply if values count up by one; `NO_NUMBER` without the column."""
    wrong: int
    """The number of rows k whose value is not `start` + k; all rows if the column is missing."""
    first_wrong: int = -1
    """The first wrong row, counted from the start of the run; -1 if no row is wrong."""
    found: int = NO_NUMBER
    """The value in the first wrong row."""

    @property
    def is_exact(self) -> bool:
        """Whether every row k has the value `start` + k."""
        return not self.wrong


@dataclass(frozen=True, slots=True)
class Times:
    """Whether row k of a run has the timestamp k / fps, for all k from 0, and which rows do not."""

    wrong: int
    first_wrong: int = -1
    found: float = 0.0
    wrong_rows: tuple[int, ...] = ()
    """The first 64 rows with a wrong timestamp, counted from the start of the run."""

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

    The most frequent task_index comes first. At most 16 are kept. Empty if the column is missing.
    """

    @property
    def order_witnesses(self) -> tuple[str, ...]:
        """The names of the columns that prove that the rows are in order and that no row between them is missing."""
        columns = ((lerobot.FRAME_INDEX, self.frames.is_exact and self.frames.start == 0),
                   (lerobot.INDEX, self.index.is_exact), (lerobot.TIMESTAMP, self.times.is_exact))  # fmt: skip
        return tuple(name for name, is_exact in columns if is_exact)


def read_runs(file: pq.ParquetFile, path: str, *, fps: float) -> list[Run]:
    """Return the runs of an open data file, in the order of its rows; empty if its column episode_index cannot be used.

    Raises:
        pa.ArrowException, OSError: Pages cannot be read.
    """
    names = file.schema_arrow.names
    present = [name for name in lerobot.ROW_COLUMNS if names.count(name) == 1]
    if lerobot.EPISODE_INDEX not in present:
        return []
    table = file.read(columns=present, use_threads=False)
    columns = {name: _numbers(table[name]) for name in present}
    if columns[lerobot.EPISODE_INDEX] is None:
        return []
    episode = columns[lerobot.EPISODE_INDEX]
    assert episode is not None
    if not len(episode):
        return []
    starts = np.concatenate([[0], np.flatnonzero(np.diff(episode) != 0) + 1]).astype(np.int64)
    stops = np.append(starts[1:], len(episode))
    return [_run(path, columns, start, stop, fps) for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)]


def _run(path: str, columns: dict[str, npt.NDArray[Any] | None], start: int, stop: int, fps: float) -> Run:
    def part(name: str) -> npt.NDArray[Any] | None:
        values = columns.get(name)
        return None if values is None else values[start:stop]

    episode = columns[lerobot.EPISODE_INDEX]
    assert episode is not None
    return Run(
        path,
        int(episode[start]),
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
    start = values.astype(np.int64) - np.arange(rows)
    found, counts = np.unique(start, return_counts=True)
    usual = int(found[np.argmax(counts)])
    wrong = np.flatnonzero((start != usual) | (values < 0))
    if usual < 0 or not len(wrong):
        return Count(max(usual, NO_NUMBER), 0 if usual >= 0 else rows)
    return Count(usual, len(wrong), int(wrong[0]), int(values[wrong[0]]))


def _times(values: npt.NDArray[Any] | None, rows: int, fps: float) -> Times:
    if values is None:
        return Times(rows)
    with np.errstate(invalid="ignore"):
        wrong = np.flatnonzero(~(np.abs(values - np.arange(rows) / fps) <= TIME_TOLERANCE_SECONDS))
    if not len(wrong):
        return Times(0)
    return Times(len(wrong), int(wrong[0]), float(values[wrong[0]]), tuple(wrong[:64].tolist()))


def _tasks(values: npt.NDArray[Any] | None) -> tuple[tuple[int, int, int], ...]:
    if values is None:
        return ()
    found, first, counts = np.unique(values, return_index=True, return_counts=True)
    order = sorted(range(len(found)), key=lambda place: (-int(counts[place]), int(first[place])))
    return tuple((int(found[place]), int(counts[place]), int(first[place])) for place in order[:_MOST_TASKS])


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[Any] | None:
    """Return the values of a column as numbers, with `NO_NUMBER` or NaN for nulls; None if they are not numbers.

    A list with one number counts as the number, and so does the text of a whole number.
    """
    if is_any_list(column.type):
        column = flat_lists(column)
    if column is not None and is_text(column.type):
        try:
            column = column.cast(pa.int64())
        except pa.ArrowInvalid:
            return None
    if column is None or not is_number(column.type):
        return None
    is_whole = pa.types.is_integer(column.type)
    values = numpy_values(column.cast(pa.int64() if is_whole else pa.float64()))
    return np.where(is_valid(column), values, NO_NUMBER if is_whole else np.nan)


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
