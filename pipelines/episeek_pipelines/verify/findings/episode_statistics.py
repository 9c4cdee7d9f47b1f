"""The statistics that meta/episodes records for each episode in its columns `stats/...`, and that are compared with the rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from episeek_pipelines.statistics.names import NAMES
from episeek_pipelines.verify.findings.arrays import Float64Array
from episeek_schemas import lerobot
from episeek_schemas.features import SCALARS, declared_dtype, declared_shape

MOST_DIMENSIONS = 64
"""Largest number of dimensions of a feature whose recorded statistics are compared with the rows of each episode."""


@dataclass(frozen=True, slots=True, eq=False)
class RecordedStatistics:
    """The statistics of one feature that meta/episodes records for some episodes."""

    values: Mapping[str, Float64Array]
    """The values of each statistic by its name, shape [episodes, dimensions]. A value that cannot be used is NaN.

    The values of `count` have shape [episodes, 1].
    """

    @property
    def count(self) -> Float64Array:
        """Return the recorded number of rows of each episode, shape [episodes]. A number that cannot be used is NaN."""
        return self.values["count"][:, 0]


def compared_features(features: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of dimensions of each feature whose statistics are compared with the rows.

    Scalars and vectors of numbers are compared if they have at most `MOST_DIMENSIONS` dimensions. LeRobot's own columns, such as
    `index`, are not compared: merging or splitting a dataset renumbers its rows, but keeps the recorded statistics.
    """
    found = {}
    for name, spec in features.items():
        dtype = declared_dtype(spec)
        shape = declared_shape(spec) if isinstance(spec, Mapping) else None
        is_number = dtype in SCALARS and dtype != "string"
        if not is_number or name in lerobot.ROW_COLUMNS or shape is None or len(shape) > 1:
            continue
        width = shape[0] if shape else 1
        if 0 < width <= MOST_DIMENSIONS:
            found[name] = width
    return found


def recorded_names(features: Mapping[str, Any], columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the names of the statistics that meta/episodes records, for each feature that is compared with the rows.

    A feature without the statistic `count` is left out.

    Args:
        features: The object `features` of meta/info.json.
        columns: The columns that every file of meta/episodes has.
    """
    held = {*columns}
    names = {
        feature: tuple(name for name in NAMES if lerobot.statistics_column(feature, name) in held)
        for feature in compared_features(features)
    }
    return {feature: found for feature, found in names.items() if "count" in found}
