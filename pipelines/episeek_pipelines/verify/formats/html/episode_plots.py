"""Plots of one value of each episode and camera: bytes, and drift of the timestamps."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from episeek_pipelines.verify.findings.arrays import Float64Array, Int64Array
from episeek_pipelines.verify.findings.figures import CameraFigures, Figures
from episeek_pipelines.verify.formats.html.plot_tables import (
    absent,
    plot_figure,
    plot_table,
    series_key,
    value_row,
)
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
"""Episodes of a camera that are drawn one by one."""

_BINS: Final = 110

_LEAST_DRIFT_FRAMES: Final = 0.01


def episode_bytes(cameras: Sequence[CameraFigures], _: Figures) -> str:
    """Encoded bytes of each episode, by camera."""
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


def timestamp_drift(cameras: Sequence[CameraFigures], figures: Figures) -> str:
    """Drift of each episode, by camera."""
    fps = frame_rate(figures)
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
) -> str:
    """One value of each episode and camera; where there are many, the least, most and median of neighbours."""
    known = [(clipped(index[np.isfinite(values)]), values[np.isfinite(values)]) for index, values in series]
    is_binned = max(index.size for index, _ in known) > MOST_POINTS
    kind = "line" if is_binned else "points"
    table = plot_table(
        title.lower(),
        [
            value_row(series_key(i, camera, kind), *known[i], show, missing=series[i][0].size - known[i][0].size)
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
        return plot_figure(title, about, absent("It is known of no episode."), table)
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
    return plot_figure(title, about, Chart(label, x, y, tuple(marks)).svg(), table)


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
