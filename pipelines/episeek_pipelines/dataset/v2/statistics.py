"""Convert statistics of version 2.x, a document for each episode, to the form of version 3.0, an array for each statistic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from episeek_pipelines.statistics.names import BASIC, FeatureStatistics
from episeek_schemas import lerobot

_BY_EPISODE: Final = (lerobot.EPISODE_INDEX, lerobot.INDEX)
"""Features whose values change if episodes are renumbered."""


@dataclass(frozen=True, slots=True)
class ShapeProblem:
    """A statistic that is missing or not numeric in an episode, or has a different shape than in the first episode."""

    feature: str
    statistic: str
    episode: int
    """Position of the episode in the sequence of statistics."""
    found: str
    expected: str


def stacked(
    statistics: Sequence[Mapping[str, Any]], features: Sequence[str]
) -> tuple[dict[str, FeatureStatistics], list[ShapeProblem]]:
    """Return the stacked statistics of all episodes for each feature, and the first problem of each feature that has problems.

    Features with a problem are left out. Features without statistics in any episode are left out, too, without a problem.

    Args:
        statistics: For each episode, the statistics as nested lists of numbers, by feature and name.
        features: Keys of the features.
    """
    found: dict[str, FeatureStatistics] = {}
    problems: list[ShapeProblem] = []
    for feature in features:
        entries = [each.get(feature) for each in statistics]
        if not any(isinstance(entry, Mapping) for entry in entries):
            continue
        columns: FeatureStatistics = {}
        faults: list[ShapeProblem] = []
        for name in BASIC:
            values = [entry.get(name) if isinstance(entry, Mapping) else None for entry in entries]
            arrays = [_array(value) for value in values]
            fault = _first_difference(feature, name, arrays)
            if fault is None:
                columns[name] = np.stack([array for array in arrays if array is not None])
            else:
                faults.append(fault)
        if faults:
            problems.append(faults[0])
        else:
            found[feature] = columns
    return found, problems


def renumbered(
    statistics: dict[str, FeatureStatistics], episode_shift: npt.NDArray[np.int64], first_row: npt.NDArray[np.int64]
) -> dict[str, FeatureStatistics]:
    """Return the statistics of renumbered episodes, with new values for `episode_index` and `index`.

    Episodes that keep their numbers keep their statistics.

    Args:
        statistics: The statistics of all features.
        episode_shift: By how much the number of each episode becomes smaller; shape [episodes].
        first_row: The new `index` of the first row of each episode, and so the new minimum; shape [episodes].
    """
    changed = dict(statistics)
    for feature in _BY_EPISODE:
        if feature in changed:
            shift = (
                episode_shift if feature == lerobot.EPISODE_INDEX else _row_shift(changed[feature]["min"], first_row)
            )
            shift = np.where(episode_shift == 0, np.zeros(1, shift.dtype), shift)
            changed[feature] = {
                name: values if name in ("std", "count") else values - shift.reshape(-1, *[1] * (values.ndim - 1))
                for name, values in changed[feature].items()
            }
    return changed


def _row_shift(minimum: npt.NDArray[Any], first_row: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Return the difference between the recorded minimum of `index` and the new one, shape [episodes], as integers if possible."""
    if not minimum.size:
        return np.zeros(len(minimum), np.int64)
    shift = minimum.reshape(len(minimum), -1)[:, 0] - first_row
    is_whole = np.isfinite(shift).all() and (np.floor(shift) == shift).all() and (np.abs(shift) < 2.0**62).all()
    return shift.astype(np.int64) if is_whole else shift


def _array(value: object) -> npt.NDArray[Any] | None:
    """Return nested lists of numbers as an array of booleans, integers or floats, or None for any other value."""
    try:
        array = np.array(value)
    except ValueError:
        return None
    if array.dtype.kind == "O" and array.ndim:
        # null stands for a value that is not finite
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            return None
    return array if array.dtype.kind in "biuf" and array.ndim else None


def _first_difference(feature: str, name: str, arrays: Sequence[npt.NDArray[Any] | None]) -> ShapeProblem | None:
    shape = next((array.shape for array in arrays if array is not None), None)
    for position, array in enumerate(arrays):
        if array is None:
            return ShapeProblem(feature, name, position, f"no numeric {name}", f"a numeric {name} in each episode")
        if array.shape != shape:
            expected = f"shape {list(shape or ())}, as in the first episode"
            return ShapeProblem(feature, name, position, f"{name} of shape {list(array.shape)}", expected)
    return None
