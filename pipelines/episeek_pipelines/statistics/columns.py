"""Convert the statistics of episodes to columns `stats/...` of `meta/episodes`, or to and from the bytes of an `.npz` file.

The tasks of a job pass statistics to each other as these bytes.
"""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from episeek_pipelines.parquet.numpy_values import positions_of
from episeek_pipelines.statistics.episodes import EpisodeStatistics
from episeek_pipelines.statistics.names import NAMES, FeatureStatistics
from episeek_schemas import lerobot

_NAMES: Final = "names"
_LEFT_OUT: Final = "left_out"
_EPISODE_INDEX: Final = "episode_index"
_ROW_COUNT: Final = "row_count"


def columns_of(statistics: Mapping[str, FeatureStatistics]) -> Iterator[tuple[str, pa.Array]]:
    """Yield (column name, values) for each column `stats/...` of `meta/episodes`; each row is a number or a nested list."""
    for feature, entries in statistics.items():
        for name in NAMES:
            if name in entries:
                yield lerobot.statistics_column(feature, name), _lists(entries[name])


def with_columns(
    table: pa.Table, statistics: Mapping[str, FeatureStatistics], is_known: npt.NDArray[np.bool_]
) -> pa.Table:
    """Return rows of `meta/episodes` with the given statistics in their columns `stats/...`.

    An existing column is replaced, and a missing column is appended. An existing column keeps its type if the new values can be
    cast to it.

    Args:
        table: Rows of `meta/episodes`.
        statistics: The statistics by feature, with one row for each row of the table.
        is_known: Whether each row gets the new values; shape [rows]. The other rows keep their values, or get null in a new column.
    """
    for name, column in columns_of(statistics):
        position = table.schema.get_field_index(name)
        if position < 0:
            nothing = pa.nulls(len(column), column.type)
            table = table.append_column(name, _chosen(column, nothing, is_known))
        else:
            held = table.column(position)
            with suppress(pa.ArrowException):
                column = column.cast(held.type)
            if column.type != held.type:
                held = held.cast(column.type) if not is_known.all() else pa.nulls(len(column), column.type)
            replaced = _chosen(column, held, is_known)
            table = table.set_column(position, table.schema.field(position).with_type(replaced.type), replaced)
    return table


def _chosen(new: pa.Array, held: pa.Array | pa.ChunkedArray, is_new: npt.NDArray[np.bool_]) -> pa.Array:
    """Return the rows of `new` where `is_new` is true, and the rows of `held` elsewhere."""
    if bool(is_new.all()):
        return new
    pieces = held.chunks if isinstance(held, pa.ChunkedArray) else [held]
    rows = np.arange(len(new))
    return pa.concat_arrays([new, *pieces]).take(positions_of(np.where(is_new, rows, rows + len(new))))


def to_bytes(statistics: EpisodeStatistics) -> bytes:
    """Return the statistics of some episodes as the bytes of an `.npz` file."""
    arrays: dict[str, npt.NDArray[Any]] = {
        f"{number}/{name}": entry[name] for number, entry in enumerate(statistics.features.values()) for name in NAMES
    }
    for key, text in ((_NAMES, list(statistics.features)), (_LEFT_OUT, dict(statistics.left_out))):
        arrays[key] = np.frombuffer(json.dumps(text).encode(), np.uint8)
    stream = io.BytesIO()
    arrays |= {_EPISODE_INDEX: statistics.episode_index, _ROW_COUNT: statistics.row_count}
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def from_bytes(content: bytes) -> EpisodeStatistics:
    """Return the statistics of some episodes from the bytes that `to_bytes` returned."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        features = json.loads(archive[_NAMES].tobytes())
        return EpisodeStatistics(
            archive[_EPISODE_INDEX],
            archive[_ROW_COUNT],
            {feature: {name: archive[f"{number}/{name}"] for name in NAMES} for number, feature in enumerate(features)},
            json.loads(archive[_LEFT_OUT].tobytes()),
        )


def _lists(values: npt.NDArray[Any]) -> pa.Array:
    """Return an array of shape [rows, ...] as an Arrow array in which each row is a value or a nested list."""
    contents: pa.Array = pa.array(np.ascontiguousarray(values).ravel())
    for width in reversed(values.shape[1:]):
        offsets = np.arange(0, len(contents) + 1, max(width, 1), dtype=np.int32)
        contents = pa.ListArray.from_arrays(pa.array(offsets), contents)
    return contents
