"""Check that the rows of a recovered row group are rows of episodes, numbered as a recorder numbers them."""

from typing import Final

import numpy as np
import pyarrow as pa

from episeek_pipelines.parquet.numpy_values import numpy_values
from episeek_schemas import lerobot

FRAME_COLUMNS: Final = (lerobot.EPISODE_INDEX, lerobot.FRAME_INDEX, lerobot.INDEX)
"""Columns of a data file whose values count rows. If the values that were read count rows, the pages belong to these columns."""

EPISODE_COLUMNS: Final = (
    lerobot.EPISODE_INDEX,
    lerobot.LENGTH,
    lerobot.DATASET_FROM_INDEX,
    lerobot.DATASET_TO_INDEX,
)
"""Columns of a file of meta/episodes whose values count rows."""

_GRID_SECONDS: Final = 1e-4
"""The tolerance of LeRobot's own check of timestamps, in seconds."""


class RowProblem(ValueError):
    """The rows are not numbered like rows of episodes. The message is a noun phrase."""


def counting_columns(schema: pa.Schema) -> tuple[str, ...]:
    """Return the columns whose values count rows: `FRAME_COLUMNS` in a data file, `EPISODE_COLUMNS` in a file of meta/episodes.

    The result is empty if the schema does not contain all columns of one of these tuples as integers. If the values that were read
    from these columns count rows, the pages were assigned to the right columns.
    """
    for names in (FRAME_COLUMNS, EPISODE_COLUMNS):
        if all(schema.names.count(name) == 1 and pa.types.is_integer(schema.field(name).type) for name in names):
            return names
    return ()


class RowChecks:
    """Checks the rows of one row group, batch by batch.

    In a data file the rows of an episode are contiguous, `frame_index` and `index` rise by one from row to row within an episode,
    and an episode that follows another one begins with `frame_index` 0. If `fps` is given, timestamps are `frame_index / fps`. In
    meta/episodes, `episode_index` rises by one, and the ranges `[dataset_from_index, dataset_to_index)` have the size `length`
    and follow one another.

    Args:
        schema: The schema of the file.
        fps: The rate for the check of timestamps; None for no such check.
    """

    def __init__(self, schema: pa.Schema, fps: float | None = None) -> None:
        self._columns = counting_columns(schema)
        is_timed = self._columns == FRAME_COLUMNS and schema.names.count(lerobot.TIMESTAMP) == 1
        self._has_timestamps = is_timed and pa.types.is_floating(schema.field(lerobot.TIMESTAMP).type)
        self._fps = fps
        self._last: dict[str, np.ndarray] = {}
        self.episodes: list[int] = []
        """The numbers of the episodes in the rows that were added so far, in order."""
        self.row_count = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Check the next rows.

        Raises:
            RowProblem: The rows are not numbered like rows of episodes.
        """
        self.row_count += len(batch)
        if not self._columns or not len(batch):
            return
        names = (*self._columns, *((lerobot.TIMESTAMP,) if self._has_timestamps else ()))
        values = {name: self._values(batch, name) for name in names}
        self._last = {name: column[-1:] for name, column in values.items()}
        episode = values[lerobot.EPISODE_INDEX]
        if self._columns == FRAME_COLUMNS:
            self._check_frames(values)
            starts = np.flatnonzero(np.concatenate([[True], episode[1:] != episode[:-1]]))
            new = episode[starts].tolist()
            new = new[1:] if self.episodes and new[0] == self.episodes[-1] else new
        else:
            self._check_episodes(values)
            new = episode[len(episode) - len(batch) :].tolist()
        if len({*self.episodes, *new}) < len(self.episodes) + len(new):
            raise RowProblem("rows of an episode that are not contiguous")
        self.episodes += new

    def _values(self, batch: pa.RecordBatch, name: str) -> np.ndarray:
        """Return the values of a column, preceded by the last value of the previous batch."""
        column = batch.column(batch.schema.get_field_index(name))
        if column.null_count:
            raise RowProblem(f"a null in column {name!r}")
        values = numpy_values(column)
        if name != lerobot.TIMESTAMP and (values < 0).any():
            raise RowProblem(f"a negative number in column {name!r}")
        return np.concatenate([self._last[name], values]) if name in self._last else values

    def _check_frames(self, values: dict[str, np.ndarray]) -> None:
        episode = values[lerobot.EPISODE_INDEX]
        is_same = episode[1:] == episode[:-1]
        for name in (lerobot.FRAME_INDEX, lerobot.INDEX):
            if (values[name][1:][is_same] - values[name][:-1][is_same] != 1).any():
                raise RowProblem(f"rows of an episode whose {name} does not rise by one")
        if values[lerobot.FRAME_INDEX][1:][~is_same].any():
            raise RowProblem("rows of an episode whose frame_index does not begin at 0")
        if self._fps is None or lerobot.TIMESTAMP not in values:
            return
        # timestamps of float32 become less precise after some hours
        expected = values[lerobot.FRAME_INDEX] / self._fps
        slack = _GRID_SECONDS + expected * np.finfo(np.float32).eps
        if not (np.abs(values[lerobot.TIMESTAMP] - expected) <= slack).all():
            raise RowProblem(f"timestamps that are not frame_index / {self._fps:g}")

    def _check_episodes(self, values: dict[str, np.ndarray]) -> None:
        start, stop = values[lerobot.DATASET_FROM_INDEX], values[lerobot.DATASET_TO_INDEX]
        if (np.diff(values[lerobot.EPISODE_INDEX]) != 1).any():
            raise RowProblem("episodes whose numbers do not rise by one")
        if (stop - start != values[lerobot.LENGTH]).any() or (start[1:] != stop[:-1]).any():
            raise RowProblem("episodes whose rows do not follow one another")
