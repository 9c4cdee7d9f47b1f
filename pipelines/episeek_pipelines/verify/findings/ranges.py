"""Smallest and largest values of features."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from episeek_pipelines.verify.findings.arrays import Float64Array


@dataclass(frozen=True, slots=True, eq=False)
class FeatureRange:
    """The range of the finite values of a feature.

    Arrays have shape [dimensions]; a matrix is in row-major order. Values are inf and -inf if no value was finite.
    """

    minimum: Float64Array
    maximum: Float64Array
    row_count: int
    is_whole: bool = True
    """Whether every value of every row was finite and is in the range."""

    def merge(self, other: "FeatureRange") -> "FeatureRange":
        """Return the range over the rows of both."""
        return FeatureRange(
            np.minimum(self.minimum, other.minimum),
            np.maximum(self.maximum, other.maximum),
            self.row_count + other.row_count,
            self.is_whole and other.is_whole,
        )


@dataclass(frozen=True, slots=True, eq=False)
class FeatureRanges:
    """Ranges by feature, of one or several files. Features without rows are missing."""

    of: Mapping[str, FeatureRange] = field(default_factory=dict)

    def merge(self, other: "FeatureRanges") -> "FeatureRanges":
        """Return the ranges over the rows of both.

        Raises:
            ValueError: They were made from different `features`.
        """
        merged = dict(self.of)
        for name, ranged in other.of.items():
            merged[name] = merged[name].merge(ranged) if name in merged else ranged
        return FeatureRanges(merged)
