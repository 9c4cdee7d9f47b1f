"""Charts as inline SVG: axes with round ticks, bars, points and bands. The page's style sheet sets colours and fonts.

A chart is drawn in units of its view box, each of which is about one pixel. Callers bin many values, which limits the size of a
chart.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from episeek_pipelines.verify.formats.html.text import escaped

WIDTH: Final = 520
LEFT: Final = 62
RIGHT: Final = 496
TOP: Final = 30
BOTTOM: Final = 200
_AXIS_HEIGHT: Final = 46
_WIDEST_CHARACTER: Final = 10.0
"""The width of a character in view box units, in the larger font of narrow windows."""

_MARKERS: Final = (
    "m-3.2 0a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0-6.4 0",
    "m-3-3h6v6h-6z",
    "m0-4l3.8 6.8h-7.6z",
    "m0-4.2l4.2 4.2l-4.2 4.2l-4.2-4.2z",
    "m-3.2-3.2l6.4 6.4m0-6.4l-6.4 6.4",
    "m-4 0h8m-4-4v8",
)
"""SVG paths of the markers: circle, square, triangle, diamond, cross and plus."""


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis: a range of values, its ticks as pairs of value and label, and its title."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    title: str

    def fraction(self, value: float) -> float:
        """Return the position of a value on the axis, from 0 at `low` to 1 at `high`. A value beyond an end is moved to the end."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)


def round_axis(
    low: float, high: float, title: str, *, most: int = 6, whole: bool = False, extend: bool = False
) -> Axis:
    """Return an axis with ticks at multiples of 1, 2 or 5 times a power of ten.

    Args:
        low: The smallest value, finite.
        high: The largest value, finite.
        title: The quantity and its unit.
        most: The largest number of intervals between ticks.
        whole: Whether ticks are whole numbers.
        extend: Whether the axis extends to the next tick at both ends.
    """
    if not high > low:
        pad = abs(low) * 1e-3 if abs(low) > 1e6 else 0.5
        low, high = low - pad, high + pad
    step, decimals = _round_step((high - low) / most, whole)
    first, last = (
        (math.floor(low / step), math.ceil(high / step)) if extend else (math.ceil(low / step), math.floor(high / step))
    )
    values = [multiple * step for multiple in range(first, min(last, first + 2 * most + 2) + 1)]
    if extend:
        low, high = first * step, last * step
    return Axis(low, high, tuple((value, tick_label(value, decimals)) for value in values), title)


def _round_step(least: float, whole: bool) -> tuple[float, int]:
    """Return the smallest round step that is not less than `least`, and the number of decimals that its multiples need."""
    if whole and least <= 1:
        return 1.0, 0
    exponent = math.floor(math.log10(least))
    for factor in (1, 2, 5, 10):
        step = factor * 10.0**exponent
        if step >= least * (1 - 1e-9):
            break
    if factor == 10:
        exponent += 1
    return step, max(0, -exponent)


def tick_label(value: float, decimals: int = 0) -> str:
    """Return the short label of a tick, with a letter for thousands, millions and larger units, such as "1.5M"."""
    size = abs(value)
    if size >= 1e15:
        return f"{value:.0e}"
    for letter, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if size >= factor:
            return f"{value / factor:.4g}{letter}"
    if size >= 1e5:
        return f"{value / 1e3:.4g}k"
    text = f"{value:,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")  # noqa: RUF001 - a minus sign, not a hyphen


def ticks_that_fit(largest: float, decimals: int = 0) -> int:
    """Return how many labels as long as the label of `largest` fit on a horizontal axis."""
    return max(2, min(8, int((RIGHT - LEFT) / ((len(tick_label(largest, decimals)) + 2) * _WIDEST_CHARACTER))))


@dataclass(frozen=True, slots=True)
class Chart:
    """The axes and marks of one chart. `marks` are SVG elements in view box units, drawn in order."""

    label: str
    """Description of the chart for readers who do not see it."""
    x: Axis
    y: Axis
    marks: tuple[str, ...]
    second_x: Axis | None = None
    """A second horizontal axis below the first: the same range in another unit."""

    def svg(self) -> Markup:
        """Return the chart as an SVG element."""
        height = BOTTOM + _AXIS_HEIGHT * (2 if self.second_x else 1) - 2
        parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escaped(self.label)}">']
        for value, text in self.y.ticks:
            at = coordinate(y_of(self.y, value))
            line_class = "zero" if value == 0 else "grid"
            parts.append(f'<path class="{line_class}" d="M{LEFT} {at}H{RIGHT}"/>')
            parts.append(f'<text class="y" x="{LEFT - 8}" y="{at}" dy=".35em">{text}</text>')
        parts.append(f'<text class="title" x="0" y="14">{escaped(self.y.title)}</text>')
        parts += self.marks
        parts += _horizontal_axis(self.x, BOTTOM)
        if self.second_x:
            parts += _horizontal_axis(self.second_x, BOTTOM + _AXIS_HEIGHT)
        # All texts in the joined parts have been escaped.
        return Markup("".join([*parts, "</svg>"]))


