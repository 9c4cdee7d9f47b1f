"""Scan the action and the state in a data file: find episodes at rest (ROW049) and spikes (ROW050), and measure lags (ROW051).

Memory is limited to one batch of rows, and to the action and state of one episode.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from episeek_pipelines.statistics.values import Unusable, sample_values
from episeek_pipelines.verify.data.feature_ranges import dimension_names, dimension_text
from episeek_pipelines.verify.data.motion import LEAST_ROWS, is_still, lag, spikes
from episeek_pipelines.verify.data.motion_charts import (
    dimension_title,
    lag_chart,
    late_chart,
    resting_chart,
    spike_chart,
)
from episeek_pipelines.verify.data.row_scan import integers
from episeek_pipelines.verify.findings.arrays import Float64Array, Int64Array
from episeek_pipelines.verify.findings.charts import FindingChart, RowChart
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.lags import Lags
from episeek_pipelines.verify.rules import LATE_ACTION, SPIKE, STILL
from episeek_pipelines.words import counted
from episeek_schemas import lerobot
from episeek_schemas.features import declared_dtype, declared_shape

LEAST_STILL_ROWS: Final = 10
LEAST_EPISODES: Final = 3
"""ROW051 needs at least this many episodes with a measured lag."""

_MOST_DIMENSIONS: Final = 64
_MOST_ROWS: Final = 1 << 16
"""Number of rows of an episode. Once so many rows of an episode were scanned, later batches of its rows are skipped."""
_MOST_LAGS: Final = 64
"""Largest number of episodes of a file in which the lag is measured."""


@dataclass(slots=True)
class _Noted:
    """A defect of a feature: its first occurrence, and the number of episodes with this defect."""

    episode: int
    row: int
    about: str
    chart: FindingChart | None
    episode_count: int = 1


class MotionScan:
    """Scans the action and the state of one data file, batch by batch.

    Args:
        features: `features` of meta/info.json.
        columns_present: Columns of the file.
        path: The file.
    """

    def __init__(self, features: Mapping[str, Any], columns_present: Sequence[str], path: str) -> None:
        self._features = features
        self._path = path
        self._names = tuple(
            name
            for name in (lerobot.ACTION, lerobot.STATE)
            if columns_present.count(name) == 1 and _is_vector(features.get(name))
        )
        self._shared = _shared_dimensions(features) if len(self._names) == 2 else None
        self._episode: int | None = None
        self._first_row = self._row_count = 0
        self._waiting: dict[str, list[Float64Array]] = {}
        self._unusable: set[str] = set()
        self._still: dict[str, _Noted] = {}
        self._spikes: dict[str, _Noted] = {}
        self._lags: list[tuple[int, int]] = []
        self._late: RowChart | None = None
        """Chart of the first episode whose action lags behind the state; None if no such episode was found."""
        self._measured_count = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that `add` scans."""
        return (lerobot.EPISODE_INDEX, *self._names)

    def add(self, batch: pa.RecordBatch, first_row: int) -> None:
        """Scan the next rows, which begin at row `first_row` of the file."""
        if not len(batch) or not self._names:
            return
        episodes = integers(batch.column(lerobot.EPISODE_INDEX))
        bounds = [0, *(np.flatnonzero(episodes[1:] != episodes[:-1]) + 1).tolist(), len(batch)]
        values = {name: self._values(name, batch) for name in self._names}
        if any(each is None for each in values.values()) and len(bounds) > 2:
            # Episodes are added one by one, so that values missing in one of them do not discard the others.
            for start, stop in pairwise(bounds):
                self.add(batch.slice(start, stop - start), first_row + start)
            return
        for start, stop in pairwise(bounds):
            if self._episode != episodes[start]:
                self._finish()
                self._episode, self._first_row = int(episodes[start]), first_row + start
            for name, each in values.items() if self._row_count < _MOST_ROWS else ():
                if each is None:
                    self._unusable.add(name)
                else:
                    self._waiting.setdefault(name, []).append(each[start:stop].astype(np.float64))
            self._row_count += stop - start

    def _values(self, name: str, batch: pa.RecordBatch) -> npt.NDArray[Any] | None:
        """Return the values of a feature, shape [rows, dimensions], or None if a value is missing or a list has a wrong length."""
        numbers = sample_values(batch.column(name))
        width = (declared_shape(self._features[name]) or (1,))[0]
        return None if isinstance(numbers, Unusable) or numbers.shape[1:] != (1, width) else numbers[:, 0, :]

    def findings(self) -> Iterator[Finding]:
        """Yield one finding for each feature and kind of defect, located at the first episode with this defect.

        `Finding.more` counts the further episodes.
        """
        self._finish()
        expected = {STILL: "values that change within an episode", SPIKE: "a value near those in the rows around it"}
        for rule, noted in ((STILL, self._still), (SPIKE, self._spikes)):
            for name, each in noted.items():
                where = Location(self._path, each.episode, row=each.row, column=name)
                charts = () if each.chart is None else (each.chart,)
                yield finding(rule, each.about, expected[rule], where, more=each.episode_count - 1, charts=charts)

    def lags(self) -> Lags:
        """Return the lags of the episodes. Call `findings` first, since it completes the last episode."""
        table = np.array(self._lags, np.int64).reshape(len(self._lags), 2)
        return Lags(table[:, 0], table[:, 1], self._late)

    def _finish(self) -> None:
        if self._episode is not None and self._episode >= 0:
            values = {
                name: np.concatenate(pieces) for name, pieces in self._waiting.items() if name not in self._unusable
            }
            finite = {name: each for name, each in values.items() if np.isfinite(each).all()}
            for name, each in finite.items():
                self._judge(name, each)
            is_long = self._row_count >= LEAST_ROWS
            if self._shared is not None and len(finite) == 2 and is_long and self._measured_count < _MOST_LAGS:
                self._measured_count += 1
                action, state = (
                    finite[name][:, columns] for name, columns in zip(self._names, self._shared, strict=True)
                )
                rows = lag(action, state)
                if rows is not None:
                    self._lags.append((self._episode, rows))
                    if rows < 0 and (self._late is None or self._episode < self._late.episode_index):
                        self._late = late_chart(self._episode, action, state, self._shared_titles())
        self._episode, self._row_count = None, 0
        self._waiting, self._unusable = {}, set()

    def _shared_titles(self) -> tuple[list[str], list[str]]:
        assert self._shared is not None
        action, state = (
            [dimension_title(name, each, self._features) for each in dimensions]
            for name, dimensions in zip(self._names, self._shared, strict=True)
        )
        return action, state

    def _judge(self, name: str, values: Float64Array) -> None:
        assert self._episode is not None
        if len(values) >= LEAST_STILL_ROWS and is_still(values):
            about = f"the same values in all {len(values)} rows of the episode"
            _note(self._still, name, self._episode, self._first_row, about, resting_chart(self._episode, values[0]))
        if len(values) < LEAST_ROWS:
            return
        is_spike = spikes(values)
        rows = np.flatnonzero(is_spike.any(axis=1))
        if len(rows):
            row = int(rows[0])
            dimension = int(np.argmax(is_spike[row]))
            shape = declared_shape(self._features[name]) or (1,)
            before, at, after = values[row - 1 : row + 2, dimension].tolist()
            others = f", and spikes in {counted(len(rows) - 1, 'other row')} of the episode" if len(rows) > 1 else ""
            about = (
                f"{at:.6g} in dimension {dimension_text(dimension, shape, self._features[name])} between {before:.6g} and"
                f" {after:.6g} in the rows before and after it{others}"
            )
            title = dimension_title(name, dimension, self._features)
            chart = spike_chart(self._episode, title, values[:, dimension], is_spike[:, dimension], row)
            _note(self._spikes, name, self._episode, self._first_row + row, about, chart)


