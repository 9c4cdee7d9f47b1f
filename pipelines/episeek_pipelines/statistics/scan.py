"""Compute the statistics of the episodes of a data file in one pass over its rows.

Rows are read in batches, which may begin and end within an episode. The rows of an unfinished episode are kept until it ends. No
more rows than one batch and one episode are in memory, and a copy of them that is sorted.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import RowOrderError
from episeek_pipelines.parquet.episode_runs import reading
from episeek_pipelines.parquet.numpy_values import numpy_values
from episeek_pipelines.parquet.row_cursor import batch_rows
from episeek_pipelines.statistics.episodes import EpisodeStatistics, episode_statistics
from episeek_pipelines.statistics.values import Unusable, sample_values
from episeek_schemas import lerobot
from episeek_schemas.features import SCALARS, declared_dtype

_BATCH_FACTOR: Final = 2
"""How many times the usual number of rows a batch has. Larger batches are faster by some percent."""

_Numbers = npt.NDArray[Any]


def measured_features(features: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the features whose statistics are computed from rows.

    These are the features of numbers and booleans, including LeRobot's own columns, such as `index`.

    Args:
        features: The entry `features` of meta/info.json.
    """
    dtypes = {name: declared_dtype(spec) for name, spec in features.items()}
    return tuple(name for name, dtype in dtypes.items() if dtype in SCALARS and dtype != "string")


def measure_file(file: pq.ParquetFile, features: Sequence[str], where: str) -> EpisodeStatistics:
    """Return the statistics of the episodes of a data file, in the order of its rows.

    A feature has no statistics if its column contains null, NaN, infinity, numbers so large that a statistic overflows, empty
    lists, lists of different lengths or values that are not numbers. `left_out` of the result then contains the reason. A feature
    without a column in the file is left out without a reason.

    Args:
        file: A data file, opened with `READ_OPTIONS`.
        features: The names of the features, from `measured_features`.
        where: The path or URL of the file, for error messages.

    Raises:
        RowOrderError: The column `episode_index` is missing, is not a column of integers or contains nulls, or the rows of an
            episode are not consecutive.
        ParquetError: A page of the file cannot be read.
    """
    names = file.schema_arrow.names
    if names.count(lerobot.EPISODE_INDEX) != 1 or not pa.types.is_integer(
        file.schema_arrow.field(lerobot.EPISODE_INDEX).type
    ):
        raise RowOrderError(
            where, f"no column {lerobot.EPISODE_INDEX!r} of integers", "an integer episode_index in every row"
        )
    present = [name for name in features if names.count(name) == 1]
    scan = EpisodeScan(present)
    columns = list(dict.fromkeys([lerobot.EPISODE_INDEX, *present]))
    parts: list[EpisodeStatistics] = []
    with reading(where):
        rows = _BATCH_FACTOR * batch_rows(file, columns)
        for batch in file.iter_batches(rows, columns=columns, use_threads=False):
            if batch.column(lerobot.EPISODE_INDEX).null_count:
                raise RowOrderError(where, f"null in column {lerobot.EPISODE_INDEX!r}", "an integer in every row")
            parts += scan.add(batch)
    parts += scan.finish()
    measured = EpisodeStatistics.joined(parts)
    episodes, counts = np.unique(measured.episode_index, return_counts=True)
    if len(episodes) < len(measured.episode_index):
        found = f"rows of episode {episodes[np.argmax(counts > 1)]} in {counts.max()} separate ranges"
        raise RowOrderError(where, found, "the rows of an episode next to each other")
    return measured


class EpisodeScan:
    """Computes the statistics of episodes from batches of consecutive rows.

    An episode ends where the value of the column `episode_index` changes.

    >>> batch = pa.record_batch({"episode_index": [0, 0, 1], "reward": [1.0, 2.0, 5.0]})
    >>> scan = EpisodeScan(["reward"])
    >>> parts = [*scan.add(batch), *scan.finish()]
    >>> EpisodeStatistics.joined(parts).features["reward"]["mean"].tolist()
    [[1.5], [5.0]]

    Args:
        features: The names of the columns whose statistics are computed.
    """

    def __init__(self, features: Sequence[str]) -> None:
        self._features = tuple(features)
        self._left_out: dict[str, str] = {}
        self._widths: dict[str, tuple[int, ...]] = {}
        self._episode: int | None = None
        self._row_count = 0
        self._waiting: dict[str, list[_Numbers]] = {}

    def add(self, batch: pa.RecordBatch) -> Iterator[EpisodeStatistics]:
        """Take the next rows, and yield the statistics of the episodes that are now complete.

        The rows are taken while the result is iterated, so iterate over all of it.

        The last episode of a batch is kept for the next call, since it may continue in the next batch.
        """
        if not len(batch):
            return
        episodes = numpy_values(batch.column(lerobot.EPISODE_INDEX))
        borders = (np.flatnonzero(episodes[1:] != episodes[:-1]) + 1).tolist()
        values = self._values(batch)
        if self._episode is not None and self._episode != int(episodes[0]):
            yield from self.finish()
        start = 0
        if borders and self._row_count:
            # Only the unfinished episode is copied, and the other ones are measured where they are.
            start = borders.pop(0)
            self._keep(int(episodes[0]), values, 0, start)
            yield from self.finish()
        if borders:
            starts = [start, *borders[:-1]]
            ended = {name: numbers[start : borders[-1]] for name, numbers in values.items()}
            yield self._measured(episodes[starts].astype(np.int64), np.diff([start, *borders]), ended)
            start = borders[-1]
        self._keep(int(episodes[-1]), values, start, len(batch))

    def finish(self) -> Iterator[EpisodeStatistics]:
        """Yield the statistics of the last episode; nothing if no row was added."""
        if self._episode is not None:
            waiting = {name: _joined(pieces) for name, pieces in self._waiting.items()}
            episode, count = np.array([self._episode], np.int64), np.array([self._row_count])
            self._drop()
            yield self._measured(episode, count, waiting)

    def _values(self, batch: pa.RecordBatch) -> dict[str, _Numbers]:
        """Return the numbers of each feature in a batch.

        A feature whose numbers cannot be used is left out of the result, and also for all later batches.
        """
        found: dict[str, _Numbers] = {}
        for name in self._features:
            if name in self._left_out:
                continue
            numbers = sample_values(batch.column(name))
            if isinstance(numbers, Unusable):
                self._leave_out(name, numbers.reason)
            elif self._widths.setdefault(name, numbers.shape[1:]) != numbers.shape[1:]:
                self._leave_out(name, "lists of different lengths")
            else:
                found[name] = numbers
        return found

    def _measured(
        self, episodes: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], values: Mapping[str, _Numbers]
    ) -> EpisodeStatistics:
        features = episode_statistics(values, counts)
        for name in values.keys() - features.keys():
            self._leave_out(name, "NaN, infinity or numbers too large to measure")
        return EpisodeStatistics(episodes, counts, features, dict(self._left_out))

    def _leave_out(self, name: str, reason: str) -> None:
        self._left_out.setdefault(name, reason)
        self._waiting.pop(name, None)

    def _keep(self, episode: int, values: Mapping[str, _Numbers], start: int, stop: int) -> None:
        self._episode = episode
        self._row_count += stop - start
        for name, numbers in values.items():
            if name not in self._left_out:
                self._waiting.setdefault(name, []).append(numbers[start:stop].copy())

    def _drop(self) -> None:
        self._episode, self._row_count, self._waiting = None, 0, {}


def _joined(pieces: list[_Numbers]) -> _Numbers:
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
