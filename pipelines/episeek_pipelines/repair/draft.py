"""The draft of a repaired dataset: its documents and columns after all repairs so far, and the planned edits of its data files."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from episeek_pipelines.parquet.arrow_types import is_number, is_text
from episeek_pipelines.parquet.numpy_values import is_valid, numpy_values
from episeek_pipelines.repair import registry
from episeek_pipelines.repair.evidence import Evidence
from episeek_pipelines.repair.row_runs import NO_NUMBER, Run
from episeek_pipelines.repair.values import Place, Repair
from episeek_pipelines.statistics.episodes import EpisodeStatistics
from episeek_pipelines.statistics.names import FeatureStatistics
from episeek_schemas import lerobot

_MOST_LISTED: Final = 100
"""Greatest number of repairs of one kind in one column that are listed. Further repairs are only counted."""

_LEAST_BITS: Final = 32
"""Least width of a type in which edits write numbers. `index` may exceed narrower types."""

NumberKind = Literal["count", "constant", "clock", "shift"]


@dataclass(frozen=True, slots=True)
class RowNumbers:
    """New numbers for the rows `[first_row, first_row + count)` of one column of a data file."""

    first_row: int
    count: int
    kind: NumberKind
    """How the new number of row k is computed. `count`: `value` + k. `constant`: `value`. `clock`: (`value` + k) / fps. `shift`:
    the old number minus `value`. Here k counts from `first_row`."""
    value: int


@dataclass(slots=True)
class DataEdit:
    """The changes to one data file."""

    types: dict[str, pa.DataType] = field(default_factory=dict)
    features: bytes | None = None
    """New value of the key `huggingface` in the schema metadata; None keeps the old value."""
    numbers: dict[str, list[RowNumbers]] = field(default_factory=dict)
    """New numbers, by column. If several elements of a list cover the same row, they are applied in the order of the list."""
    dropped: list[tuple[int, int]] = field(default_factory=list)
    """Ranges `[start, stop)` of rows that are left out of the repaired file."""


@dataclass(frozen=True, slots=True)
class LostEpisode:
    """An episode that has lost some or all of its rows."""

    runs: tuple[Run, ...]
    """The ranges of the episode's rows that the data files still contain."""
    found: str
    """The evidence that the rows are lost, as a clause for messages."""


