"""The table under a plot, which is its legend, too, and the frame around both."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from episeek_pipelines.verify.findings.arrays import Float64Array, Int64Array
from episeek_pipelines.verify.findings.figures import CameraFigures
from episeek_pipelines.verify.formats.html.svg_chart import swatch
from episeek_pipelines.verify.formats.html.text import breakable, escaped, number, plural

_NO_VALUE: Final = "–"


def series_key(series: int, camera: CameraFigures, kind: str) -> str:
    """The key of a series: its colour and shape, and its camera."""
    return f'<div class="key">{swatch(series=series, kind=kind)} <span>{breakable(camera.camera_key)}</span></div>'


def value_row(
    legend: str | None, index: Int64Array, values: Float64Array, show: Callable[[float], str], *, missing: int = 0
) -> list[str]:
    """Cells: legend, count, least, median and most; the ends with the first episode that they are of."""
    cells = [] if legend is None else [legend]
    cells.append(f"{number(values.size)} <small>{number(missing)} unknown</small>" if missing else number(values.size))
    if not values.size:
        return [*cells, _NO_VALUE, _NO_VALUE, _NO_VALUE]
    least, most = (
        f"{escaped(show(float(values[at])))} <small>episode {int(index[at])}</small>"
        for at in (int(values.argmin()), int(values.argmax()))
    )
    return [*cells, least, escaped(show(float(np.median(values)))), most]


def interval_row(legend: str, intervals: Int64Array, counts: Int64Array) -> list[str]:
    """As `value_row`, of distinct, rising values and how often each occurs."""
    if not intervals.size:
        return [legend, "0", _NO_VALUE, _NO_VALUE, _NO_VALUE]
    reached = np.cumsum(counts)
    median = intervals[np.searchsorted(reached, (reached[-1] + 1) // 2)]
    return [legend, number(int(reached[-1])), *(plural(int(v), "frame") for v in (intervals[0], median, intervals[-1]))]


def plot_table(caption: str, rows: Sequence[Sequence[str]], heads: Sequence[str]) -> str:
    """Rows of cells as a table; the cells are HTML."""
    head = "".join(f'<th scope="col"{" class=camera" if text == "Camera" else ""}>{text}</th>' for text in heads)
    first = "th" if heads[0] == "Camera" else "td"
    body = "".join(
        f"<tr><{first}{' scope=row' if first == 'th' else ''}>{row[0]}</{first}>"
        + "".join(f"<td>{cell}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f'<table class="legend" aria-label="{escaped(caption)}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def absent(text: str) -> str:
    """A sentence instead of a drawing."""
    return f'<p class="absent">{text}</p>'


def plot_figure(title: str, about: str, drawing: str, table: str) -> str:
    """A drawing and its table under a title."""
    return f"<figure><figcaption><h3>{escaped(title)}</h3><p>{escaped(about)}</p></figcaption>{drawing}{table}</figure>"
