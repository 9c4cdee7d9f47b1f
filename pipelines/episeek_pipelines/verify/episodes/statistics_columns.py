"""Reads the columns `stats/...` of one file of meta/episodes into arrays."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from episeek_pipelines.parquet.arrow_types import is_any_list, is_number
from episeek_pipelines.parquet.numpy_values import float_values, is_valid, mask_of, numpy_values
from episeek_pipelines.verify.findings.arrays import Float64Array
from episeek_pipelines.verify.findings.episode_statistics import EpisodeStatistics, compared_features
from episeek_schemas import lerobot

_NAMES = ("min", "max", "count")


def statistics_columns(features: Mapping[str, Any], schema: pa.Schema) -> dict[str, int]:
    """Return the number of dimensions of each feature whose three columns the file has."""
    found = compared_features(features)
    return {
        feature: width
        for feature, width in found.items()
        if all(schema.names.count(lerobot.statistics_column(feature, name)) == 1 for name in _NAMES)
    }


def column_names(features: Mapping[str, int]) -> Iterator[str]:
    """Yield the names of the columns of some features."""
    return (lerobot.statistics_column(feature, name) for feature in features for name in _NAMES)


def read_statistics(table: pa.Table, features: Mapping[str, int]) -> dict[str, EpisodeStatistics]:
    """Return the statistics of some rows of meta/episodes."""
    return {
        feature: EpisodeStatistics(
            _matrix(table[lerobot.statistics_column(feature, "min")], width),
            _matrix(table[lerobot.statistics_column(feature, "max")], width),
            _matrix(table[lerobot.statistics_column(feature, "count")], 1)[:, 0],
        )
        for feature, width in features.items()
    }


def _matrix(column: pa.ChunkedArray, width: int) -> Float64Array:
    """Return lists of numbers as rows; a row of NaN where the list is null or of another length."""
    values = np.full((len(column), width), np.nan)
    kind = column.type
    if is_any_list(kind) and (is_number(kind.value_type) or pa.types.is_boolean(kind.value_type)):
        is_right = is_valid(column) & (numpy_values(pc.list_value_length(column)) == width)
        kept = column.filter(mask_of(is_right))
        values[is_right] = float_values(pc.list_flatten(kept)).reshape(-1, width)
    elif is_number(kind) and width == 1:
        values[:, 0] = float_values(column)
    return values
