"""What the page draws of a dataset's figures: episode lengths, keyframe intervals, bytes and drift.

Long data is binned, so a plot of a million episodes is no larger than one of some hundreds. Each plot comes with a table of what
it shows, which is its legend, too.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from episeek_pipelines.verify.arrays import Float64Array, Int64Array
from episeek_pipelines.verify.figures import CameraFigures, Figures
from episeek_pipelines.verify.formats.html_text import (
    breakable,
    byte_size,
    byte_unit,
    escaped,
    number,
    plural,
    significant,
)
from episeek_pipelines.verify.formats.svg_chart import (
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
    tick_label,
    ticks_that_fit,
    x_of,
)
from episeek_pipelines.verify.rules import Level, includes

SERIES: Final = 6
"""Cameras in one plot: as many colours and shapes as can be told apart."""
MOST_CAMERAS: Final = 24
MOST_POINTS: Final = 120
"""Episodes of a camera that are drawn one by one."""
_BINS: Final = 110
_LENGTH_BARS: Final = 40
_INTERVAL_BARS: Final = 24
_NAMED_INTERVALS: Final = 8
_LEAST_DRIFT_FRAMES: Final = 0.01
_NO_VALUE: Final = "–"
_EXTREME: Final = 10**12
"""Numbers beyond are taken for this one: a damaged dataset may say anything."""


def plots(figures: Figures, level: Level) -> str:
    """The figures as HTML; for what is not there, a sentence that says why."""
    parts = []
    if figures.episode_length.size:
        parts.append(_episode_lengths(figures))
    else:
        parts.append('<p class="absent">No lengths of episodes are known.</p>')
    cameras = figures.cameras[:MOST_CAMERAS]
    if not cameras:
        seen = (
            "No video header was read."
            if includes(level, "layout")
            else "Videos are looked at from the level layout on."
        )
        parts.append(f'<p class="absent">{seen}</p>')
    for draw in (_keyframe_intervals, _episode_bytes, _drift):
        for first in range(0, len(cameras), SERIES):
            parts.append(draw(cameras[first : first + SERIES], figures))
    if len(figures.cameras) > len(cameras):
        parts.append(f'<p class="absent">The first {len(cameras)} of {len(figures.cameras)} cameras are drawn.</p>')
    return "".join(parts)


def _rate(figures: Figures) -> float:
    """Frames a second; 0 when that is no rate."""
    return figures.fps if 1e-3 <= figures.fps <= 1e6 else 0.0


# --- episode lengths -------------------------------------------------------------------------------------------------


def _episode_lengths(figures: Figures) -> str:
    lengths = figures.episode_length
    edges, counts = _histogram(np.clip(lengths, -_EXTREME, _EXTREME), np.ones_like(lengths), _LENGTH_BARS)
    x = _frames_axis(edges, "frames")
    y = round_axis(0, max(counts), "episodes", most=5, whole=True, extend=True)
    bars = _bars([counts], edges, x, y, "episode")
    fps = _rate(figures)
    seconds = None
    if fps:
        low, high = x.low / fps, x.high / fps
        seconds = round_axis(low, high, f"seconds, at {significant(fps)} frames a second")
        seconds = Axis(low, high, tuple(t for t in seconds.ticks if t[0] >= 0 or edges[0] < 0), seconds.title)

    def show(value: float) -> str:
        frames = plural(int(value), "frame") if value == int(value) else f"{value:,.1f} frames"
        return f"{frames}, {significant(value / fps)} s" if fps else frames

    table = _table(
        "lengths of episodes",
        [_row(None, figures.episode_index, lengths.astype(np.float64), show)],
        ("Episodes", "Shortest", "Median", "Longest"),
    )
    chart = Chart(f"Histogram of the lengths of {plural(lengths.size, 'episode')}", x, y, bars, seconds)
    return _figure("Episode lengths", "Frames of each episode, as the metadata declares them.", chart.svg(), table)


# --- keyframe intervals ----------------------------------------------------------------------------------------------


def _keyframe_intervals(cameras: Sequence[CameraFigures], _: Figures) -> str:
    title, about = (
        "Keyframe intervals",
        "Frames from one keyframe to the next: a random frame costs up to as many decoded.",
    )
    used = [camera.interval_count > 0 for camera in cameras]
    intervals = [
        np.clip(camera.interval_frames[mask], -_EXTREME, _EXTREME) for camera, mask in zip(cameras, used, strict=True)
    ]
    counts = [camera.interval_count[mask] for camera, mask in zip(cameras, used, strict=True)]
    table = _table(
        "keyframe intervals",
        [_interval_row(_legend(i, camera, "bar"), intervals[i], counts[i]) for i, camera in enumerate(cameras)],
        ("Camera", "Intervals", "Shortest", "Median", "Longest"),
    )
    known = np.unique(np.concatenate(intervals))
    if not known.size:
        return _figure(title, about, _nothing("No video has two keyframes that are known."), table)
    if known.size <= _NAMED_INTERVALS:
        edges, groups = known.tolist(), [_by_value(known, i, c) for i, c in zip(intervals, counts, strict=True)]
        ticks = tuple((position + 0.5, tick_label(value)) for position, value in enumerate(edges))
        x, named = Axis(0, len(edges), ticks, "frames between keyframes"), True
        edges = [*edges, edges[-1] + 1]
    else:
        span = np.asarray([known[0], known[-1]])
        edges = _histogram(span, np.ones_like(span), _INTERVAL_BARS)[0]
        groups = [_count_between(edges, i, c) for i, c in zip(intervals, counts, strict=True)]
        x, named = _frames_axis(edges, "frames between keyframes"), False
    y = round_axis(0, max(max(group) for group in groups), "intervals", most=5, whole=True, extend=True)
    bars = _bars(groups, edges, x, y, "interval", named=named)
    return _figure(title, about, Chart("Bar chart of keyframe intervals by camera", x, y, bars).svg(), table)


def _by_value(known: Int64Array, values: Int64Array, counts: Int64Array) -> list[int]:
    of = dict(zip(values.tolist(), counts.tolist(), strict=True))
    return [of.get(value, 0) for value in known.tolist()]


def _count_between(edges: Sequence[int], values: Int64Array, counts: Int64Array) -> list[int]:
    at = np.searchsorted(np.asarray(edges), values, side="right") - 1
    total = np.zeros(len(edges) - 1, np.int64)
    np.add.at(total, at, counts)
    return total.tolist()


# --- over episodes ---------------------------------------------------------------------------------------------------


def _episode_bytes(cameras: Sequence[CameraFigures], _: Figures) -> str:
    series = [(camera.episode_index, camera.byte_count.astype(np.float64)) for camera in cameras]
    most = max((float(values.max()) for _, values in series if values.size), default=0.0)
    unit, size = byte_unit(most)
    return _over_episodes(
        "Bytes per episode",
        "Encoded bytes of each episode's frames: what reading a whole episode of a camera fetches.",
        [(index, values / size) for index, values in series],
        cameras,
        lambda low, high: round_axis(min(low, 0), high if high > 0 else 1, unit, most=5, extend=True),
        lambda value: byte_size(value * size),
    )


def _drift(cameras: Sequence[CameraFigures], figures: Figures) -> str:
    fps = _rate(figures)
    factor, unit, least = (fps, "frames", _LEAST_DRIFT_FRAMES) if fps else (1.0, "seconds", 1e-3)

    def drift_axis(low: float, high: float) -> Axis:
        low, high = min(low, 0.0), max(high, 0.0)
        if high - low < 2 * least:
            low, high = min(low, -least), max(high, least)
        return round_axis(low, high, unit, extend=True)

    return _over_episodes(
        "Timestamp drift",
        "from_timestamp minus the time of the episode's first frame. Beyond half a frame, a reader that looks frames up by "
        "seconds finds another one, or refuses.",
        [(camera.episode_index, _known_drift(camera) * factor) for camera in cameras],
        cameras,
        drift_axis,
        significant,
        unit=unit,
    )


def _known_drift(camera: CameraFigures) -> Float64Array:
    drift = camera.drift_seconds
    return np.where(np.isfinite(drift), np.clip(drift, -_EXTREME, _EXTREME), np.nan)


def _over_episodes(
    title: str,
    about: str,
    series: Sequence[tuple[Int64Array, Float64Array]],
    cameras: Sequence[CameraFigures],
    y_axis: Callable[[float, float], Axis],
    show: Callable[[float], str],
    *,
    unit: str = "",
) -> str:
    """One value of each episode and camera; where there are many, the least, most and median of neighbours."""
    known = [
        (np.clip(index[np.isfinite(values)], -_EXTREME, _EXTREME), values[np.isfinite(values)])
        for index, values in series
    ]
    is_binned = max(index.size for index, _ in known) > MOST_POINTS
    kind = "line" if is_binned else "points"
    table = _table(
        title.lower(),
        [
            _row(_legend(i, camera, kind), *known[i], show, missing=series[i][0].size - known[i][0].size)
            for i, camera in enumerate(cameras)
        ],
        (
            "Camera",
            "Episodes",
            *(f"{name} <small>{unit}</small>" if unit else name for name in ("Least", "Median", "Most")),
        ),
    )
    present = [(index, values) for index, values in known if index.size]
    if not present:
        return _figure(title, about, _nothing("It is known of no episode."), table)
    first, last = (int(end) for end in (min(i.min() for i, _ in present), max(i.max() for i, _ in present)))
    y = y_axis(float(min(v.min() for _, v in present)), float(max(v.max() for _, v in present)))
    pad = max((last - first) * 0.015, 0.5)
    x = round_axis(first - pad, last + pad, "episode", most=ticks_that_fit(last), whole=True)
    marks: list[str] = []
    for number_, (index, values) in enumerate(known):
        if not index.size:
            continue
        if not is_binned:
            marks.append(points(x, y, list(zip(index.tolist(), values.tolist(), strict=True)), series=number_))
            continue
        middles, least, median, most = _binned(index, values, first, last)
        width = (RIGHT - LEFT) / _BINS * (last - first) / (x.high - x.low)
        spans = list(zip(middles, least, most, strict=True))
        marks.insert(number_, band(x, y, spans, width=width, series=number_))
        marks.append(line(x, y, list(zip(middles, median, strict=True)), series=number_))
    if is_binned:
        about += f" Line: median of about {math.ceil((last - first + 1) / _BINS):,} neighbouring episodes; band: least to most."
    label = f"{title} by episode and camera, {'binned' if is_binned else 'one mark for each'}"
    return _figure(title, about, Chart(label, x, y, tuple(marks)).svg(), table)


def _binned(
    index: Int64Array, values: Float64Array, first: int, last: int
) -> tuple[list[float], list[float], list[float], list[float]]:
    """Middle, least, median and most of the bins that hold an episode; `index` rises."""
    position = (index.astype(np.float64) - first) * (_BINS / (float(last) - first + 1))
    bins, starts = np.unique(position.astype(np.int64), return_index=True)
    medians = [float(np.median(values[a:b])) for a, b in pairwise([*starts.tolist(), values.size])]
    middles = first + (bins + 0.5) * ((float(last) - first + 1) / _BINS) - 0.5
    return (
        middles.tolist(),
        np.minimum.reduceat(values, starts).tolist(),
        medians,
        np.maximum.reduceat(values, starts).tolist(),
    )


# --- bars ------------------------------------------------------------------------------------------------------------


def _histogram(values: Int64Array, counts: Int64Array, most_bars: int) -> tuple[list[int], list[int]]:
    """Edges of bins of equal, round width, [edge, next edge), and how many values lie in each."""
    low, high = int(values.min()), int(values.max())
    width = _round_width((high - low + 1) / most_bars)
    start = low // width
    total = np.bincount(((values // width) - start).astype(np.int64), weights=counts).astype(np.int64)
    return [(start + i) * width for i in range(len(total) + 1)], total.tolist()


def _round_width(least: float) -> int:
    scale = 1
    while True:
        for factor in (1, 2, 5):
            if factor * scale >= least:
                return factor * scale
        scale *= 10


def _frames_axis(edges: Sequence[int], title: str) -> Axis:
    """Bars stand around the whole numbers they count; a few of them get room at their sides."""
    width = edges[1] - edges[0]
    room = max(0, 9 - len(edges)) * width // 2
    low = edges[0] - room
    if edges[0] >= 0:
        low = max(low, 0)
    high = edges[-1] + room
    axis = round_axis(low, high - 1 if high - low > 1 else high, title, most=ticks_that_fit(high), whole=True)
    return Axis(low - 0.5, high - 0.5, tuple(t for t in axis.ticks if low - 0.5 <= t[0] <= high - 0.5), title)


def _bars(
    groups: Sequence[Sequence[int]], edges: Sequence[int], x: Axis, y: Axis, noun: str, *, named: bool = False
) -> tuple[str, ...]:
    """Bars of each series side by side; `named`: all have the same room, whatever their edges."""
    drawn = []
    for position, (start, end) in enumerate(pairwise(edges)):
        if named:
            left, right = x_of(x, position), x_of(x, position + 1)
            middle, half = (left + right) / 2, min((right - left) * 0.36, 60.0)
            left, right = middle - half, middle + half
            frames = plural(start, "frame")
        else:
            left, right = x_of(x, start - 0.5), x_of(x, end - 0.5)
            frames = plural(start, "frame") if end - start == 1 else f"{number(start)} to {number(end - 1)} frames"
        step = (right - left) / len(groups)
        for series, counts in enumerate(groups):
            if counts[position]:
                hint = f"{frames}: {plural(counts[position], noun)}"
                drawn.append(
                    bar(y, left + series * step, left + (series + 1) * step, counts[position], hint, series=series)
                )
    return tuple(drawn)


# --- tables and frames -----------------------------------------------------------------------------------------------


def _legend(series: int, camera: CameraFigures, kind: str) -> str:
    return f'<div class="key">{swatch(series=series, kind=kind)} <span>{breakable(camera.camera_key)}</span></div>'


def _row(
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


def _interval_row(legend: str, intervals: Int64Array, counts: Int64Array) -> list[str]:
    """As `_row`, of distinct, rising values and how often each occurs."""
    if not intervals.size:
        return [legend, "0", _NO_VALUE, _NO_VALUE, _NO_VALUE]
    reached = np.cumsum(counts)
    median = intervals[np.searchsorted(reached, (reached[-1] + 1) // 2)]
    return [legend, number(int(reached[-1])), *(plural(int(v), "frame") for v in (intervals[0], median, intervals[-1]))]


def _table(caption: str, rows: Sequence[Sequence[str]], heads: Sequence[str]) -> str:
    head = "".join(f'<th scope="col"{" class=camera" if text == "Camera" else ""}>{text}</th>' for text in heads)
    first = "th" if heads[0] == "Camera" else "td"
    body = "".join(
        f"<tr><{first}{' scope=row' if first == 'th' else ''}>{row[0]}</{first}>"
        + "".join(f"<td>{cell}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f'<table class="legend" aria-label="{escaped(caption)}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _nothing(text: str) -> str:
    return f'<p class="absent">{text}</p>'


def _figure(title: str, about: str, drawing: str, table: str) -> str:
    return f"<figure><figcaption><h3>{escaped(title)}</h3><p>{escaped(about)}</p></figcaption>{drawing}{table}</figure>"
