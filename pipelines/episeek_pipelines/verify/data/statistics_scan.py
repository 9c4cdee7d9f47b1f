"""STA029 for the statistics of episodes: their extremes and counts are those of the rows.

Only values that rows can show wrong are compared: minimum, maximum and count. `action` may hold statistics of relative actions,
whose count is not the number of rows; it is left out then.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa

from episeek_pipelines.parquet.arrow_types import is_any_list, storage_type
from episeek_pipelines.parquet.numpy_values import numpy_values
from episeek_pipelines.verify.data.feature_ranges import dimension_text
from episeek_pipelines.verify.data.row_scan import integers
from episeek_pipelines.verify.findings.arrays import Float64Array, Int64Array
from episeek_pipelines.verify.findings.episode_statistics import EpisodeStatistics
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import STATISTICS
from episeek_schemas import layout, lerobot
from episeek_schemas.features import declared_shape

EPISODE_REMEDY: Final = (
    "recompute the statistics of the episode from its rows with LeRobot's compute_episode_stats, and meta/stats.json with its "
    "aggregate_stats"
)
RELATIVE_TOLERANCE: Final = 1e-3
"""Relative to the larger extreme, as rows may be stored in float16."""
ABSOLUTE_TOLERANCE: Final = 1e-7


@dataclass(slots=True)
class _Extremes:
    """The extremes of the rows of one feature by position of the episode, and whether all of them could be used."""

    minimum: Float64Array
    maximum: Float64Array
    is_usable: bool = True


def differs(found: Float64Array, minimum: Float64Array, maximum: Float64Array, expected: Float64Array) -> np.ndarray:
    """Return where a statistic is not the expected extreme of rows between `minimum` and `maximum`; false for NaN."""
    with np.errstate(all="ignore"):
        scale = np.maximum(np.abs(minimum), np.abs(maximum))
        return np.asarray(np.abs(found - expected) > RELATIVE_TOLERANCE * scale + ABSOLUTE_TOLERANCE)


@dataclass(slots=True)
class StatisticsScan:
    """Scans one data file, batch by batch.

    Args:
        features: `features` of meta/info.json.
        episode_index: The episodes of the file, sorted; shape [episodes].
        length: Their lengths. Episodes with another number of rows are not compared: ROW015 reports them.
        statistics: Their statistics by feature, in the same order.
    """

    features: Mapping[str, Any]
    episode_index: Int64Array
    length: Int64Array
    statistics: Mapping[str, EpisodeStatistics]
    _counts: Int64Array = field(init=False)
    _extremes: dict[str, _Extremes] = field(init=False)

    def __post_init__(self) -> None:
        self._counts = np.zeros(len(self.episode_index), np.int64)
        self._extremes = {
            name: _Extremes(np.full(held.minimum.shape, np.inf), np.full(held.minimum.shape, -np.inf))
            for name, held in self.statistics.items()
        }

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that `add` scans, where the file has them."""
        return (lerobot.EPISODE_INDEX, *self.statistics)

    def add(self, batch: pa.RecordBatch, first_row: int) -> None:
        """Scan the next rows."""
        if not len(batch) or not len(self.episode_index):
            return
        episode = integers(batch.column(lerobot.EPISODE_INDEX))
        starts = np.concatenate([[0], np.flatnonzero(episode[1:] != episode[:-1]) + 1])
        lengths = np.diff(np.append(starts, len(episode)))
        position = np.minimum(np.searchsorted(self.episode_index, episode[starts]), len(self.episode_index) - 1)
        is_listed = self.episode_index[position] == episode[starts]
        np.add.at(self._counts, position[is_listed], lengths[is_listed])
        for name, extremes in self._extremes.items():
            width = extremes.minimum.shape[1]
            is_one = batch.schema.names.count(name) == 1
            numbers = _numbers(batch.column(name), width) if is_one else None
            if numbers is None or not bool(np.isfinite(numbers).all()):
                extremes.is_usable = False
            if not extremes.is_usable or numbers is None:
                continue
            low = np.minimum.reduceat(numbers, starts, axis=0)[is_listed]
            high = np.maximum.reduceat(numbers, starts, axis=0)[is_listed]
            np.minimum.at(extremes.minimum, position[is_listed], low)
            np.maximum.at(extremes.maximum, position[is_listed], high)

    def findings(self) -> Iterator[Finding]:
        """Yield one finding for each feature and statistic, at the first episode; `more` counts further episodes."""
        for name, extremes in self._extremes.items():
            held = self.statistics[name]
            is_present = (self._counts > 0) & (self._counts == self.length)
            if name == lerobot.ACTION and bool((held.count != self._counts)[is_present].any()):
                continue
            wrong = np.flatnonzero(is_present & np.isfinite(held.count) & (held.count != self._counts))
            if len(wrong):
                found, expected = (
                    f"count {held.count[wrong[0]]:g}",
                    f"{self._counts[wrong[0]]}, the rows of the episode",
                )
                yield self._finding(name, "count", wrong, found, expected)
            if not extremes.is_usable:
                continue
            spec = self.features[name]
            shape = declared_shape(spec) or (1,)
            for statistic, values, truth in (
                ("min", held.minimum, extremes.minimum),
                ("max", held.maximum, extremes.maximum),
            ):
                is_off = differs(values, extremes.minimum, extremes.maximum, truth) & is_present[:, None]
                rows = np.flatnonzero(is_off.any(axis=1))
                if len(rows):
                    row, dimension = int(rows[0]), int(np.argmax(is_off[rows[0]]))
                    place = f" in dimension {dimension_text(dimension, shape, spec)}" if shape != (1,) else ""
                    found = f"{statistic} {values[row, dimension]:.6g}{place}"
                    yield self._finding(name, statistic, rows, found, f"{truth[row, dimension]:.6g}, as in the rows")

    def _finding(self, name: str, statistic: str, rows: Int64Array, found: str, expected: str) -> Finding:
        episode = int(self.episode_index[rows[0]])
        where = Location(layout.EPISODES_DIR, episode, column=lerobot.statistics_column(name, statistic))
        return finding(STATISTICS, found, expected, where, more=len(rows) - 1, remedy=EPISODE_REMEDY)


def _numbers(values: pa.Array, width: int) -> Float64Array | None:
    """Return a column of numbers, or of lists of `width` numbers, as an array of shape [rows, width]; None for anything else."""
    rows = len(values)
    values = values.storage if isinstance(values.type, pa.BaseExtensionType) else values
    if values.null_count:
        return None
    if is_any_list(values.type):
        if not pa.types.is_fixed_size_list(values.type) and not bool(
            np.all(numpy_values(values.value_lengths()) == width)
        ):
            return None
        values = values.flatten()
    kind = storage_type(values.type)
    is_numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if not is_numeric or values.null_count or len(values) != rows * width:
        return None
    if pa.types.is_float16(kind):
        values = values.cast(pa.float32())
    return numpy_values(values).astype(np.float64).reshape(rows, width)
