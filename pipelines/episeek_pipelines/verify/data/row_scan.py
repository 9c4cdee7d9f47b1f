"""Scan the row numbers and timestamps of a data file: find its runs (consecutive rows of one episode) and their defects.

Memory is limited to one batch of rows, a few numbers per run, and the timestamps of runs with wrong timestamps.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from episeek_pipelines.parquet.numpy_values import float_values, is_valid, numpy_values
from episeek_pipelines.verify.findings.arrays import Float64Array, Int64Array
from episeek_schemas import lerobot

SCANNED_COLUMNS = (lerobot.EPISODE_INDEX, lerobot.FRAME_INDEX, lerobot.INDEX, lerobot.TIMESTAMP)
HALF_FRAME = 0.5
"""A timestamp that is off by more than this many frames is nearer to the time of another frame."""
_MOST_KEPT_ROWS = 1 << 21
"""After so many timestamps of a file are kept for the comparison with the times of frames, further runs are not compared."""
NULL_NUMBER = -(1 << 62)
"""The number that replaces a null in a column of row numbers. No tool writes it, and differences from row numbers fit 64 bits."""


@dataclass(slots=True)
class Oddity:
    """Rows of one run that break a rule: the first such row, its value, the expected value, and the number of such rows."""

    row: int
    found: float
    expected: float
    count: int
    largest: float
    """Largest difference between a found and an expected value."""


@dataclass(slots=True)
class OddTimes:
    """The wrong timestamps of one run, and what LeRobot would do with them."""

    neighbour_count: int = 0
    """Number of rows whose timestamp is nearer to the time of another frame than to the time of their own."""
    loading_seconds: float = 0.0
    """Largest distance, in seconds, of a timestamp from the nearest frame. With a smaller tolerance, LeRobot raises an error."""
    follows_frame_index: bool = True
    """Whether every wrong timestamp fits the frame_index of its row. If so, the frame_index is wrong, too, or rows are missing."""


@dataclass(slots=True)
class RowScan:
    """The runs of a file, in order. Arrays have shape [runs]; the keys of dictionaries are the numbers of runs, from 0."""

    episode_index: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    first_row: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    row_count: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    odd_frame_index: dict[int, Oddity] = field(default_factory=dict)
    odd_index: dict[int, Oddity] = field(default_factory=dict)
    odd_timestamp: dict[int, Oddity] = field(default_factory=dict)
    odd_times: dict[int, OddTimes] = field(default_factory=dict)
    """The effect of the wrong timestamps in LeRobot, for each run in `odd_timestamp`."""
    times: dict[int, Float64Array] = field(default_factory=dict)
    """All timestamps of each run in `odd_timestamp`, unless the file has too many such runs to keep them."""
    timestamp_tolerance_seconds: float = 0.0
    """Largest error of a timestamp, in seconds, beyond the rounding to the column's type; infinite if a timestamp is null."""
    row_group_starts: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    """First row of each row group; shape [row groups]."""


