"""The draft of a repaired dataset: documents and numbers as repaired so far, and the edits of data files. Repairs write into it."""

from collections.abc import Iterable, Iterator, Sequence
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
"""Repairs of one kind in one column that are listed; of the others only the number is."""

NumberKind = Literal["count", "constant", "clock", "shift"]


@dataclass(frozen=True, slots=True)
class RowNumbers:
    """New numbers for rows `[first_row, first_row + count)` of a column."""

    first_row: int
    count: int
    kind: NumberKind
    """`count`: from `value` up by one; `constant`: `value`; `clock`: (`value` + k) / fps; `shift`: lower by `value`."""
    value: int


@dataclass(slots=True)
class DataEdit:
    """The changes of one data file."""

    types: dict[str, pa.DataType] = field(default_factory=dict)
    features: bytes | None = None
    """New `huggingface` metadata."""
    numbers: dict[str, list[RowNumbers]] = field(default_factory=dict)
    """New numbers by column. Those of one row are made in their order."""
    dropped: list[tuple[int, int]] = field(default_factory=list)
    """Rows `[start, stop)` that are left out."""


@dataclass(frozen=True, slots=True)
class LostEpisode:
    """An episode whose rows are lost."""

    runs: tuple[Run, ...]
    """What is left of them."""
    found: str
    """The evidence, in words."""


class Draft:
    """A dataset under repair.

    Columns of meta/episodes are in the order of the repaired rows: int64 with `NO_NUMBER`, or float64 with NaN, where there is no
    usable value. Places are those of the source, also when episodes have been left out.
    """

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.info: dict[str, Any] = deepcopy(dict(evidence.document))
        self.tables = [table for _, table in evidence.shards]
        self.row_count = sum(len(table) for table in self.tables)
        self.order = np.arange(self.row_count)
        """The row of the source, over all files, for each row."""
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
        """New statistics of features, of each episode, and which of them are to be written."""
        self.measured: EpisodeStatistics | None = None
        """The statistics of all episodes from their rows; None where rows may be missing."""
        self.sampled_features: tuple[str, ...] = ()
        """The features of pictures whose statistics are recomputed from sampled pictures afterwards."""
        self.proved: npt.NDArray[np.bool_] = np.zeros(self.row_count, np.bool_)
        """For each episode, whether its number of rows is proved to be its length."""
        self.lost: dict[int, LostEpisode] = {}
        """Episodes to leave out, by number."""
        self.kept = np.arange(self.row_count)
        """The number that each episode had before others were left out."""
        self.hidden: list[str] = []
        """Files of the source that are not part of the repaired dataset."""
        self.has_all_episodes = not evidence.unreadable_shards and bool(self.row_count)
        """Whether meta/episodes can be read, and holds episode i in row i as repaired."""

    def values(self, name: str) -> npt.NDArray[Any]:
        """Return a column of meta/episodes."""
        return self.columns[name]

    def set(self, name: str, row: int, value: float) -> None:
        """Change a value of meta/episodes."""
        self.columns[name][row] = value
        self.changed.add(name)

    def set_texts(self, row: int, texts: list[str]) -> None:
        """Change the tasks of an episode."""
        self.task_texts[row] = texts
        self.changed.add(lerobot.TASKS)

    def edit(self, path: str) -> DataEdit:
        """Return the edit of a data file, to be added to."""
        return self.edits.setdefault(path, DataEdit())

    def place(self, row: int, column: str | None = None, camera: str | None = None) -> Place:
        """Return the place of a row of meta/episodes."""
        row = left = int(self.kept[row])
        for (path, _), table in zip(self.evidence.shards, self.tables, strict=True):
            if left < len(table):
                return Place(path, row, camera, column, left)
            left -= len(table)
        raise IndexError(row)

    def set_order(self, order: npt.NDArray[np.int64]) -> None:
        """Bring the rows of meta/episodes into another order."""
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
        """Return a value of meta/episodes as it was found, in the order of the repaired rows; None for a missing column."""
        left = int(self.kept[row])
        for table in self.tables:
            if left < len(table):
                return _plain(table[name][left].as_py()) if name in table.column_names else None
            left -= len(table)
        raise IndexError(row)

    def recorded(self, name: str) -> npt.NDArray[np.float64]:
        """Return a recorded statistic of one number for each episode; NaN where there is none."""
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
        """Return a column of statistics of meta/episodes, in the order of the repaired rows; None where a file lacks it."""
        parts: list[pa.ChunkedArray] = []
        for path, _ in self.evidence.shards:
            with self.evidence.root.open_parquet(path) as file:
                if file.schema_arrow.names.count(name) != 1:
                    return None
                parts.append(file.read(columns=[name], use_threads=False)[name])
        if not parts or any(part.type != parts[0].type for part in parts):
            return None
        whole = pa.chunked_array([chunk for part in parts for chunk in part.chunks], parts[0].type)
        return whole.take(pa.array(self.order)) if self.is_moved else whole

    @property
    def is_moved(self) -> bool:
        """Whether rows of meta/episodes are in another order than in the source, or are left out."""
        return not np.array_equal(self.order, np.arange(sum(len(table) for table in self.tables)))

    def shard_sizes(self) -> list[int]:
        """Return how many rows each file of meta/episodes has."""
        stops = np.cumsum([0, *(len(table) for table in self.tables)])
        return [int(size) for size in np.diff(np.searchsorted(self.kept, stops))]

    def leave_out(self, lost: npt.NDArray[np.int64]) -> None:
        """Leave out rows of meta/episodes: the columns and the runs of the others stay as they are.

        Args:
            lost: Their numbers, rising.
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
    """Yield repairs, of each kind and column the first hundred; the last of these has the number of the others."""
    groups: dict[tuple[str, str, str | None, str | None], list[Repair]] = {}
    for each in repairs:
        # each episode that is left out is listed
        lost = str(each.place.episode) if each.code == registry.LOST_EPISODES.code else None
        column = lost or each.place.column
        groups.setdefault((each.code, each.place.file, each.place.camera, column), []).append(each)
    for members in groups.values():
        yield from members[: _MOST_LISTED - 1]
        rest = members[_MOST_LISTED - 1 :]
        if rest:
            yield replace(rest[0], more=rest[0].more + sum(1 + each.more for each in rest[1:]))


def numbers_of(edits: Sequence[RowNumbers], first: int, values: npt.NDArray[Any], fps: float) -> npt.NDArray[Any]:
    """Return a column's values from row `first` of its file on, with the new numbers of the edits."""
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
    """Return a value as JSON holds it: numbers that are none as text."""
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value
