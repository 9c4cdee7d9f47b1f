"""Find the frame rate that the timestamps of an episode's rows follow, if it is not the dataset's fps."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

_TOLERANCE_SECONDS: Final = 1e-4
"""LeRobot's tolerance for the timestamp of a row, in seconds."""

_WHOLE: Final = 1e-3
"""Greatest relative difference from a whole rate that rounded timestamps explain."""

_FEWEST_ROWS: Final = 3
"""With fewer rows, every timestamp fits some rate."""


def other_rate(times: npt.NDArray[Any], *, fps: float) -> float:
    """Return the rate r in frames per second with which every row k has the timestamp k / r; 0 without such a rate.

    The result is 0 as well if the timestamps follow `fps`, or if there are fewer than three rows.

    Args:
        times: The timestamps of all rows of an episode, in seconds.
        fps: The dataset's frame rate.
    """
    if len(times) < _FEWEST_ROWS or not np.isfinite(times).all() or times[-1] <= 0:
        return 0.0
    rate = (len(times) - 1) / float(times[-1])
    if abs(rate - round(rate)) <= _WHOLE * rate:
        rate = float(round(rate))
    if rate <= 0 or rate == fps:
        return 0.0
    follows = np.abs(times - np.arange(len(times)) / rate) <= _TOLERANCE_SECONDS
    return rate if follows.all() else 0.0