class RowScanner:
    """Scans the row numbers and timestamps of a file, batch by batch from the first row on.

    The columns in `SCANNED_COLUMNS` have to exist and contain numbers.

    Args:
        fps: Frames per second. Row n of an episode, counted from 0, should have the timestamp n / fps.
        tolerance_seconds: Largest error that a right timestamp may have.
        first_index: A function that returns the `index` of the first row of each given episode, or -1 if it is unknown. None if the
            metadata cannot be trusted: then `index` only has to rise by one from row to row.
    """

    columns = SCANNED_COLUMNS

    def __init__(
        self, *, fps: float, tolerance_seconds: float, first_index: Callable[[Int64Array], Int64Array] | None
    ) -> None:
        self._fps = fps
        self._tolerance_seconds = tolerance_seconds
        self._first_index = first_index
        self._scan = RowScan()
        self._episodes: list[Int64Array] = []
        self._first_rows: list[Int64Array] = []
        self._row_counts: list[Int64Array] = []
        self._run_count = 0
        self._file_first_index: int | None = None
        self._pieces: dict[int, list[Float64Array]] = {}
        self._kept_rows = 0

    def add(self, batch: pa.RecordBatch, first_row: int) -> None:
        """Scan the next rows, which begin at row `first_row` of the file."""
        if not len(batch):
            return
        scan = self._scan
        episode, frame_index, index = (integers(batch.column(name)) for name in SCANNED_COLUMNS[:3])
        timestamp, rounding = _seconds(batch)
        starts = np.concatenate([[0], np.flatnonzero(episode[1:] != episode[:-1]) + 1])
        lengths = np.diff(np.append(starts, len(episode)))
        is_continued = bool(self._episodes) and self._episodes[-1][-1] == episode[0]
        run = np.repeat(np.arange(len(starts)), lengths) + self._run_count - is_continued
        position = np.arange(len(episode)) - np.repeat(starts, lengths)
        if is_continued:
            position[: lengths[0]] += self._row_counts[-1][-1]
        if self._file_first_index is None:
            self._file_first_index = int(index[0])
        if self._first_index is None:
            expected_index = np.arange(len(episode)) + first_row + self._file_first_index
            is_known = np.ones(len(episode), np.bool_)
        else:
            first = self._first_index(episode)
            expected_index, is_known = first + position, first >= 0
        _note(scan.odd_frame_index, run, first_row, frame_index, position, frame_index != position)
        _note(scan.odd_index, run, first_row, index, expected_index, is_known & (index != expected_index))

        expected_seconds = position / self._fps
        difference = np.abs(timestamp - expected_seconds) - rounding(expected_seconds)
        difference = np.where(np.isnan(difference), np.inf, difference)
        scan.timestamp_tolerance_seconds = max(scan.timestamp_tolerance_seconds, float(difference.max()))
        is_odd = difference > self._tolerance_seconds
        _note(scan.odd_timestamp, run, first_row, timestamp, expected_seconds, is_odd)
        self._note_times(run[is_odd], timestamp[is_odd], position[is_odd], frame_index[is_odd])
        self._keep_times(run, starts, timestamp)

        if is_continued:
            self._row_counts[-1][-1] += lengths[0]
            starts, lengths = starts[1:], lengths[1:]
        if len(starts):
            self._episodes.append(episode[starts])
            self._first_rows.append(starts + first_row)
            self._row_counts.append(lengths.copy())
        self._run_count += len(starts)

    def _note_times(
        self, run: Int64Array, timestamp: Float64Array, position: Int64Array, frame_index: Int64Array
    ) -> None:
        """Record what LeRobot would do with wrong timestamps; each array has one value per wrong timestamp."""
        if not len(run):
            return
        # A comparison with NaN is False, so NaN does not count as the time of another frame.
        frames = timestamp * self._fps
        is_neighbour = np.abs(frames - position) > HALF_FRAME
        distance = np.abs(frames - np.round(frames)) / self._fps
        tolerance = self._tolerance_seconds + np.spacing(np.nan_to_num(timestamp).astype(np.float32))
        follows = (frame_index != position) & (np.abs(timestamp - frame_index / self._fps) <= tolerance)
        numbers, first = np.unique(run, return_index=True)
        neighbours, farthest, others = (
            np.add.reduceat(is_neighbour, first, dtype=np.int64),
            np.fmax.reduceat(distance, first),
            np.logical_and.reduceat(follows, first),
        )
        columns = (numbers.tolist(), neighbours.tolist(), farthest.tolist(), others.tolist())
        for number, count, seconds, all_follow in zip(*columns, strict=True):
            noted = self._scan.odd_times.setdefault(number, OddTimes())
            noted.neighbour_count += count
            noted.loading_seconds = max(noted.loading_seconds, seconds)
            noted.follows_frame_index &= all_follow

    def _keep_times(self, run: Int64Array, starts: Int64Array, timestamp: Float64Array) -> None:
        """Keep the timestamps of each run with a wrong timestamp, and of the last run, which may continue in the next batch."""
        for start, piece in zip(starts.tolist(), np.split(timestamp, starts[1:]), strict=True):
            self._pieces.setdefault(int(run[start]), []).append(piece)
        self._finish_times(except_run=int(run[-1]))

    def _finish_times(self, except_run: int | None = None) -> None:
        for number in [number for number in self._pieces if number != except_run]:
            pieces = self._pieces.pop(number)
            if number in self._scan.odd_timestamp and self._kept_rows < _MOST_KEPT_ROWS:
                self._scan.times[number] = np.concatenate(pieces)
                self._kept_rows += len(self._scan.times[number])

    def result(self) -> RowScan:
        """Return the runs of all rows that were scanned."""
        self._finish_times()
        scan = self._scan
        if self._episodes:
            scan.episode_index, scan.first_row = np.concatenate(self._episodes), np.concatenate(self._first_rows)
            scan.row_count = np.concatenate(self._row_counts)
        return scan


def integers(column: pa.Array) -> Int64Array:
    """Return a column as int64, with `NULL_NUMBER` for nulls."""
    values = numpy_values(column.cast(pa.int64(), safe=False))
    return np.where(is_valid(column), values, NULL_NUMBER) if column.null_count else values


def _seconds(batch: pa.RecordBatch) -> tuple[npt.NDArray[np.float64], Callable[[npt.NDArray[np.float64]], Any]]:
    """Return the timestamps of a batch, with NaN for nulls, and a function that returns the rounding errors of expected timestamps.

    A rounding error is the error that the type of the column may cause. It is 0 unless the type is float32.
    """
    column = batch.column(lerobot.TIMESTAMP)
    if pa.types.is_float32(column.type):
        return floats(column), lambda expected: np.spacing(expected.astype(np.float32)).astype(np.float64)
    return floats(column), lambda expected: 0.0


def floats(column: pa.Array) -> Float64Array:
    """Return a column as float64, with NaN for nulls."""
    return float_values(column)


def _note(
    odd: dict[int, Oddity],
    run: Int64Array,
    first_row: int,
    found: npt.NDArray[Any],
    expected: npt.NDArray[Any],
    is_odd: npt.NDArray[np.bool_],
) -> None:
    rows = np.flatnonzero(is_odd)
    if not len(rows):
        return
    difference = np.abs(found[rows] - expected[rows])
    runs, first, counts = np.unique(run[rows], return_index=True, return_counts=True)
    largest = np.maximum.reduceat(difference, first)
    for number, at, count, most in zip(runs.tolist(), first.tolist(), counts.tolist(), largest.tolist(), strict=True):
        noted = odd.get(number)
        if noted is None:
            row = int(rows[at])
            odd[number] = Oddity(row + first_row, found[row].item(), expected[row].item(), count, most)
        else:
            noted.count += count
            noted.largest = max(noted.largest, most)
