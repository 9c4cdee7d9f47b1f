"""Find rows whose wrong number may be the number of another frame. Such a number may be the only trace of moved rows."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

_HALF_FRAME: Final = 0.5


def row_of_other_frame(
    numbers: npt.NDArray[Any],
    *,
    frames: tuple[int, int],
    right_within: float = 0.0,
    other_within: float = 0.0,
    last: float = np.inf,
) -> int:
    """Return the first row whose wrong number may be the number of another frame; -1 without such a row.

    Row k should have the number k. If a tool removed, repeated or exchanged rows and renumbered all other columns, then the wrong
    numbers are those that the rows had before. A wrong number does not exclude this if

    - it is the number of another frame, or
    - it fits between the nearest right numbers before and after it, as after rows were removed or repeated.

    A number that is less than half a frame from k, and one that is not finite, are never the number of another frame.

    Args:
        numbers: The number of each row, in frames, with NaN for a row without a number; shape [rows].
        frames: The numbers `[start, stop)` that frames have.
        right_within: The greatest difference of a right number from k.
        other_within: The greatest difference of a number from that of another frame.
        last: The greatest number that a row can have after the last right number.
    """
    rows = np.arange(len(numbers))
    found = numbers.astype(np.float64)
    with np.errstate(invalid="ignore"):
        is_right = np.abs(found - rows) <= right_within
        is_off = np.isfinite(found) & (np.abs(found - rows) > _HALF_FRAME)
        nearest = np.round(found)
        is_other = (np.abs(found - nearest) <= other_within) & (nearest >= frames[0]) & (nearest < frames[1])
        right = np.flatnonzero(is_right)
        edges = np.concatenate([[0.0], right, [last]])
        place = np.searchsorted(right, rows)
        # A row that precedes all frames was not one of them, and nor was a row after the last possible number.
        is_between = (found >= edges[place] - right_within) & (found <= edges[place + 1] + right_within)
    moved = np.flatnonzero(is_off & (is_other | is_between))
    return int(moved[0]) if len(moved) else -1


def rises(numbers: npt.NDArray[Any]) -> bool:
    """Return whether the numbers of the rows that have one (no NaN) rise from row to row, as they do if rows were only removed."""
    found = numbers[np.isfinite(numbers)]
    return bool((np.diff(found) > 0).all())
