"""Make the table below a plot, which also is the legend of the plot."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from markupsafe import Markup

from episeek_pipelines.verify.findings.arrays import Float64Array, Int64Array
from episeek_pipelines.verify.findings.figures import CameraFigures
from episeek_pipelines.verify.formats.html.svg_chart import swatch
from episeek_pipelines.verify.formats.html.text import number
from episeek_pipelines.words import counted


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table: a text, and a detail that is shown in small type."""

    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """The legend entry of a series: a mark in its colour and shape, and its camera."""

    swatch: Markup
    camera_key: str


@dataclass(frozen=True, slots=True)
class Row:
    """The row of one series in a table. The key is None in a plot with a single series."""

    cells: tuple[Cell, ...]
    key: SeriesKey | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """The table of a plot: a head and one row per series."""

    heads: tuple[Cell, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing and its table. If both are None, the sentence `about` says why there is no plot."""

    about: str
    title: str = ""
    drawing: Markup | None = None
    absent: str = ""
    """The sentence that is shown if `drawing` is None."""
    table: Table | None = None


_NO_VALUE: Final = Cell("–")


def table_of(heads: Sequence[str], rows: Sequence[Row], *, unit: str = "") -> Table:
    """Return a table whose last three columns have the given unit."""
    units = [""] * (len(heads) - 3) + [unit] * 3
    return Table(tuple(Cell(head, detail) for head, detail in zip(heads, units, strict=True)), tuple(rows))


def series_key(series: int, camera: CameraFigures, kind: str) -> SeriesKey:
    """Return the legend entry of a series.

    Args:
        series: The number of the series.
        camera: The camera of the series.
        kind: The kind of its mark, as for `swatch`.
    """
    return SeriesKey(swatch(series=series, kind=kind), camera.camera_key)


def value_row(
    key: SeriesKey | None, index: Int64Array, values: Float64Array, show: Callable[[float], str], *, missing: int = 0
) -> Row:
    """Return a row of the table with the count, minimum, median and maximum of values.

    Below the minimum and the maximum, the row shows the first episode that has this value.

    Args:
        key: The legend entry of the series.
        index: The episode of each value.
        values: The values.
        show: Returns the text of a value.
        missing: The number of further episodes, whose values are unknown.
    """
    count = Cell(number(values.size), f"{number(missing)} unknown" if missing else "")
    if not values.size:
        return Row((count, _NO_VALUE, _NO_VALUE, _NO_VALUE), key)
    least, most = (
        Cell(show(float(values[at])), f"episode {int(index[at])}")
        for at in (int(values.argmin()), int(values.argmax()))
    )
    return Row((count, least, Cell(show(float(np.median(values)))), most), key)


def interval_row(key: SeriesKey, intervals: Int64Array, counts: Int64Array) -> Row:
    """Return a row with the count, minimum, median and maximum of keyframe intervals.

    Args:
        key: The legend entry of the series.
        intervals: The distinct intervals, ascending.
        counts: How often each interval occurs.
    """
    if not intervals.size:
        return Row((Cell("0"), _NO_VALUE, _NO_VALUE, _NO_VALUE), key)
    reached = np.cumsum(counts)
    median = intervals[np.searchsorted(reached, (reached[-1] + 1) // 2)]
    frames = (Cell(counted(int(value), "frame")) for value in (intervals[0], median, intervals[-1]))
    return Row((Cell(number(int(reached[-1]))), *frames), key)
