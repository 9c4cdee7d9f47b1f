"""Make the charts of findings about motion: from rows of one episode, from lags, and from the ranges of all rows."""

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
"""Number of rows in which an action and a state are drawn: a lag of one row has to be seen."""


def dimension_title(name: str, dimension: int, features: Mapping[str, Any]) -> str:
    """Return the name of a dimension of a feature, for a chart."""
    return f"{name}, dimension {dimension_text(dimension, declared_shape(features[name]) or (1,), features[name])}"


def spike_chart(episode: int, title: str, values: Float64Array, is_spike: BoolArray, row: int) -> RowChart:
    """Return the values of a dimension around its spike in one row; arrays have shape [rows]."""
    return rows_around(episode, title, values, row, np.flatnonzero(is_spike).tolist())


def resting_chart(episode: int, values: Float64Array) -> RangeChart | None:
    """Return the values at which a feature rests in an episode, shape [dimensions]; `with_ranges` adds those of all rows."""
    return range_chart(values, values, values, episode)


def with_ranges(findings: Iterable[Finding], ranges: FeatureRanges) -> Iterator[Finding]:
    """Yield the findings; features that rest in an episode are shown beside their ranges in all rows."""
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
    """Return action and state of the dimension that moves most, in the rows in which it does.

    Args:
        episode: The episode.
        action: The dimensions of the action that the state has, too; shape [rows, dimensions].
        state: The same dimensions of the state.
        titles: Names of these dimensions, of the action and of the state.
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
    """Return the number of episodes with each lag; `rows` are those of `Lags`, of shape [episodes]."""
    lags, counts = np.unique(-rows, return_counts=True)
    return LagChart(lags, counts)
