"""Find the Arrow schema of the files of meta/episodes, from the documents of a dataset."""

from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from episeek_schemas import lerobot
from episeek_schemas.features import SCALARS, declared_dtype

STATISTICS: Final = ("min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99")
"""Names of the statistics of a feature, in the order in which LeRobot 0.4 writes them. Earlier versions wrote the first five."""

_SHARD_COLUMNS: Final = ("meta/episodes/chunk_index", "meta/episodes/file_index")


def episodes_schema(features: Mapping[str, Any], statistics: Mapping[str, Any] | None) -> pa.Schema:
    """Return the schema with which LeRobot writes meta/episodes.

    The types are those that pyarrow infers from lists of numbers. Columns have the order of LeRobot's `save_episode`: where the
    episode is stored, its statistics in the order of `features`, and the file of meta/episodes that contains the row.

    Args:
        features: `features` of meta/info.json.
        statistics: meta/stats.json, which shows which features have which statistics, and how deeply their lists are nested.
            If it is None, all numeric features and pictures are assumed to have all statistics.
    """
    columns: dict[str, pa.DataType] = dict.fromkeys(lerobot.EPISODE_COLUMNS, pa.int64())
    columns = {lerobot.EPISODE_INDEX: pa.int64(), lerobot.TASKS: _list(pa.string()), **columns}
    for key, spec in features.items():
        if declared_dtype(spec) == "video":
            for field in lerobot.VIDEO_FIELDS:
                kind = pa.float64() if field.endswith("timestamp") else pa.int64()
                columns[lerobot.video_column(key, field)] = kind
    for key, spec in features.items():
        if statistics is not None and key not in statistics:
            continue
        value, depth = _value_and_depth(spec)
        recorded = {} if statistics is None else statistics[key]
        known = recorded if isinstance(recorded, Mapping) else {}
        for name in STATISTICS if value is not None else ():
            if known and name not in known:
                continue
            kind = {"count": pa.int64(), "min": value, "max": value}.get(name, pa.float64())
            for _ in range(_depth_of(known[name]) if known else 1 if name == "count" else depth):
                kind = _list(kind)
            columns[lerobot.statistics_column(key, name)] = kind
    columns |= dict.fromkeys(_SHARD_COLUMNS, pa.int64())
    return pa.schema(list(columns.items()))


def _value_and_depth(spec: Any) -> tuple[pa.DataType | None, int]:
    """Return the type of a feature's minimum and maximum, and how deeply they are nested in lists.

    The type is None for a feature without statistics.
    """
    dtype = declared_dtype(spec)
    if dtype in ("image", "video"):
        # one number for each channel, shape [3, 1, 1]
        return pa.float64(), 3
    if dtype is None or dtype not in SCALARS or dtype == "string":
        return None, 0
    # the statistics of a feature with several dimensions have only its last dimension
    return _inferred(SCALARS[dtype]), 1


def _depth_of(value: Any) -> int:
    """Return how deeply lists are nested; 1 for a value that is not a list."""
    depth = 0
    while isinstance(value, list):
        value, depth = value[0] if value else None, depth + 1
    return max(depth, 1)


def _inferred(scalar: pa.DataType) -> pa.DataType:
    """Return the type that pyarrow infers from the Python values of a NumPy array of type `scalar`."""
    if pa.types.is_boolean(scalar):
        return scalar
    return pa.int64() if pa.types.is_integer(scalar) else pa.float64()


def _list(kind: pa.DataType) -> pa.DataType:
    return pa.list_(pa.field("element", kind))