class Draft:
    """A dataset under repair, on which the repairs work one after the other.

    Columns of meta/episodes are in the order of the repaired rows. A value that cannot be used is `NO_NUMBER` in a column of int64,
    and NaN in a column of float64. A `Place`, the location in a report, has the episode and row numbers from before episodes are
    left out.
    """

    def __init__(self, evidence: Evidence, requested: Collection[str] = ()) -> None:
        self.evidence = evidence
        self.requested = frozenset(requested)
        """The codes of repairs that the user has named, which decides between readings of some defects."""
        self.info: dict[str, Any] = deepcopy(dict(evidence.document))
        self.tables = [table for _, table in evidence.shards]
        self.row_count = sum(len(table) for table in self.tables)
        self.order = np.arange(self.row_count)
        """For each repaired row of meta/episodes, the number of the source's row, counted over all files."""
        self.columns: dict[str, npt.NDArray[Any]] = {
            name: self._column(name, np.int64) for name in lerobot.EPISODE_COLUMNS
        }
        for camera in evidence.info.video_keys:
            for name in lerobot.VIDEO_FIELDS:
                column = lerobot.video_column(camera, name)
                self.columns[column] = self._column(column, np.float64 if name.endswith("timestamp") else np.int64)
        self.changed: set[str] = set()
        self.task_texts: list[list[str] | None] = self._task_texts()
        self.tasks = evidence.tasks
        self.runs_of: dict[int, tuple[Run, ...]] = dict(evidence.runs_of)
        self.edits: dict[str, DataEdit] = {
            path: DataEdit() for path, file in evidence.data.items() if file.recovered is not None
        }
        self.statistics: dict[str, Any] = deepcopy(dict(evidence.statistics or {}))
        self.episode_statistics: dict[str, tuple[FeatureStatistics, npt.NDArray[np.bool_]]] = {}
        """For each feature, the new statistics of all episodes, and which episodes get them; shape [episodes]."""
        self.measured: EpisodeStatistics | None = None
        """The statistics of all episodes, computed from their rows; None before `measure`, and if rows may be missing."""
        self.sampled_features: tuple[str, ...] = ()
        """The picture features whose statistics will be recomputed from sampled pictures."""
        self.proved: npt.NDArray[np.bool_] = np.zeros(self.row_count, np.bool_)
        """Whether it is proved that an episode has as many rows as its length says; shape [episodes]."""
        self.lost: dict[int, LostEpisode] = {}
        """The episodes of meta/episodes to leave out, by episode number."""
        self.unlisted: dict[int, LostEpisode] = {}
        """The episodes to leave out because meta/episodes has lost their rows, by episode number."""
        self.kept = np.arange(self.row_count)
        """For each remaining episode, its number before episodes were left out."""
        self.hidden: list[str] = []
        """Files of the source that are not part of the repaired dataset."""
        self.has_all_episodes = not evidence.episodes.unreadable and bool(self.row_count)
        """Whether all files of meta/episodes can be read and, once `repair_order` has run, row i is episode i."""
        self.keeps_episodes = False
        """Whether meta/episodes stays as it is, because a repair is left out on which all changes of it build."""

    def values(self, name: str) -> npt.NDArray[Any]:
        """Return the values of a column of meta/episodes, as repaired so far."""
        return self.columns[name]

    def set(self, name: str, row: int, value: float) -> None:
        """Set the value of a column of meta/episodes in one row."""
        self.columns[name][row] = value
        self.changed.add(name)

    def set_texts(self, row: int, texts: list[str]) -> None:
        """Set the task texts of the episode in one row of meta/episodes."""
        self.task_texts[row] = texts
        self.changed.add(lerobot.TASKS)

    def edit(self, path: str) -> DataEdit:
        """Return the edit of a data file, to which repairs add their changes. Create an empty edit if the file has none."""
        return self.edits.setdefault(path, DataEdit())

    def single_runs(self) -> Iterator[tuple[int, Run]]:
        """Yield (episode, run) for each episode whose rows are all consecutive; nothing if meta/episodes is incomplete."""
        if self.has_all_episodes:
            for episode in range(self.row_count):
                runs = self.runs_of.get(episode, ())
                if len(runs) == 1:
                    yield episode, runs[0]

    def has_numbers(self, path: str, column: str) -> bool:
        """Return whether a column of a data file contains numbers, and has a type in which edits can write any other number.

        Texts of numbers have such a type. Lists, dictionaries and integers of less than 32 bits do not.
        """
        if column not in self.evidence.data[path].number_columns:
            return False
        kind = self.column_type(path, column)
        return is_text(kind) or (is_number(kind) and kind.bit_width >= _LEAST_BITS)

    def column_type(self, path: str, column: str) -> pa.DataType:
        """Return the type that a column of a readable data file has after the repairs so far."""
        schema = self.evidence.data[path].schema
        assert schema is not None
        return self.edits.get(path, DataEdit()).types.get(column, schema.field(column).type)

    def place(self, row: int, column: str | None = None, camera: str | None = None) -> Place:
        """Return the place of a row of meta/episodes: its file, and the number of the row in this file.

        In the place, rows and episodes are counted after reordering, and include the episodes that are left out.

        Args:
            row: The number of the row in the repaired dataset.
            column: A column, if the place is a value in this column.
            camera: A camera, if the place belongs to one camera.
        """
        row = left = int(self.kept[row])
        for (path, _), table in zip(self.evidence.shards, self.tables, strict=True):
            if left < len(table):
                return Place(path, row, camera, column, left)
            left -= len(table)
        raise IndexError(row)

    def set_order(self, order: npt.NDArray[np.int64]) -> None:
        """Reorder the rows of meta/episodes. The new row i is the old row `order[i]`."""
        self.order = self.order[order]
        for name, values in self.columns.items():
            self.columns[name] = values[order]
        self.task_texts = [self.task_texts[row] for row in order.tolist()]
        self.tables = [pa.concat_tables(self.tables, promote_options="permissive").take(pa.array(order))]
        stops = np.cumsum([len(table) for _, table in self.evidence.shards])
        whole = self.tables[0]
        self.tables = [
            whole.slice(stop - len(table), len(table))
            for stop, (_, table) in zip(stops.tolist(), self.evidence.shards, strict=True)
        ]

    def raw(self, name: str, row: int) -> Any:
        """Return the value of a column of meta/episodes before all repairs; None if the column is missing.

        Args:
            name: The name of the column.
            row: The number of the row in the repaired dataset.
        """
        left = int(self.kept[row])
        for table in self.tables:
            if left < len(table):
                return _plain(table[name][left].as_py()) if name in table.column_names else None
            left -= len(table)
        raise IndexError(row)

    def recorded(self, name: str) -> npt.NDArray[np.float64]:
        """Return a recorded statistic, such as a count, as one number per episode; NaN if an episode has no single number."""
        found = np.full(sum(len(table) for table in self.tables), np.nan)
        row = 0
        for table in self.tables:
            if name in table.column_names:
                for place, value in enumerate(table[name].to_pylist()):
                    number = value[0] if isinstance(value, list) and len(value) == 1 else value
                    if isinstance(number, (int, float)):
                        found[row + place] = number
            row += len(table)
        return found[self.kept]

    def statistics_column(self, name: str) -> pa.ChunkedArray | None:
        """Return a statistics column of meta/episodes in the order of the repaired rows.

        The result is None if a file lacks the column, or if the files have different types for it.
        """
        parts: list[pa.ChunkedArray] = []
        for path, _ in self.evidence.shards:
            with self.evidence.episodes.open(path) as file:
                if file.schema_arrow.names.count(name) != 1:
                    return None
                parts.append(file.read(columns=[name], use_threads=False)[name])
        if not parts or any(part.type != parts[0].type for part in parts):
            return None
        whole = pa.chunked_array([chunk for part in parts for chunk in part.chunks], parts[0].type)
        return whole.take(pa.array(self.order)) if self.is_moved else whole

    @property
    def is_moved(self) -> bool:
        """Whether rows of meta/episodes have changed their order or have been left out."""
        return not np.array_equal(self.order, np.arange(sum(len(table) for table in self.tables)))

    def shard_sizes(self) -> list[int]:
        """Return the number of rows that each file of meta/episodes has after the repairs, in the order of the files."""
        stops = np.cumsum([0, *(len(table) for table in self.tables)])
        return [int(size) for size in np.diff(np.searchsorted(self.kept, stops))]

    def leave_out(self, lost: npt.NDArray[np.int64]) -> None:
        """Remove rows of meta/episodes from the draft. The other rows keep their values, and the data files do not change.

        Args:
            lost: The numbers of the rows to leave out, ascending.
        """
        self.kept = np.setdiff1d(np.arange(self.row_count), lost)
        self.order = self.order[self.kept]
        self.columns = {name: values[self.kept] for name, values in self.columns.items()}
        self.task_texts = [self.task_texts[row] for row in self.kept.tolist()]
        self.proved = self.proved[self.kept]
        new = {int(old): number for number, old in enumerate(self.kept.tolist())}
        removed = {*lost.tolist()}
        self.runs_of = {new.get(old, old): runs for old, runs in self.runs_of.items() if old not in removed}
        self.row_count = len(self.kept)

    def _column(self, name: str, dtype: type) -> npt.NDArray[Any]:
        parts = [_numbers(table, name, dtype) for table in self.tables]
        return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype)

    def _task_texts(self) -> list[list[str] | None]:
        found: list[list[str] | None] = []
        for table in self.tables:
            values = table[lerobot.TASKS].to_pylist() if lerobot.TASKS in table.column_names else [None] * len(table)
            found += [
                value if isinstance(value, list) and all(isinstance(text, str) for text in value) else None
                for value in values
            ]
        return found


