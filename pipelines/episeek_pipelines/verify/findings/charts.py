"""Charts of findings: the few numbers that show one, kept where it is found, and drawn by the report page."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from episeek_pipelines.verify.findings.arrays import Float64Array, Int64Array

MOST_CHARTED: Final = 8
"""Greatest number of findings of one rule with charts, on a page."""
MOST_DIMENSIONS: Final = 64
"""Greatest number of dimensions in a chart."""

_BEFORE: Final = 20
"""Number of rows before and after the row in question."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Values of one dimension in rows that follow each other; shape [rows]."""

    name: str
    values: Float64Array


@dataclass(frozen=True, slots=True, eq=False)
class RowChart:
    """Values in some rows of one episode. All traces have the same rows."""

    episode_index: int
    first_row: int
    """Number within the episode, as `marked`."""
    traces: tuple[Trace, ...]
    marked: tuple[int, ...] = ()
    """Rows of the first trace that the finding is about."""


@dataclass(frozen=True, slots=True, eq=False)
class RangeChart:
    """Smallest and largest values of the dimensions of a feature; arrays have shape [dimensions]."""

    dimension: Int64Array
    """Numbers of the dimensions, ascending, `MOST_DIMENSIONS` at most."""
    minimum: Float64Array
    maximum: Float64Array
    resting: Float64Array
    """The value at which a dimension rests; NaN where it moves."""
    dimension_count: int
    """Number of dimensions of the feature."""
    episode_index: int | None = None
    """The episode in which they rest; None: in all episodes."""


@dataclass(frozen=True, slots=True, eq=False)
class LagChart:
    """Numbers of episodes by lag; arrays have shape [lags]."""

    row_count: Int64Array
    """Rows by which the action follows the state, ascending; negative where the state follows the action."""
    episode_count: Int64Array


FindingChart = RowChart | RangeChart | LagChart


def rows_around(episode_index: int, name: str, values: Float64Array, row: int, rows: Iterable[int]) -> RowChart:
    """Return the values of a dimension in the rows around one row.

    Args:
        episode_index: The episode.
        name: The dimension.
        values: Its values in all rows of the episode.
        row: The row in question, within the episode.
        rows: All rows of the episode that the finding is about; those that are shown are marked.
    """
    start, stop = max(row - _BEFORE, 0), min(row + _BEFORE + 1, len(values))
    # a copy does not keep the whole episode
    trace = Trace(name, values[start:stop].copy())
    return RowChart(episode_index, start, (trace,), tuple(each for each in rows if start <= each < stop))


def range_chart(
    minimum: Float64Array, maximum: Float64Array, resting: Float64Array, episode_index: int | None = None
) -> RangeChart | None:
    """Return the ranges of the dimensions with finite ones, or None if there is none. Resting dimensions precede others where there
    are too many.
    """
    finite = np.flatnonzero(np.isfinite(minimum) & np.isfinite(maximum))
    if not len(finite):
        return None
    is_resting = np.isfinite(resting[finite])
    by_interest = np.concatenate([finite[is_resting][: MOST_DIMENSIONS * 3 // 4], finite[~is_resting]])
    shown = np.sort(by_interest[:MOST_DIMENSIONS])
    return RangeChart(shown, minimum[shown], maximum[shown], resting[shown], len(resting), episode_index)
