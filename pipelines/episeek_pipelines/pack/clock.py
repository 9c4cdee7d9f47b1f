"""Choose the clock of a packed file: the dataset's frame rate if all frames follow it, otherwise the ticks of the source files.

Frames are on the grid if frame k is presented k / fps seconds after frame 0.
"""

from fractions import Fraction
from typing import Final

import numpy as np

from episeek.mp4.moov.sample_boxes import Int64Array

_LARGEST_DENOMINATOR: Final = 100_000
"""Greatest denominator of a frame rate as a fraction. It allows 30000/1001, and keeps decimal numbers of a few digits exact."""

_LEAST_TIMESCALE: Final = 10_000
"""Smallest number of ticks per second that FFmpeg's muxer chooses (`mov_init` in libavformat/movenc.c)."""


def rate_of(fps: float) -> Fraction:
    """Return a frame rate as a fraction."""
    return Fraction(fps).limit_denominator(_LARGEST_DENOMINATOR)


def is_on_grid(pts: Int64Array, timescale: int, fps: float) -> bool:
    """Return whether frame k is k / fps seconds after frame 0, to the precision of the ticks.

    Args:
        pts: Presentation times, ascending, ticks.
        timescale: Ticks per second.
        fps: The dataset's frame rate.
    """
    step = Fraction(timescale) / rate_of(fps)
    if step < 1:
        return False
    exact = np.arange(len(pts)) * (step.numerator / step.denominator)
    # if a frame is no whole number of ticks, the times at both ends of a distance may be rounded
    tolerance = 0.0 if step.denominator == 1 else 1.0
    return bool((np.abs(pts - pts[0] - exact) <= tolerance).all())


def grid_ticks(fps: float, timescales: frozenset[int]) -> tuple[int, int]:
    """Return the timescale of a packed file whose frames all follow the dataset's rate, and the number of ticks of one frame.

    If all sources have the same timescale, and a frame is a whole number of ticks, this timescale is kept. Otherwise the result is
    the timescale that FFmpeg's muxer would choose.
    """
    rate = rate_of(fps)
    if len(timescales) == 1:
        (timescale,) = timescales
        step = Fraction(timescale) / rate
        if step.denominator == 1:
            return timescale, step.numerator
    timescale, step = rate.numerator, Fraction(rate.denominator)
    while timescale < _LEAST_TIMESCALE:
        timescale, step = 2 * timescale, 2 * step
    return timescale, step.numerator
