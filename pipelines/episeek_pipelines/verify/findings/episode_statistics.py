"""The statistics of episodes, as columns `stats/...` of meta/episodes hold them: extremes and counts of numeric features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from episeek_pipelines.verify.findings.arrays import Float64Array
from episeek_schemas import lerobot
from episeek_schemas.features import SCALARS, declared_dtype, declared_shape

MOST_DIMENSIONS = 64
"""Features with more values a row are not compared by episode."""


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeStatistics:
    """The statistics of one feature by episode; arrays of shape [episodes, dimensions], NaN where a value cannot be used."""

    minimum: Float64Array
    maximum: Float64Array
    count: Float64Array
    """Shape [episodes]."""

    def take(self, rows: Any) -> "EpisodeStatistics":
        """Return the statistics of some episodes."""
        return EpisodeStatistics(self.minimum[rows], self.maximum[rows], self.count[rows])

    @classmethod
    def joined(cls, parts: Sequence["EpisodeStatistics"]) -> "EpisodeStatistics":
        """Join the statistics of consecutive episodes."""
        return cls(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in ("minimum", "maximum", "count"))
        )


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
