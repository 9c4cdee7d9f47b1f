"""The numbers of the charts that illustrate findings. A rule adds them to its finding, and the report page draws the charts."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from episeek_pipelines.verify.findings.arrays import Float64Array, Int64Array

MOST_CHARTED: Final = 8
"""Largest number of findings of one rule that get charts on a page."""
MOST_DIMENSIONS: Final = 64
"""Largest number of dimensions in a chart."""

_BEFORE: Final = 20
"""Number of rows that a chart shows before the row of interest, and also after it."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """The name of one dimension, and its values in consecutive rows, shape [rows]."""

    name: str
    values: Float64Array


@dataclass(frozen=True, slots=True, eq=False)
class RowChart:
    """The values of one or more dimensions in consecutive rows of one episode. All traces have the same rows."""

    episode_index: int
    first_row: int
    """Number of the first row, counted from the start of the episode."""
    traces: tuple[Trace, ...]
    marked: tuple[int, ...] = ()
    """Numbers of the rows that the finding is about, counted from the start of the episode. The first trace marks these rows."""


@dataclass(frozen=True, slots=True, eq=False)
class RangeChart:
    """The smallest and largest values of dimensions of a feature. Arrays have shape [dimensions]."""

    dimension: Int64Array
    """Numbers of the shown dimensions, ascending, at most `MOST_DIMENSIONS`."""
    minimum: Float64Array
    maximum: Float64Array
    resting: Float64Array
    """The value of each dimension that does not change; NaN for a dimension that changes."""
    dimension_count: int
    """Number of dimensions of the feature."""
    episode_index: int | None = None
    """The episode in which the resting dimensions do not change; None if they do not change in the whole dataset."""


@dataclass(frozen=True, slots=True, eq=False)
class LagChart:
    """The number of episodes with each lag between action and state. Arrays have shape [lags]."""

    row_count: Int64Array
    """Numbers of rows by which the action lags behind the state, ascending; negative if the state lags behind the action."""
    episode_count: Int64Array


FindingChart = RowChart | RangeChart | LagChart


def rows_around(episode_index: int, name: str, values: Float64Array, row: int, rows: Iterable[int]) -> RowChart:
    """Return a chart of the values of one dimension in the rows around a row.

    Args:
        episode_index: The episode.
        name: The name of the dimension.
        values: The values of the dimension in all rows of the episode.
        row: The number, within the episode, of the row in the middle of the chart.
        rows: The numbers of all rows of the episode that the finding is about. The chart marks the rows that it shows.
    """
    start, stop = max(row - _BEFORE, 0), min(row + _BEFORE + 1, len(values))
    # Without a copy, the chart would keep the values of the whole episode in memory.
    trace = Trace(name, values[start:stop].copy())
    return RowChart(episode_index, start, (trace,), tuple(each for each in rows if start <= each < stop))


def range_chart(
    minimum: Float64Array, maximum: Float64Array, resting: Float64Array, episode_index: int | None = None
) -> RangeChart | None:
    """Return a chart of the dimensions with finite ranges, or None if no dimension has one.

    The chart prefers dimensions that do not change, but shows at most three quarters of `MOST_DIMENSIONS` of them.
    """
    finite = np.flatnonzero(np.isfinite(minimum) & np.isfinite(maximum))
    if not len(finite):
        return None
    is_resting = np.isfinite(resting[finite])
    by_interest = np.concatenate([finite[is_resting][: MOST_DIMENSIONS * 3 // 4], finite[~is_resting]])
    shown = np.sort(by_interest[:MOST_DIMENSIONS])
    return RangeChart(shown, minimum[shown], maximum[shown], resting[shown], len(resting), episode_index)
