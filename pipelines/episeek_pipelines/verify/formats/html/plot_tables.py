"""Make the table below a plot, which is also its legend."""

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
    """A cell of a table: a text, and a detail in small type."""

    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """The key of a series: its colour and shape, and its camera."""

    swatch: Markup
    camera_key: str


@dataclass(frozen=True, slots=True)
class Row:
    """The values of one series; the key is None in a plot of a single series."""

    cells: tuple[Cell, ...]
    key: SeriesKey | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A head and rows."""

    heads: tuple[Cell, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing and its table. Without them, the sentence `about` says why there is no plot."""

    about: str
    title: str = ""
    drawing: Markup | None = None
    absent: str = ""
    """The sentence in place of a drawing that is None."""
    table: Table | None = None


_NO_VALUE: Final = Cell("–")


def table_of(heads: Sequence[str], rows: Sequence[Row], *, unit: str = "") -> Table:
    """Return a table whose last three columns have a unit."""
    units = [""] * (len(heads) - 3) + [unit] * 3
    return Table(tuple(Cell(head, detail) for head, detail in zip(heads, units, strict=True)), tuple(rows))


def series_key(series: int, camera: CameraFigures, kind: str) -> SeriesKey:
    """Return the key of a series; `kind` is that of `swatch`."""
    return SeriesKey(swatch(series=series, kind=kind), camera.camera_key)


def value_row(
    key: SeriesKey | None, index: Int64Array, values: Float64Array, show: Callable[[float], str], *, missing: int = 0
) -> Row:
    """Return a row with the count, minimum, median and maximum of values; minimum and maximum with their first episode."""
    count = Cell(number(values.size), f"{number(missing)} unknown" if missing else "")
    if not values.size:
        return Row((count, _NO_VALUE, _NO_VALUE, _NO_VALUE), key)
    least, most = (
        Cell(show(float(values[at])), f"episode {int(index[at])}")
        for at in (int(values.argmin()), int(values.argmax()))
    )
    return Row((count, least, Cell(show(float(np.median(values)))), most), key)


def interval_row(key: SeriesKey, intervals: Int64Array, counts: Int64Array) -> Row:
    """Return a row with the count, minimum, median and maximum of distinct ascending values, given how often each occurs."""
    if not intervals.size:
        return Row((Cell("0"), _NO_VALUE, _NO_VALUE, _NO_VALUE), key)
    reached = np.cumsum(counts)
    median = intervals[np.searchsorted(reached, (reached[-1] + 1) // 2)]
    frames = (Cell(counted(int(value), "frame")) for value in (intervals[0], median, intervals[-1]))
    return Row((Cell(number(int(reached[-1]))), *frames), key)
