"""Measure how the action and the state of an episode move: whether they move at all, their spikes, and which lags behind the other.

All functions take arrays of shape [rows, dimensions].
"""

from typing import Final

import numpy as np

from episeek_pipelines.verify.findings.arrays import BoolArray, Float64Array

LEAST_ROWS: Final = 40
"""Smallest number of rows of an episode for spikes and lags to be measured. Shorter episodes say too little about both."""
MOST_LAG: Final = 10
"""The lags from -`MOST_LAG` to `MOST_LAG` rows are tried. If one of the two ends fits best, the true lag may be larger."""

_FACTOR: Final = 5.0
"""A spike is more than this many times as large as 97 % of the steps between consecutive rows of the same dimension."""
_COMMON_STEPS: Final = 0.97
_RETURN: Final = 0.2
"""Largest difference between the values before and after a spike, as a fraction of the spike."""
_TURNS: Final = (2 * np.pi, 360.0)
_RESIDUE: Final = 0.05
"""Action and state move alike if the variance of their difference is at most this fraction of the variance of the state."""


def is_still(values: Float64Array) -> bool:
    """Return whether all rows have the same values.

    >>> is_still(np.array([[1.0, 2.0], [1.0, 2.0]])), is_still(np.array([[1.0], [1.5]]))
    (True, False)
    """
    return bool((values == values[:1]).all())


def spikes(values: Float64Array) -> BoolArray:
    """Return a mask of the spikes: values that jump away from the row before, and back in the next row. Shape [rows, dimensions].

    A dimension that rests in nearly all rows has no spikes, since a flag or a gripper that is switched for one row is no defect.
    An angle that wraps around and a quaternion that changes its sign are no spikes.
    """
    found: BoolArray = np.zeros(values.shape, np.bool_)
    if len(values) < LEAST_ROWS:
        return found
    # Each dimension becomes a row, because NumPy is slow with narrow rows.
    by_dimension = np.ascontiguousarray(values.T)
    sizes = np.abs(np.diff(by_dimension))
    least = np.minimum(sizes[:, :-1], sizes[:, 1:])
    is_spike = np.abs(by_dimension[:, 2:] - by_dimension[:, :-2]) <= _RETURN * least
    # A spike is two steps. If more than a few steps come near the largest spike of a dimension, the dimension has no spikes, and
    # its steps need not be sorted.
    few = max(len(values) - 1 - int(_COMMON_STEPS * (len(values) - 1)), 3)
    largest = np.where(is_spike, least, 0).max(axis=1)
    rare = np.flatnonzero((_FACTOR * sizes >= largest[:, None]).sum(axis=1) < few)
    if not len(rare):
        return found
    sizes, least, is_spike, by_dimension = sizes[rare], least[rare], is_spike[rare], by_dimension[rare]
    common = np.partition(sizes, -few)[:, -few, None]
    is_spike &= (least > _FACTOR * common) & (common > 0)
    for turn in _TURNS:
        is_spike &= np.abs(sizes[:, :-1] - turn) > _RETURN * turn
    is_spike &= np.abs(by_dimension[:, 1:-1] + by_dimension[:, :-2]) > _RETURN * least
    found[1:-1, rare] = is_spike.T
    return found


def lag(action: Float64Array, state: Float64Array) -> int | None:
    """Return the number of rows by which the state lags behind the action, or None if no lag can be measured.

    The number is negative if the action lags behind the state. At the returned lag, the difference between state and action is
    nearly constant. A lag other than 0 is returned only if it fits clearly better than 0. No lag can be measured if the two do not
    move alike, if no dimension moves, if the best lag is `MOST_LAG` rows, or if the episode has fewer than `LEAST_ROWS` rows.

    >>> time = np.arange(100.0)[:, None]
    >>> [lag(np.sin(time / 9), np.sin((time - rows) / 9)) for rows in (0, 3, -2)]
    [0, 3, -2]

    Args:
        action: The dimensions of the action that the state has, too; shape [rows, dimensions].
        state: The same dimensions of the state, in the same order.
    """
    rows = len(state)
    moves = (state.std(axis=0) > 0) & (action.std(axis=0) > 0)
    if rows < LEAST_ROWS or not moves.any():
        return None
    action, state = action[:, moves], state[:, moves]
    variance = state.var(axis=0)
    residues = {}
    for rows_later in sorted(range(-MOST_LAG, MOST_LAG + 1), key=abs):
        # Only the actions that have a state at every lag are used, so that all lags are compared with the same actions.
        later = state[MOST_LAG + rows_later : rows - MOST_LAG + rows_later]
        difference = later - action[MOST_LAG : rows - MOST_LAG]
        residues[rows_later] = float((difference.var(axis=0) / variance).mean())
    best = min(residues, key=residues.__getitem__)
    if residues[best] > _RESIDUE or abs(best) == MOST_LAG:
        return None
    return best if residues[best] < residues[0] / 2 else 0