def _horizontal_axis(axis: Axis, top: int) -> list[str]:
    marks = "".join(f"M{coordinate(x_of(axis, value))} {top}v5" for value, _ in axis.ticks)
    parts = [f'<path class="axis" d="M{LEFT} {top}H{RIGHT}{marks}"/>']
    for value, text in axis.ticks:
        at = x_of(axis, value)
        # A label that would not fit is left out.
        if at + len(text) * _WIDEST_CHARACTER / 2 < WIDTH:
            parts.append(f'<text class="x" x="{coordinate(at)}" y="{top + 18}">{text}</text>')
    parts.append(f'<text class="x title" x="{(LEFT + RIGHT) // 2}" y="{top + 36}">{escaped(axis.title)}</text>')
    return parts


def x_of(axis: Axis, value: float) -> float:
    """Return the horizontal position of a value in view box units."""
    return LEFT + axis.fraction(value) * (RIGHT - LEFT)


def y_of(axis: Axis, value: float) -> float:
    """Return the vertical position of a value in view box units, which count from the top."""
    return BOTTOM - axis.fraction(value) * (BOTTOM - TOP)


def coordinate(value: float) -> str:
    """Return a coordinate as text, rounded to a tenth of a unit. A tenth of a unit is too small to be visible."""
    return f"{value:.1f}".removesuffix(".0")


def bar(axis: Axis, left: float, right: float, value: float, hint: str, *, series: int) -> str:
    """Return a bar from 0 to `value`. Even a small value has a visible bar.

    Args:
        axis: The vertical axis.
        left: The left end of the bar, in view box units.
        right: The right end of the bar, in view box units.
        value: The value.
        hint: The text that is shown when the pointer is on the bar.
        series: The number of the series, which decides the colour.
    """
    height = max(BOTTOM - y_of(axis, value), 2.0) if value > 0 else 0.0
    gap = min(1.0, (right - left) / 5)
    x, width = coordinate(left + gap / 2), coordinate(max(right - left - gap, 0.5))
    top = coordinate(BOTTOM - height)
    place = f'x="{x}" y="{top}" width="{width}" height="{coordinate(height)}"'
    return f'<rect class="s{series}" {place}><title>{escaped(hint)}</title></rect>'


def points(x: Axis, y: Axis, places: Sequence[tuple[float, float]], *, series: int) -> str:
    """Return an SVG path that draws the marker of a series at each place, which is an (x, y) pair of values."""
    marker = _MARKERS[series % len(_MARKERS)]
    drawn = "".join(f"M{coordinate(x_of(x, a))} {coordinate(y_of(y, b))}{marker}" for a, b in places)
    return f'<path class="s{series} points" d="{drawn}"/>' if drawn else ""


def band(x: Axis, y: Axis, spans: Sequence[tuple[float, float, float]], *, width: float, series: int) -> str:
    """Return an SVG path with a vertical bar for each span (x, minimum, maximum). Bars are `width` view box units wide."""
    drawn = []
    for at, least, most in spans:
        bottom, top = y_of(y, least), y_of(y, most)
        # Browsers do not draw a line without length.
        if bottom - top < 1:
            bottom, top = (bottom + top) / 2 + 0.5, (bottom + top) / 2 - 0.5
        drawn.append(f"M{coordinate(x_of(x, at))} {coordinate(bottom)}V{coordinate(top)}")
    return f'<path class="s{series} band" stroke-width="{coordinate(width)}" d="{"".join(drawn)}"/>' if drawn else ""


def line(x: Axis, y: Axis, places: Sequence[tuple[float, float]], *, series: int) -> str:
    """Return an SVG path that draws a line through all places, (x, y) pairs of values, with the dash pattern of the series."""
    drawn = "L".join(f"{coordinate(x_of(x, a))} {coordinate(y_of(y, b))}" for a, b in places)
    return f'<path class="s{series} line" d="M{drawn}"/>' if drawn else ""


def swatch(*, series: int, kind: str) -> Markup:
    """Return a small SVG picture of the mark of a series, for a legend.

    Args:
        series: The number of the series.
        kind: "bar", "points", "line" (within a band), "trace" (a line by itself) or "range" (a bar from minimum to maximum).
    """
    if kind == "bar":
        mark = f'<rect class="s{series}" x="4" y="2" width="16" height="10"/>'
    elif kind == "points":
        mark = f'<path class="s{series} points" d="M12 7{_MARKERS[series % len(_MARKERS)]}"/>'
    elif kind == "trace":
        mark = f'<path class="s{series} line" d="M0 7H24"/>'
    elif kind == "range":
        mark = f'<path class="s{series} band" stroke-width="14" d="M12 0V14"/>'
    else:
        mark = f'<path class="s{series} band" stroke-width="14" d="M5 7H19"/><path class="s{series} line" d="M0 7H24"/>'
    return Markup(f'<svg class="swatch" viewBox="0 0 24 14" width="24" height="14" aria-hidden="true">{mark}</svg>')
