"""Functions that make the charts in findings about motion: charts of spikes, of features at rest, and of lags."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from episeek_pipelines.verify.data.feature_ranges import dimension_text
from episeek_pipelines.verify.findings.arrays import BoolArray, Float64Array, Int64Array
from episeek_pipelines.verify.findings.charts import (
    LagChart,
    RangeChart,
    RowChart,
    Trace,
    range_chart,
    rows_around,
)
from episeek_pipelines.verify.findings.findings import Finding
from episeek_pipelines.verify.findings.ranges import FeatureRanges
from episeek_pipelines.verify.rules import STILL
from episeek_schemas.features import declared_shape

_ROWS: Final = 40
"""Number of rows in a chart of action and state. It is small, so that a lag of one row can be seen."""


def dimension_title(name: str, dimension: int, features: Mapping[str, Any]) -> str:
    """Return the title of a dimension of a feature in a chart, such as `action, dimension 3 (gripper)`."""
    return f"{name}, dimension {dimension_text(dimension, declared_shape(features[name]) or (1,), features[name])}"


def spike_chart(episode: int, title: str, values: Float64Array, is_spike: BoolArray, row: int) -> RowChart:
    """Return a chart of the values of one dimension around its spike in row `row`; arrays have shape [rows]."""
    return rows_around(episode, title, values, row, np.flatnonzero(is_spike).tolist())


def resting_chart(episode: int, values: Float64Array) -> RangeChart | None:
    """Return a chart of the values, shape [dimensions], at which a feature rests in an episode; None if no value is finite.

    `with_ranges` adds the ranges of the dimensions in all rows.
    """
    return range_chart(values, values, values, episode)


def with_ranges(findings: Iterable[Finding], ranges: FeatureRanges) -> Iterator[Finding]:
    """Yield the findings. The charts of a feature at rest (ROW049) also get the smallest and largest value in the whole dataset."""
    for found in findings:
        ranged = ranges.of.get(found.location.column or "")
        if found.code != STILL.code or ranged is None:
            yield found
            continue
        charts = tuple(
            replace(chart, minimum=ranged.minimum[chart.dimension], maximum=ranged.maximum[chart.dimension])
            if isinstance(chart, RangeChart) and chart.dimension_count == len(ranged.minimum)
            else chart
            for chart in found.charts
        )
        yield replace(found, charts=charts)


def late_chart(
    episode: int, action: Float64Array, state: Float64Array, titles: tuple[list[str], list[str]]
) -> RowChart:
    """Return a chart of action and state in the dimension that moves most, for the rows in which it moves most.

    Args:
        episode: The episode.
        action: The dimensions of the action that the state has, too; shape [rows, dimensions].
        state: The same dimensions of the state.
        titles: The titles of the action's dimensions, and the titles of the state's dimensions.
    """
    dimension = int(np.argmax(state.std(axis=0)))
    starts = range(0, max(len(state) - _ROWS, 0) + 1, _ROWS // 2)
    start = max(starts, key=lambda first: float(state[first : first + _ROWS, dimension].std()))
    traces = tuple(
        Trace(names[dimension], values[start : start + _ROWS, dimension].copy())
        for names, values in zip(titles, (action, state), strict=True)
    )
    return RowChart(episode, start, traces)


def lag_chart(rows: Int64Array) -> LagChart:
    """Return a chart of the number of episodes with each lag, from `Lags.row_count` of all episodes."""
    lags, counts = np.unique(-rows, return_counts=True)
    return LagChart(lags, counts)
