"""Plots with bars: the lengths of episodes, and the intervals between keyframes."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from episeek_pipelines.verify.findings.arrays import Int64Array
from episeek_pipelines.verify.findings.figures import CameraFigures, Figures
from episeek_pipelines.verify.formats.html.plot_tables import Plot, interval_row, series_key, table_of, value_row
from episeek_pipelines.verify.formats.html.plot_values import clipped, frame_rate
from episeek_pipelines.verify.formats.html.svg_chart import (
    Axis,
    Chart,
    bar,
    round_axis,
    tick_label,
    ticks_that_fit,
    x_of,
)
from episeek_pipelines.verify.formats.html.text import number, significant
from episeek_pipelines.words import counted

_LENGTH_BARS: Final = 40

_INTERVAL_BARS: Final = 24

_MOST_SINGLE_INTERVALS: Final = 8
"""Up to this many different intervals, each interval has its own bar. More intervals are binned."""


def episode_lengths(figures: Figures) -> Plot:
    """Return a histogram of the lengths of the episodes."""
    lengths = figures.episode_length
    edges, counts = _histogram(clipped(lengths), np.ones_like(lengths), _LENGTH_BARS)
    x = _frames_axis(edges, "frames")
    y = round_axis(0, max(counts), "episodes", most=5, whole=True, extend=True)
    bars = _bars([counts], edges, x, y, "episode")
    fps = frame_rate(figures)
    seconds = None
    if fps:
        low, high = x.low / fps, x.high / fps
        seconds = round_axis(low, high, f"seconds, at {significant(fps)} frames a second")
        seconds = Axis(low, high, tuple(t for t in seconds.ticks if t[0] >= 0 or edges[0] < 0), seconds.title)

    def show(value: float) -> str:
        frames = counted(int(value), "frame") if value == int(value) else f"{value:,.1f} frames"
        return f"{frames}, {significant(value / fps)} s" if fps else frames

    row = value_row(None, figures.episode_index, lengths.astype(np.float64), show)
    table = table_of(("Episodes", "Shortest", "Median", "Longest"), [row])
    chart = Chart(f"Histogram of the lengths of {counted(lengths.size, 'episode')}", x, y, bars, seconds)
    about = "Number of frames of each episode, according to the metadata."
    return Plot(about, "Episode lengths", chart.svg(), table=table)


def keyframe_intervals(cameras: Sequence[CameraFigures], _: Figures) -> Plot:
    """Return a bar chart of the intervals between keyframes, by camera."""
    title, about = (
        "Keyframe intervals",
        "Frames from one keyframe to the next. Up to this many frames have to be decoded to read one frame.",
    )
    used = [camera.interval_count > 0 for camera in cameras]
    intervals = [clipped(camera.interval_frames[mask]) for camera, mask in zip(cameras, used, strict=True)]
    counts = [camera.interval_count[mask] for camera, mask in zip(cameras, used, strict=True)]
    table = table_of(
        ("Camera", "Intervals", "Shortest", "Median", "Longest"),
        [interval_row(series_key(i, camera, "bar"), intervals[i], counts[i]) for i, camera in enumerate(cameras)],
    )
    distinct = np.unique(np.concatenate(intervals))
    if not distinct.size:
        return Plot(about, title, absent="No video has a keyframe with a known position.", table=table)
    if distinct.size <= _MOST_SINGLE_INTERVALS:
        edges, groups = distinct.tolist(), [_by_value(distinct, i, c) for i, c in zip(intervals, counts, strict=True)]
        ticks = tuple((position + 0.5, tick_label(value)) for position, value in enumerate(edges))
        x, is_single = Axis(0, len(edges), ticks, "frames between keyframes"), True
        edges = [*edges, edges[-1] + 1]
    else:
        span = np.asarray([distinct[0], distinct[-1]])
        edges = _histogram(span, np.ones_like(span), _INTERVAL_BARS)[0]
        groups = [_count_between(edges, i, c) for i, c in zip(intervals, counts, strict=True)]
        x, is_single = _frames_axis(edges, "frames between keyframes"), False
    y = round_axis(0, max(max(group) for group in groups), "intervals", most=5, whole=True, extend=True)
    bars = _bars(groups, edges, x, y, "interval", is_single=is_single)
    return Plot(about, title, Chart("Bar chart of keyframe intervals by camera", x, y, bars).svg(), table=table)


def _by_value(distinct: Int64Array, values: Int64Array, counts: Int64Array) -> list[int]:
    count_of = dict(zip(values.tolist(), counts.tolist(), strict=True))
    return [count_of.get(value, 0) for value in distinct.tolist()]


def _count_between(edges: Sequence[int], values: Int64Array, counts: Int64Array) -> list[int]:
    at = np.searchsorted(np.asarray(edges), values, side="right") - 1
    total = np.zeros(len(edges) - 1, np.int64)
    np.add.at(total, at, counts)
    return total.tolist()


def _histogram(values: Int64Array, counts: Int64Array, most_bars: int) -> tuple[list[int], list[int]]:
    """Return the edges of bins of equal, round width, and the number of values in each bin `[edge, next edge)`.

    Args:
        values: The values, at least one.
        counts: How many times each of these values is counted.
        most_bars: The largest number of bins, approximately.
    """
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
    """Return a horizontal axis for bars that count frames.

    Bars are centred on whole numbers. If there are only a few bars, they do not fill the width of the axis.
    """
    width = edges[1] - edges[0]
    room = max(0, 9 - len(edges)) * width // 2
    low = edges[0] - room
    if edges[0] >= 0:
        low = max(low, 0)
    high = edges[-1] + room
    axis = round_axis(low, high - 1 if high - low > 1 else high, title, most=ticks_that_fit(high), whole=True)
    return Axis(low - 0.5, high - 0.5, tuple(t for t in axis.ticks if low - 0.5 <= t[0] <= high - 0.5), title)


def _bars(
    groups: Sequence[Sequence[int]], edges: Sequence[int], x: Axis, y: Axis, noun: str, *, is_single: bool = False
) -> tuple[str, ...]:
    """Return the bars of all series as SVG elements. The bars of a bin are side by side.

    Args:
        groups: The counts of each series, one for each bin.
        edges: The edges of the bins.
        x: The horizontal axis.
        y: The vertical axis.
        noun: The counted things, such as "episode".
        is_single: Whether each bar is for a single value. All bars then have the same width; otherwise a bar is as wide as its bin.
    """
    drawn = []
    for position, (start, end) in enumerate(pairwise(edges)):
        if is_single:
            left, right = x_of(x, position), x_of(x, position + 1)
            middle, half = (left + right) / 2, min((right - left) * 0.36, 60.0)
            left, right = middle - half, middle + half
            frames = counted(start, "frame")
        else:
            left, right = x_of(x, start - 0.5), x_of(x, end - 0.5)
            frames = counted(start, "frame") if end - start == 1 else f"{number(start)} to {number(end - 1)} frames"
        step = (right - left) / len(groups)
        for series, counts in enumerate(groups):
            if counts[position]:
                hint = f"{frames}: {counted(counts[position], noun)}"
                drawn.append(
                    bar(y, left + series * step, left + (series + 1) * step, counts[position], hint, series=series)
                )
    return tuple(drawn)
