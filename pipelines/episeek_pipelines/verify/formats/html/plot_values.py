"""Figures as numbers that can be drawn: a damaged dataset may say anything."""

from typing import Final, TypeVar

from episeek_pipelines.verify.findings.arrays import Float64Array, Int64Array
from episeek_pipelines.verify.findings.figures import Figures

Values = TypeVar("Values", Int64Array, Float64Array)

_EXTREME: Final = 10**12
"""Numbers beyond are taken for this one."""


def clipped(values: Values) -> Values:
    """The values, none of them too large to draw."""
    return values.clip(-_EXTREME, _EXTREME)


def frame_rate(figures: Figures) -> float:
    """Frames a second; 0 when that is no rate."""
    return figures.fps if 1e-3 <= figures.fps <= 1e6 else 0.0
