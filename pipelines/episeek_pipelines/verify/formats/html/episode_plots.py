"""Plots of one value per episode and camera: the encoded bytes, and the drift of timestamps."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from episeek_pipelines.verify.findings.arrays import Float64Array, Int64Array
from episeek_pipelines.verify.findings.figures import CameraFigures, Figures
from episeek_pipelines.verify.formats.html.plot_tables import Plot, series_key, table_of, value_row
from episeek_pipelines.verify.formats.html.plot_values import clipped, frame_rate
from episeek_pipelines.verify.formats.html.svg_chart import (
    LEFT,
    RIGHT,
    Axis,
    Chart,
    band,
    line,
    points,
    round_axis,
    ticks_that_fit,
)
from episeek_pipelines.verify.formats.html.text import byte_size, byte_unit, significant

MOST_POINTS: Final = 120
"""Up to this many episodes of a camera are drawn one by one. More episodes are binned."""

_BINS: Final = 110

_LEAST_DRIFT_FRAMES: Final = 0.01


def episode_bytes(cameras: Sequence[CameraFigures], _: Figures) -> Plot:
    """Return a plot of the encoded bytes of each episode, by camera."""
    series = [(camera.episode_index, camera.byte_count.astype(np.float64)) for camera in cameras]
    most = max((float(values.max()) for _, values in series if values.size), default=0.0)
    unit, size = byte_unit(most)
    return _over_episodes(
        "Bytes per episode",
        "Encoded bytes of the frames of each episode, which a reader fetches to decode the whole episode of one camera.",
        [(index, values / size) for index, values in series],
        cameras,
        lambda low, high: round_axis(min(low, 0), high if high > 0 else 1, unit, most=5, extend=True),
        lambda value: byte_size(value * size),
    )


def timestamp_drift(cameras: Sequence[CameraFigures], figures: Figures) -> Plot:
    """Return a plot, by camera, of each episode's drift: from_timestamp minus the time of the episode's first frame."""
    fps = frame_rate(figures)
    factor, unit, least = (fps, "frames", _LEAST_DRIFT_FRAMES) if fps else (1.0, "seconds", 1e-3)

    def drift_axis(low: float, high: float) -> Axis:
        low, high = min(low, 0.0), max(high, 0.0)
        if high - low < 2 * least:
            low, high = min(low, -least), max(high, least)
        return round_axis(low, high, unit, extend=True)

    return _over_episodes(
        "Timestamp drift",
        "from_timestamp minus the time of the episode's first frame. Beyond half a frame, a reader that looks up frames by "
        "seconds finds another frame, or none.",
        [(camera.episode_index, _known_drift(camera) * factor) for camera in cameras],
        cameras,
        drift_axis,
        significant,
        unit=unit,
    )


def _known_drift(camera: CameraFigures) -> Float64Array:
    drift = camera.drift_seconds
    return np.where(np.isfinite(drift), clipped(drift), np.nan)


def _over_episodes(
    title: str,
    about: str,
    series: Sequence[tuple[Int64Array, Float64Array]],
    cameras: Sequence[CameraFigures],
    y_axis: Callable[[float, float], Axis],
    show: Callable[[float], str],
    *,
    unit: str = "",
) -> Plot:
    """Return a plot of one value per episode and camera. Many episodes are drawn as bins with minimum, median and maximum.

    Args:
        title: The title of the plot.
        about: A sentence about the values.
        series: The episode numbers and the values of each camera; NaN for an unknown value.
        cameras: The cameras, in the order of `series`.
        y_axis: Returns the vertical axis for the smallest and the largest value.
        show: Returns the text of a value.
        unit: The unit of the values in the table; empty if `show` adds it.
    """
    finite = [(clipped(index[np.isfinite(values)]), values[np.isfinite(values)]) for index, values in series]
    is_binned = max(index.size for index, _ in finite) > MOST_POINTS
    kind = "line" if is_binned else "points"
    rows = [
        value_row(series_key(i, camera, kind), *finite[i], show, missing=series[i][0].size - finite[i][0].size)
        for i, camera in enumerate(cameras)
    ]
    table = table_of(("Camera", "Episodes", "Least", "Median", "Most"), rows, unit=unit)
    present = [(index, values) for index, values in finite if index.size]
    if not present:
        return Plot(about, title, absent="No episode has a known value.", table=table)
    first, last = (int(end) for end in (min(i.min() for i, _ in present), max(i.max() for i, _ in present)))
    y = y_axis(float(min(v.min() for _, v in present)), float(max(v.max() for _, v in present)))
    pad = max((last - first) * 0.015, 0.5)
    x = round_axis(first - pad, last + pad, "episode", most=ticks_that_fit(last), whole=True)
    marks: list[str] = []
    for position, (index, values) in enumerate(finite):
        if not index.size:
            continue
        if not is_binned:
            marks.append(points(x, y, list(zip(index.tolist(), values.tolist(), strict=True)), series=position))
            continue
        middles, least, median, most = _binned(index, values, first, last)
        width = (RIGHT - LEFT) / _BINS * (last - first) / (x.high - x.low)
        spans = list(zip(middles, least, most, strict=True))
        marks.insert(position, band(x, y, spans, width=width, series=position))
        marks.append(line(x, y, list(zip(middles, median, strict=True)), series=position))
    if is_binned:
        about += f" Line: median of about {math.ceil((last - first + 1) / _BINS):,} neighbouring episodes; band: least to most."
    label = f"{title} by episode and camera, {'binned' if is_binned else 'one mark for each value'}"
    return Plot(about, title, Chart(label, x, y, tuple(marks)).svg(), table=table)


def _binned(
    index: Int64Array, values: Float64Array, first: int, last: int
) -> tuple[list[float], list[float], list[float], list[float]]:
    """Divide the episodes `[first, last]` into bins, and return the middle, minimum, median and maximum of each bin with episodes.

    Args:
        index: The numbers of the episodes with values, ascending.
        values: The value of each of these episodes.
        first: The first episode of the plot.
        last: The last episode of the plot.

    Returns:
        Four lists with one element for each bin. The middle is an episode number, the others are values.
    """
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
