"""The statistics of episodes, as columns `stats/...` of meta/episodes hold them, of features that are compared with rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from episeek_pipelines.statistics.names import NAMES
from episeek_pipelines.verify.findings.arrays import Float64Array
from episeek_schemas import lerobot
from episeek_schemas.features import SCALARS, declared_dtype, declared_shape

MOST_DIMENSIONS = 64
"""Features with more values a row are not compared by episode."""


@dataclass(frozen=True, slots=True, eq=False)
class RecordedStatistics:
    """The statistics of one feature by episode."""

    values: Mapping[str, Float64Array]
    """By name, shape [episodes, dimensions], and [episodes, 1] for `count`; NaN where a value cannot be used."""

    @property
    def count(self) -> Float64Array:
        """Return the counts, shape [episodes]; NaN where there are none."""
        return self.values["count"][:, 0]


def compared_features(features: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of dimensions of each feature whose statistics are compared with the rows.

    LeRobot's own columns are left out: merging and splitting renumber the rows, and leave their statistics as they are.
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
    """Return the statistics that meta/episodes has of each compared feature; of features without `count` none.

    Args:
        features: `features` of meta/info.json.
        columns: Columns that every file of meta/episodes has.
    """
    held = {*columns}
    names = {
        feature: tuple(name for name in NAMES if lerobot.statistics_column(feature, name) in held)
        for feature in compared_features(features)
    }
    return {feature: found for feature, found in names.items() if "count" in found}
