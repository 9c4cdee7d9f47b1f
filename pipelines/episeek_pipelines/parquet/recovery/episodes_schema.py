"""The Arrow schema of the files of meta/episodes, from the documents of a dataset."""

from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from episeek_schemas import lerobot
from episeek_schemas.features import SCALARS, declared_dtype, declared_shape

STATISTICS: Final = ("min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99")
"""Statistics of a feature in the order in which LeRobot 0.4 writes them; earlier versions wrote the first five."""

_VALUES_OF_THE_FEATURE: Final = ("min", "max")
_SHARD_COLUMNS: Final = ("meta/episodes/chunk_index", "meta/episodes/file_index")


def episodes_schema(features: Mapping[str, Any], statistics: Mapping[str, Any] | None) -> pa.Schema:
    """Return the schema with which LeRobot writes meta/episodes: pyarrow infers the types from lists of numbers.

    Columns have the order of LeRobot's `save_episode`: the places of an episode, its statistics in the order of `features`, and
    the file of the row itself.

    Args:
        features: `features` of meta/info.json.
        statistics: meta/stats.json, which tells the features that have statistics, and which ones; None for all numeric features
            and pictures, and all statistics.
    """
    columns: dict[str, pa.DataType] = dict.fromkeys(lerobot.EPISODE_COLUMNS, pa.int64())
    columns = {lerobot.EPISODE_INDEX: pa.int64(), lerobot.TASKS: _list(pa.string()), **columns}
    for key, spec in features.items():
        if declared_dtype(spec) == "video":
            for field in lerobot.VIDEO_FIELDS:
                kind = pa.float64() if field.endswith("timestamp") else pa.int64()
                columns[lerobot.video_column(key, field)] = kind
    for key, spec in features.items():
        kinds = _statistics_kinds(spec)
        if kinds is None or (statistics is not None and key not in statistics):
            continue
        known = statistics[key] if statistics is not None else None
        for name in STATISTICS:
            if not isinstance(known, Mapping) or name in known:
                columns[lerobot.statistics_column(key, name)] = kinds(name)
    columns |= dict.fromkeys(_SHARD_COLUMNS, pa.int64())
    return pa.schema(list(columns.items()))


def _statistics_kinds(spec: Any) -> Any:
    """Return the function from a statistic of a feature to its type; None for a feature that has no statistics."""
    dtype = declared_dtype(spec)
    if dtype in ("image", "video"):
        # one number for each channel, shape [3, 1, 1]
        depth, value = 3, pa.float64()
    else:
        shape = declared_shape(spec) if isinstance(spec, Mapping) else None
        if dtype is None or dtype not in SCALARS or dtype == "string" or shape is None:
            return None
        depth, value = max(len(shape), 1), _inferred(SCALARS[dtype])

    def kind_of(name: str) -> pa.DataType:
        if name == "count":
            return _list(pa.int64())
        kind = value if name in _VALUES_OF_THE_FEATURE else pa.float64()
        for _ in range(depth):
            kind = _list(kind)
        return kind

    return kind_of


def _inferred(scalar: pa.DataType) -> pa.DataType:
    """Return the type that pyarrow infers from Python values of a NumPy array."""
    if pa.types.is_boolean(scalar):
        return scalar
    return pa.int64() if pa.types.is_integer(scalar) else pa.float64()


def _list(kind: pa.DataType) -> pa.DataType:
    return pa.list_(pa.field("element", kind))
