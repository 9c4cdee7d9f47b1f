"""Statistics that version 3.0 has and version 2.x lacks, computed from the rows of written data files.

Version 2.1 has no quantiles, version 2.0 no statistics of single episodes. Both are computed for features of numbers, one episode
at a time. Quantiles are estimated as LeRobot estimates them (`lerobot.datasets.compute_stats.RunningQuantileStats`): from the
counts in 5,000 bins between the extremes, linearly within a bin. Pictures are not decoded, so they get no quantiles: no policy of
LeRobot normalizes pictures with them.
"""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.v2.statistics import (
    BASIC,
    QUANTILES,
    FeatureStatistics,
    aggregate,
    aggregate_quantiles,
    columns_of,
)
from episeek_pipelines.dataset.v2.tables import EPISODES_FILE
from episeek_pipelines.parquet.arrow_types import is_any_list, is_number
from episeek_pipelines.parquet.episode_runs import reading
from episeek_pipelines.parquet.numpy_values import float_values
from episeek_schemas import layout, lerobot
from episeek_schemas.features import SCALARS

_BINS: Final = 5000
_PADDING: Final = 1e-10
"""By how much the outermost bins exceed the extremes."""

_FEATURES: Final = "features"


def measured_features(features: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the features of numbers, whose statistics are computed from rows."""
    numbers = {name for name in SCALARS if name != "string"}
    return tuple(key for key, spec in features.items() if isinstance(spec, Mapping) and spec.get("dtype") in numbers)


def measure_file(root: Root, path: str, features: Sequence[str]) -> dict[str, FeatureStatistics]:
    """Return the statistics of each episode of a data file with one row group for each, in the order of the row groups.

    Features with nulls, lists of different lengths or other values than numbers are left out: `verify` reports them.
    """
    with root.open_parquet(path) as file:
        present = [name for name in features if name in file.schema_arrow.names]
        episodes: list[dict[str, dict[str, npt.NDArray[Any]]]] = []
        for number in range(file.metadata.num_row_groups):
            with reading(root.join(path)):
                table = file.read_row_group(number, columns=present, use_threads=False)
            episodes.append({name: _statistics(table[name]) for name in present})
    complete = (name for name in present if episodes and all(each[name] for each in episodes))
    stacked: dict[str, FeatureStatistics] = {}
    for name in complete:
        shapes = {each[name]["min"].shape for each in episodes}
        if len(shapes) == 1:
            stacked[name] = {key: np.stack([each[name][key] for each in episodes]) for key in (*BASIC, *QUANTILES)}
    return stacked


def to_bytes(measured: Mapping[str, FeatureStatistics]) -> bytes:
    """Return the statistics of some episodes as the bytes of an `.npz` file."""
    arrays = {
        f"{number}/{name}": values for number, entry in enumerate(measured.values()) for name, values in entry.items()
    }
    stream = io.BytesIO()
    names = np.frombuffer(json.dumps(list(measured)).encode(), np.uint8)
    np.savez(stream, **{_FEATURES: names, **arrays})  # type: ignore[arg-type]
    return stream.getvalue()


def from_bytes(parts: Sequence[bytes]) -> dict[str, FeatureStatistics]:
    """Return the statistics of all episodes from the parts that `to_bytes` has made, of the features that every part has."""
    read: list[dict[str, FeatureStatistics]] = []
    for part in parts:
        with np.load(io.BytesIO(part), allow_pickle=False) as archive:
            names = json.loads(archive[_FEATURES].tobytes())
            read.append(
                {
                    feature: {name: archive[f"{number}/{name}"] for name in (*BASIC, *QUANTILES)}
                    for number, feature in enumerate(names)
                }
            )
    joined: dict[str, FeatureStatistics] = {}
    for feature in read[0] if read else ():
        entries = [each.get(feature) for each in read]
        present = [entry for entry in entries if entry is not None]
        if len(present) == len(entries) and len({entry["min"].shape[1:] for entry in present}) == 1:
            joined[feature] = {
                name: np.concatenate([entry[name] for entry in present]) for name in (*BASIC, *QUANTILES)
            }
    return joined


def add_row_statistics(root: Root, measured: Mapping[str, FeatureStatistics]) -> None:
    """Complete the statistics of a written dataset: columns of its `meta/episodes`, and `meta/stats.json`.

    A feature that has statistics of each episode gets quantiles; one that has none gets all.

    Args:
        root: The dataset, with one file of `meta/episodes`.
        measured: Statistics of every episode, by feature.
    """
    with root.open_parquet(EPISODES_FILE) as file:
        table = file.read(use_threads=False)
        rows_per_group = file.metadata.row_group(0).num_rows if file.metadata.num_row_groups else 1
    totals: dict[str, Any] = {}
    if root.exists(layout.STATS_PATH):
        totals = lerobot.parse_document(root.read_bytes(layout.STATS_PATH))
    for feature, entry in measured.items():
        if len(entry["count"]) != table.num_rows:
            continue
        has_basic = lerobot.statistics_column(feature, "count") in table.column_names
        added = {name: values for name, values in entry.items() if name in QUANTILES or not has_basic}
        for name, column in columns_of({feature: added}):
            table = table.append_column(name, column)
        known = totals.get(feature)
        basic = known if has_basic and isinstance(known, dict) else aggregate(entry)
        totals[feature] = {**basic, **aggregate_quantiles(entry)}
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="snappy", row_group_size=rows_per_group)
    root.write_bytes(EPISODES_FILE, stream.getvalue())
    root.write_bytes(layout.STATS_PATH, json.dumps(totals, indent=4, ensure_ascii=False).encode())


def _statistics(column: pa.ChunkedArray) -> dict[str, npt.NDArray[Any]]:
    """Return the statistics of one feature in one episode; empty where it has other values than numbers of one shape."""
    values: Any = column
    widths: list[int] = []
    if isinstance(values.type, pa.BaseExtensionType):
        values = values.combine_chunks().storage
    while is_any_list(values.type):
        lengths = pc.list_value_length(values).unique()
        if values.null_count or len(lengths) != 1:
            return {}
        widths.append(lengths[0].as_py())
        values = pc.list_flatten(values)
    kind = values.type
    if values.null_count or not len(values) or not (is_number(kind) or pa.types.is_boolean(kind)):
        return {}
    rows = float_values(values.cast(pa.uint8()) if pa.types.is_boolean(kind) else values).reshape(len(column), -1)
    if not np.isfinite(rows).all():
        return {}
    # of an array of several dimensions LeRobot keeps the last
    samples = rows.reshape(-1, widths[-1] if widths else 1)
    low, high = samples.min(axis=0), samples.max(axis=0)
    extremes = [low, high]
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        extremes = [each.astype(np.bool_ if pa.types.is_boolean(kind) else np.int64) for each in extremes]
    basic = (*extremes, samples.mean(axis=0), samples.std(axis=0), np.array([len(column)]))
    return dict(zip(BASIC, basic, strict=True)) | quantiles(samples)


def quantiles(samples: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
    """Return LeRobot's estimates of the quantiles of each dimension.

    Args:
        samples: Shape [samples, dimensions], finite.
    """
    count = len(samples)
    if count < 2:
        return {name: samples.mean(axis=0) for name in QUANTILES}
    low, high = samples.min(axis=0) - _PADDING, samples.max(axis=0) + _PADDING
    width = (high - low) / _BINS
    # a constant so large that the padding vanishes has no bins
    divisor = np.where(width > 0, width, 1.0)
    bins = np.sort(np.clip(np.floor((samples - low) / divisor), 0, _BINS - 1), axis=0)
    estimates = {}
    for name, share in QUANTILES.items():
        target = share * count
        at = bins[int(np.ceil(target)) - 1]
        before, within = (bins < at).sum(axis=0), (bins == at).sum(axis=0)
        estimates[name] = np.where(at == 0, low, low + (at + (target - before) / within) * width)
    return estimates
