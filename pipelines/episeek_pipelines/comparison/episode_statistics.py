"""Find the statistics of episodes that differ: the columns `stats/...` of meta/episodes, for pairs of episodes."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import MetadataError
from episeek_pipelines.comparison.documents import is_rounding, largest_difference
from episeek_pipelines.comparison.results import StatisticChange
from episeek_pipelines.comparison.rows.column_values import differing_rows, digests_of, type_text
from episeek_pipelines.comparison.rows.episode_columns import LENGTH_COLUMNS
from episeek_pipelines.comparison.side import Side
from episeek_pipelines.parquet.arrow_types import is_any_list, is_number
from episeek_pipelines.parquet.episode_runs import reading
from episeek_pipelines.parquet.numpy_values import float_values, positions_of
from episeek_schemas import lerobot

_PREFIX = lerobot.statistics_column("", "").partition("/")[0] + "/"


def episode_statistic_changes(a: Side, b: Side, pairs: Sequence[tuple[int, int]]) -> list[StatisticChange]:
    """Return the statistics of episodes that differ, each with the number of episodes in which it differs.

    The statistics of `LENGTH_COLUMNS`, such as episode_index and index, may change if an episode is renumbered or moved. Therefore
    these statistics are compared only for pairs with the same number and the same first row.

    Args:
        a: The first dataset.
        b: The second dataset.
        pairs: The pairs of episodes, each as the number in A and the number in B.
    """
    rows_a = np.array([a.row_of[one] for one, _ in pairs], np.int64)
    rows_b = np.array([b.row_of[other] for _, other in pairs], np.int64)
    is_same_place = np.array([one == other for one, other in pairs], np.bool_)
    if len(pairs):
        is_same_place &= a.places[rows_a] == b.places[rows_b]
    found = []
    with ExitStack() as stack:
        ours, theirs = (_Shards(side, stack) for side in (a, b))
        for name in sorted({*ours.names, *theirs.names}):
            _, _, rest = name.partition("/")
            feature, _, statistic = rest.rpartition("/")
            if name not in ours.names or name not in theirs.names:
                only_in = "A" if name in ours.names else "B"
                found.append(StatisticChange(feature, statistic, None, len(pairs), only_in))
                continue
            one, other = (side.column(name) for side in (ours, theirs))
            if type_text(one.type) != type_text(other.type):
                one, other = (_as_doubles(column) for column in (one, other))
            one, other = one.take(positions_of(rows_a)), other.take(positions_of(rows_b))
            differs = differing_rows(one, other)
            if feature in LENGTH_COLUMNS:
                differs &= is_same_place
            places = np.flatnonzero(differs)
            if len(places):
                ours_there, theirs_there = (side.take(positions_of(places)) for side in (one, other))
                is_rounded = all(map(is_rounding, ours_there.to_pylist(), theirs_there.to_pylist()))
                largest = _largest(ours_there, theirs_there)
                found.append(StatisticChange(feature, statistic, largest, len(places), is_rounding=is_rounded))
    return found


def statistics_digests(a: Side, b: Side) -> tuple[dict[int, bytes], dict[int, bytes]]:
    """Return, for A and for B, a digest of the means and standard deviations of each episode, by the number of the episode.

    The digests serve to match the episodes. Both mappings are empty if A and B have no column of means or standard deviations in
    common.
    """
    with ExitStack() as stack:
        ours, theirs = (_Shards(side, stack) for side in (a, b))
        names = [name for name in sorted({*ours.names} & {*theirs.names}) if _tells(name)]
        found: list[dict[int, bytes]] = []
        for side, shards in ((a, ours), (b, theirs)):
            bounds = range(len(side.numbers) + 1)
            columns = [digests_of(shards.column(name), bounds) for name in names]
            digests = [b"".join(parts) for parts in zip(*columns, strict=True)]
            found.append(dict(zip(side.numbers.tolist(), digests, strict=True)) if digests else {})
    return found[0], found[1]


def _tells(name: str) -> bool:
    feature, _, statistic = name.removeprefix(_PREFIX).rpartition("/")
    return statistic in ("mean", "std") and feature not in LENGTH_COLUMNS


class _Shards:
    """The files of meta/episodes of one dataset, opened once. Files of a store are fetched whole, since most of each is needed."""

    def __init__(self, side: Side, stack: ExitStack) -> None:
        self._files: list[tuple[str, pq.ParquetFile]] = []
        for path, _ in side.dataset.episodes.shards:
            where = side.root.join(path)
            if side.root.is_local:
                file = stack.enter_context(side.root.open_parquet(path))
            else:
                file = stack.enter_context(pq.ParquetFile(pa.BufferReader(side.root.read_bytes(path))))
            self._files.append((where, file))
        names = [{name for name in file.schema_arrow.names if name.startswith(_PREFIX)} for _, file in self._files]
        self.names = set.intersection(*names) if names else set()
        """The names of the columns `stats/...` that all files have."""

    def column(self, name: str) -> pa.Array:
        """Return a column of meta/episodes for all episodes, in the order of the table of episodes."""
        parts = []
        for where, file in self._files:
            with reading(where):
                # pyarrow also reads the columns whose names begin with this name and a dot
                parts.append(file.read(columns=[name], use_threads=False)[name])
        if len({part.type for part in parts}) > 1:
            raise MetadataError(self._files[0][0], f"column {name!r} with several types", "one type in all files")
        return pa.chunked_array([chunk for part in parts for chunk in part.chunks], parts[0].type).combine_chunks()


def _as_doubles(column: pa.Array) -> pa.Array:
    """Return a column of statistics as flat lists of doubles. A value that is not made of numbers becomes null."""
    return pa.array([_flat(value) for value in column.to_pylist()], pa.list_(pa.float64()))


def _flat(value: Any) -> list[float] | None:
    try:
        return None if value is None else np.asarray(value, np.float64).ravel().tolist()
    except (TypeError, ValueError):
        return None


def _largest(a: pa.Array, b: pa.Array) -> float | None:
    """Return the largest difference between numbers at the same positions, or None if there are no numbers."""
    ours, theirs = _numbers(a), _numbers(b)
    if ours is not None and theirs is not None and len(ours) == len(theirs):
        return largest_difference(ours, theirs)
    # lists of different lengths, and columns with nulls, are compared value by value
    pairs = zip(a.to_pylist(), b.to_pylist(), strict=True)
    differences = [largest_difference(one, other) for one, other in pairs]
    known = [difference for difference in differences if difference is not None]
    return max(known) if known else None


def _numbers(column: pa.Array) -> npt.NDArray[np.float64] | None:
    """Return the numbers of a column of numbers or of lists of numbers as one array; None for other columns, or if it has nulls."""
    while is_any_list(column.type) and not column.null_count:
        column = column.flatten()
    if column.null_count or not is_number(column.type):
        return None
    return float_values(column)
