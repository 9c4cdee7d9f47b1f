"""Statistics of version 2.x as version 3.0 has them: columns of `meta/episodes`, and the aggregate of all episodes.

The aggregate is LeRobot's (`lerobot.datasets.compute_stats.aggregate_feature_stats`): the outermost extremes, the mean weighted by
counts, the standard deviation from the episodes' variances and the distances of their means, and quantiles as weighted means.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from episeek_schemas import lerobot

BASIC: Final = ("min", "max", "mean", "std", "count")
"""The statistics that version 2.1 has of each feature of each episode."""
QUANTILES: Final[Mapping[str, float]] = MappingProxyType(
    {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
)
"""The quantiles that version 3.0 adds (`lerobot.datasets.compute_stats.DEFAULT_QUANTILES`)."""

_BY_EPISODE: Final = (lerobot.EPISODE_INDEX, lerobot.INDEX)
"""Features whose values change where episodes are numbered anew."""

FeatureStatistics = dict[str, npt.NDArray[Any]]
"""One feature's statistics by name; each of shape [episodes, ...], in the order of the episodes."""


@dataclass(frozen=True, slots=True)
class ShapeProblem:
    """A statistic that is missing from an episode, or has another type or shape than in the first."""

    feature: str
    statistic: str
    episode: int
    """Position among the episodes that were given."""
    found: str
    expected: str


def stacked(
    statistics: Sequence[Mapping[str, Any]], features: Sequence[str]
) -> tuple[dict[str, FeatureStatistics], list[ShapeProblem]]:
    """Return the statistics of each feature over all episodes, and what keeps some of them from being stacked.

    Features that no episode has statistics of are left out without a problem, and so are those with one.

    Args:
        statistics: Statistics by feature and name, for each episode: nested lists of numbers.
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
    statistics: dict[str, FeatureStatistics], episode_shift: npt.NDArray[np.int64], row_shift: npt.NDArray[np.int64]
) -> dict[str, FeatureStatistics]:
    """Return statistics of episodes that are numbered anew: the values of `episode_index` and `index` fall by the shifts.

    Args:
        statistics: Of all features.
        episode_shift: By how much the episode's number falls; shape [episodes].
        row_shift: By how much the numbers of its rows fall; shape [episodes].
    """
    changed = dict(statistics)
    for feature, shift in zip(_BY_EPISODE, (episode_shift, row_shift), strict=True):
        if feature in changed:
            changed[feature] = {
                name: values if name in ("std", "count") else values - shift.reshape(-1, *[1] * (values.ndim - 1))
                for name, values in changed[feature].items()
            }
    return changed


def columns_of(statistics: Mapping[str, FeatureStatistics]) -> Iterator[tuple[str, pa.Array]]:
    """Yield the columns of `meta/episodes` with statistics, as lists: their names and values."""
    for feature, entries in statistics.items():
        for name, values in entries.items():
            yield lerobot.statistics_column(feature, name), _lists(values)


def aggregate(statistics: FeatureStatistics) -> dict[str, Any]:
    """Return the statistics of all episodes of one feature as nested lists, as `meta/stats.json` has them."""
    counts = statistics["count"].astype(np.float64).reshape(len(statistics["count"]), -1)[:, :1]
    total = int(statistics["count"].sum())
    means = statistics["mean"].astype(np.float64)
    weights = counts.reshape(-1, *[1] * (means.ndim - 1)) / max(total, 1)
    mean = (means * weights).sum(axis=0)
    variance = ((statistics["std"].astype(np.float64) ** 2 + (means - mean) ** 2) * weights).sum(axis=0)
    result: dict[str, Any] = {
        "min": statistics["min"].min(axis=0).tolist(),
        "max": statistics["max"].max(axis=0).tolist(),
        "mean": mean.tolist(),
        "std": np.sqrt(variance).tolist(),
        "count": [total],
    }
    return result


def aggregate_quantiles(statistics: FeatureStatistics) -> dict[str, Any]:
    """Return the quantiles of all episodes of one feature: the means of those of the episodes, weighted by counts."""
    counts = statistics["count"].astype(np.float64).reshape(-1)
    return {
        name: np.average(statistics[name], axis=0, weights=counts).tolist() for name in QUANTILES if name in statistics
    }


def _array(value: object) -> npt.NDArray[Any] | None:
    """Return nested lists of numbers as an array of booleans, integers or floats; None for anything else."""
    try:
        array = np.array(value)
    except ValueError:
        return None
    if array.dtype.kind == "O" and array.ndim:
        # null for a value that is not finite
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            return None
    return array if array.dtype.kind in "biuf" and array.ndim else None


def _first_difference(feature: str, name: str, arrays: Sequence[npt.NDArray[Any] | None]) -> ShapeProblem | None:
    shape = next((array.shape for array in arrays if array is not None), None)
    for position, array in enumerate(arrays):
        if array is None:
            return ShapeProblem(feature, name, position, f"no {name} of numbers", "one in each episode")
        if array.shape != shape:
            expected = f"shape {list(shape or ())}, as in the first episode"
            return ShapeProblem(feature, name, position, f"{name} of shape {list(array.shape)}", expected)
    return None


def _lists(values: npt.NDArray[Any]) -> pa.Array:
    """Return an array of shape [rows, ...] as lists of the other dimensions."""
    contents: pa.Array = pa.array(np.ascontiguousarray(values).ravel())
    for width in reversed(values.shape[1:]):
        offsets = np.arange(0, len(contents) + 1, max(width, 1), dtype=np.int32)
        contents = pa.ListArray.from_arrays(pa.array(offsets), contents)
    return contents