def listed(repairs: Iterable[Repair]) -> Iterator[Repair]:
    """Yield the first hundred repairs of each kind and column; `more` of the hundredth repair counts the further repairs.

    Repairs that leave out an episode are always listed.
    """
    groups: dict[tuple[str, str, str | None, str | None], list[Repair]] = {}
    for each in repairs:
        # A user has to see every episode that is left out, so each of them forms a separate group.
        lost = str(each.place.episode) if each.code == registry.LOST_EPISODES.code else None
        column = lost or each.place.column
        groups.setdefault((each.code, each.place.file, each.place.camera, column), []).append(each)
    for members in groups.values():
        yield from members[: _MOST_LISTED - 1]
        rest = members[_MOST_LISTED - 1 :]
        if rest:
            yield replace(rest[0], more=rest[0].more + sum(1 + each.more for each in rest[1:]))


def numbers_of(edits: Sequence[RowNumbers], first: int, values: npt.NDArray[Any], fps: float) -> npt.NDArray[Any]:
    """Return a copy of some values of a column, with the new numbers that the edits give them.

    Args:
        edits: The edits of the column, which are applied in their order.
        first: The row number of `values[0]` within the file.
        values: The values of consecutive rows.
        fps: The dataset's frame rate.
    """
    changed = values.copy()
    for edit in edits:
        start, stop = max(edit.first_row, first), min(edit.first_row + edit.count, first + len(values))
        if start >= stop:
            continue
        steps = np.arange(start - edit.first_row, stop - edit.first_row)
        new: npt.NDArray[Any]
        if edit.kind == "constant":
            new = np.full(len(steps), edit.value)
        elif edit.kind == "count":
            new = edit.value + steps
        elif edit.kind == "shift":
            new = changed[start - first : stop - first] - edit.value
        else:
            new = (edit.value + steps) / fps
        changed[start - first : stop - first] = new
    return changed


def _numbers(table: pa.Table, name: str, dtype: type) -> npt.NDArray[Any]:
    nothing: npt.NDArray[Any] = np.full(len(table), NO_NUMBER if dtype is np.int64 else np.nan, dtype)
    if table.column_names.count(name) != 1:
        return nothing
    column = table[name]
    try:
        if is_text(column.type):
            column = column.cast(pa.int64() if dtype is np.int64 else pa.float64())
        if not is_number(column.type):
            return nothing
        values = numpy_values(column.cast(pa.int64() if dtype is np.int64 else pa.float64()))
    except pa.ArrowInvalid:
        return nothing
    return np.where(is_valid(column), values, nothing).astype(dtype)


def _plain(value: Any) -> Any:
    """Return a value in a form that JSON can represent: NaN and infinities become text."""
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value
