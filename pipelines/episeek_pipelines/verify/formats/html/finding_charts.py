"""Draw the charts that illustrate findings: values around a spike, ranges of dimensions, and the lag of an action."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from episeek_pipelines.verify.findings.charts import FindingChart, LagChart, RangeChart, RowChart
from episeek_pipelines.verify.formats.html.svg_chart import (
    LEFT,
    RIGHT,
    Axis,
    Chart,
    band,
    bar,
    line,
    points,
    round_axis,
    swatch,
    ticks_that_fit,
    x_of,
)
from episeek_pipelines.verify.formats.html.text import number, significant
from episeek_pipelines.words import counted

_WIDEST_BAR = 24.0

_LEAST = 1e-290
"""Values closer to 0 than this are drawn as 0, since their axis would need a unit that a float cannot represent."""


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of a legend: the mark of a series, and its name."""

    swatch: Markup
    name: str


@dataclass(frozen=True, slots=True)
class DrawnChart:
    """The drawing of a chart, a sentence about it, and its legend."""

    about: str
    drawing: Markup
    keys: tuple[Key, ...]


def drawn(chart: FindingChart) -> DrawnChart:
    """Draw the chart of a finding."""
    if isinstance(chart, RowChart):
        return _rows(chart)
    return _ranges(chart) if isinstance(chart, RangeChart) else _lags(chart)


def _rows(chart: RowChart) -> DrawnChart:
    """Draw values over rows: a line for each dimension, and marks at the rows that the finding is about."""
    count = max(len(trace.values) for trace in chart.traces)
    first, last = chart.first_row, chart.first_row + count - 1
    y, scale = _value_axis([trace.values for trace in chart.traces])
    x = round_axis(first - 0.5, last + 0.5, "row of the episode (one per frame)", most=ticks_that_fit(last), whole=True)
    marks, keys = [], []
    for series, trace in enumerate(chart.traces):
        places = [(first + at, value / scale) for at, value in enumerate(trace.values.tolist())]
        marks.append(line(x, y, places, series=series))
        keys.append(Key(swatch(series=series, kind="trace"), trace.name))
    about = f"Rows {number(first)} to {number(last)} of episode {chart.episode_index}."
    label = f"{' and '.join(trace.name for trace in chart.traces)}, in rows {first} to {last} of episode {chart.episode_index}"
    if chart.marked:
        series = len(chart.traces)
        at = [(row, float(chart.traces[0].values[row - first])) for row in chart.marked]
        marks.append(points(x, y, [(row, value / scale) for row, value in at], series=series))
        keys.append(Key(swatch(series=series, kind="points"), "a value that jumps away for one row"))
        label += "; marked: " + ", ".join(f"{significant(value)} in row {row}" for row, value in at)
    return DrawnChart(about, Chart(label, x, y, tuple(marks)).svg(), tuple(keys))


def _ranges(chart: RangeChart) -> DrawnChart:
    """Draw a bar from the smallest to the largest value of each dimension, and a mark at the value of each resting dimension."""
    is_resting = np.isfinite(chart.resting)
    rests = chart.resting[is_resting]
    y, scale = _value_axis([chart.minimum, chart.maximum, rests])
    low, high = int(chart.dimension[0]), int(chart.dimension[-1])
    x = round_axis(low - 0.5, high + 0.5, "dimension", most=ticks_that_fit(high), whole=True)
    numbers = chart.dimension.tolist()
    spans = list(zip(numbers, (chart.minimum / scale).tolist(), (chart.maximum / scale).tolist(), strict=True))
    width = min((RIGHT - LEFT) / (high - low + 1) * 0.7, _WIDEST_BAR)
    places = list(zip(chart.dimension[is_resting].tolist(), (rests / scale).tolist(), strict=True))
    marks = (band(x, y, spans, width=width, series=0), points(x, y, places, series=1))
    where = "in all rows" if chart.episode_index is None else f"in all rows of episode {chart.episode_index}"
    keys = (
        Key(swatch(series=0, kind="range"), "smallest to largest value in all rows of the dataset"),
        Key(swatch(series=1, kind="points"), f"the same value {where}"),
    )
    about = "Range of each dimension."
    if len(numbers) < chart.dimension_count:
        about = f"Ranges of {number(len(numbers))} of {number(chart.dimension_count)} dimensions."
    label = f"Ranges of {counted(len(numbers), 'dimension')}, of which {number(int(is_resting.sum()))} rest {where}"
    return DrawnChart(about, Chart(label, x, y, marks).svg(), keys)


def _lags(chart: LagChart) -> DrawnChart:
    """Draw a bar chart of the number of episodes with each lag."""
    lags, counts = chart.row_count.tolist(), chart.episode_count.tolist()
    # The axis covers at least the lags -4 to 4, so that a few bars do not fill the width.
    low, high = min(*lags, -4), max(*lags, 4)
    title = "rows by which the action lags behind the state (one per frame)"
    x = round_axis(low - 0.5, high + 0.5, title, most=ticks_that_fit(-high), whole=True)
    y = round_axis(0, max(counts), "episodes", most=5, whole=True, extend=True)
    marks = []
    for rows, count in zip(lags, counts, strict=True):
        hint = f"{counted(rows, 'row')}: {counted(count, 'episode')}"
        marks.append(bar(y, x_of(x, rows - 0.4), x_of(x, rows + 0.4), count, hint, series=int(rows > 0)))
    names = ("other episodes", "episodes whose action lags behind the state")
    keys = [
        Key(swatch(series=series, kind="bar"), names[series])
        for series in sorted({int(rows > 0) for rows in lags}, reverse=True)
    ]
    late = sum(count for rows, count in zip(lags, counts, strict=True) if rows > 0)
    about = f"Lag of the action in {counted(sum(counts), 'episode')}."
    label = f"Bar chart of the lags of {counted(sum(counts), 'episode')}; in {number(late)} the action lags behind the state"
    return DrawnChart(about, Chart(label, x, y, tuple(marks)).svg(), tuple(keys))


def _value_axis(parts: Sequence[np.ndarray]) -> tuple[Axis, float]:
    """Return an axis for values, and the scale by which the values must be divided so that its labels are short."""
    values = np.concatenate(parts)
    low, high = float(values.min()), float(values.max())
    largest = max(abs(low), abs(high))
    scale = 1.0
    if largest < _LEAST:
        low = high = largest = 0.0
    elif not 0.01 <= largest < 1e5:
        scale = 10.0 ** (3 * math.floor(math.log10(largest) / 3))
    low, high, largest = low / scale, high / scale, largest / scale
    # The padding keeps neighbouring labels different.
    pad = max(0.01 * largest - (high - low), 0) / 2
    title = "value" if scale == 1 else f"value, in units of {scale:.0e}"
    return round_axis(low - pad, high + pad, title, most=5, extend=True), scale
