"""The smallest and largest value of each dimension of the features, in one or several files."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from episeek_pipelines.verify.findings.arrays import Float64Array


@dataclass(frozen=True, slots=True, eq=False)
class FeatureRange:
    """The smallest and largest finite values of a feature in each dimension.

    Arrays have shape [dimensions]; the dimensions of a matrix are in row-major order. A dimension without a finite value has the
    minimum inf and the maximum -inf.
    """

    minimum: Float64Array
    maximum: Float64Array
    row_count: int
    is_whole: bool = True
    """Whether every row had a finite value in every dimension, so that the range covers all values."""

    def merge(self, other: "FeatureRange") -> "FeatureRange":
        """Return the range over the rows of both `self` and `other`."""
        return FeatureRange(
            np.minimum(self.minimum, other.minimum),
            np.maximum(self.maximum, other.maximum),
            self.row_count + other.row_count,
            self.is_whole and other.is_whole,
        )


@dataclass(frozen=True, slots=True, eq=False)
class FeatureRanges:
    """The ranges of features in one or several files, by the name of the feature. Features without rows have no entry."""

    of: Mapping[str, FeatureRange] = field(default_factory=dict)

    def merge(self, other: "FeatureRanges") -> "FeatureRanges":
        """Return the ranges over the rows of both `self` and `other`.

        Raises:
            ValueError: A feature has different numbers of dimensions in `self` and `other`, and neither number is 1.
        """
        merged = dict(self.of)
        for name, ranged in other.of.items():
            merged[name] = merged[name].merge(ranged) if name in merged else ranged
        return FeatureRanges(merged)
