"""Read the columns `stats/...` of one file of meta/episodes into arrays."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from episeek_pipelines.parquet.arrow_types import is_any_list, is_number
from episeek_pipelines.parquet.numpy_values import float_values, is_valid, mask_of, numpy_values
from episeek_pipelines.statistics.names import NAMES
from episeek_pipelines.verify.findings.arrays import Float64Array
from episeek_pipelines.verify.findings.episode_statistics import RecordedStatistics, compared_features
from episeek_schemas import lerobot


def statistics_columns(features: Mapping[str, Any], schema: pa.Schema) -> tuple[str, ...]:
    """Return the names of the columns in `schema` that contain statistics which are compared with the rows."""
    columns = column_names(dict.fromkeys(compared_features(features), NAMES))
    return tuple(column for column in columns if schema.names.count(column) == 1)


def column_names(recorded: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield the names of the columns of meta/episodes that contain the given statistics of each feature."""
    return (lerobot.statistics_column(feature, name) for feature, names in recorded.items() for name in names)


def read_statistics(
    table: pa.Table, recorded: Mapping[str, Sequence[str]], features: Mapping[str, Any]
) -> dict[str, RecordedStatistics]:
    """Return the statistics in some rows of meta/episodes, by feature.

    Args:
        table: The rows, with the columns of these statistics.
        recorded: For each feature, the names of its statistics.
        features: `features` of meta/info.json.
    """
    widths = compared_features(features)
    return {
        feature: RecordedStatistics(
            {
                name: _matrix(
                    table[lerobot.statistics_column(feature, name)], 1 if name == "count" else widths[feature]
                )
                for name in names
            }
        )
        for feature, names in recorded.items()
    }


def _matrix(column: pa.ChunkedArray, width: int) -> Float64Array:
    """Return a column of lists of `width` numbers as an array with one row per list. Any other list becomes a row of NaN."""
    values = np.full((len(column), width), np.nan)
    kind = column.type
    if is_any_list(kind) and (is_number(kind.value_type) or pa.types.is_boolean(kind.value_type)):
        is_right = is_valid(column) & (numpy_values(pc.list_value_length(column)) == width)
        kept = column.filter(mask_of(is_right))
        values[is_right] = float_values(pc.list_flatten(kept)).reshape(-1, width)
    elif is_number(kind) and width == 1:
        values[:, 0] = float_values(column)
    return values