def check_lags(parts: Sequence[Lags]) -> Iterator[Finding]:
    """Yield ROW051 if the action lags behind the state in most episodes with a measured lag.

    Args:
        parts: The lags of all data files.
    """
    if not parts:
        return
    episodes, rows = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("episode_index", "row_count")
    )
    is_late = rows < 0
    if len(rows) < LEAST_EPISODES or 2 * is_late.sum() <= len(rows):
        return
    first = int(episodes[is_late].min())
    examples = [part.late for part in parts if part.late is not None and part.late.episode_index == first]
    yield finding(
        LATE_ACTION,
        f"an action that lags behind the state by {counted(_middle(-rows[is_late]), 'row')}, in {is_late.sum()} of"
        f" {counted(len(rows), 'episode')} with a measurable lag",
        "a state that lags behind the action, or no lag",
        Location(episode=first, column=lerobot.ACTION),
        charts=(*examples[:1], lag_chart(rows)),
    )


def _middle(values: Int64Array) -> int:
    return int(np.sort(values)[len(values) // 2])


def _note(noted: dict[str, _Noted], name: str, episode: int, row: int, about: str, chart: FindingChart | None) -> None:
    if name in noted:
        noted[name].episode_count += 1
    else:
        noted[name] = _Noted(episode, row, about, chart)


def _is_vector(spec: object) -> bool:
    shape = declared_shape(spec) if isinstance(spec, Mapping) else None
    dtype = declared_dtype(spec)
    is_float = dtype is not None and dtype.startswith("float")
    return is_float and shape is not None and len(shape) == 1 and 0 < shape[0] <= _MOST_DIMENSIONS


def _shared_dimensions(features: Mapping[str, Any]) -> tuple[list[int], list[int]] | None:
    """Return the positions, in the action and in the state, of the dimensions that both have; None if no name is in both.

    Dimensions are the same if they have the same name. A name that occurs twice in one of the two is ignored.
    """
    specs = [features[name] for name in (lerobot.ACTION, lerobot.STATE)]
    names = [dimension_names(spec, (declared_shape(spec) or (0,))[0]) for spec in specs]
    if names[0] is None or names[1] is None:
        return None
    shared = [name for name in names[0] if names[0].count(name) == names[1].count(name) == 1]
    return ([names[0].index(name) for name in shared], [names[1].index(name) for name in shared]) if shared else None
