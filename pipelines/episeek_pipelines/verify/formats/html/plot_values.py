"""Limit figures to numbers that can be drawn, since a damaged dataset may contain extreme numbers."""

from typing import Final, TypeVar

from episeek_pipelines.verify.findings.arrays import Float64Array, Int64Array
from episeek_pipelines.verify.findings.figures import Figures

Values = TypeVar("Values", Int64Array, Float64Array)

_EXTREME: Final = 10**12
"""The largest number that is drawn. Larger numbers are replaced by it."""


def clipped(values: Values) -> Values:
    """Return the values, limited to a range that can be drawn."""
    return values.clip(-_EXTREME, _EXTREME)


def frame_rate(figures: Figures) -> float:
    """Return the dataset's frames per second; 0 if the declared value cannot be a frame rate."""
    return figures.fps if 1e-3 <= figures.fps <= 1e6 else 0.0
