"""Write the files that repairs change: documents of `meta/`, files of `meta/episodes`, and data files."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from episeek_pipelines.dataset.repaired_root import RepairedRoot
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.parquet.arrow_types import is_number
from episeek_pipelines.repair.draft import DataEdit, Draft
from episeek_pipelines.repair.repaired_rows import repaired_rows
from episeek_pipelines.repair.row_runs import NO_NUMBER
from episeek_pipelines.repair.schemas import edited_schema
from episeek_pipelines.statistics.columns import with_columns
from episeek_schemas import layout, lerobot


def write_layer(draft: Draft, layer: Root) -> RepairedRoot:
    """Write the changed files of a draft below a root, and return the root of the repaired dataset.

    Args:
        draft: The draft with all repairs.
        layer: The root below which the files are written, at the paths that they have in the source.

    Raises:
        WriteError: The layer cannot be written.
        ReadError: A file of the source cannot be read.
    """
    paths: list[str] = []
    evidence = draft.evidence
    if draft.info != dict(evidence.document):
        layer.write_bytes(layout.INFO_PATH, json.dumps(draft.info, indent=4, ensure_ascii=False).encode())
        paths.append(layout.INFO_PATH)
    if draft.tasks is not None and draft.tasks is not evidence.tasks:
        stream = io.BytesIO()
        pq.write_table(draft.tasks, stream, compression="snappy")
        layer.write_bytes(layout.TASKS_PATH, stream.getvalue())
        paths.append(layout.TASKS_PATH)
    paths += [*_write_statistics(draft, layer), *_write_episodes(draft, layer)]
    hidden = {*draft.hidden, *_shards_without_rows(draft)}
    for path, edit in sorted(draft.edits.items()):
        if path not in hidden:
            _write_data_file(draft, layer, path, edit)
            paths.append(path)
    return RepairedRoot(evidence.root.url, layer.url, tuple(sorted(paths)), tuple(sorted(hidden)))


def _shards_without_rows(draft: Draft) -> list[str]:
    sizes = zip(draft.evidence.shards, draft.tables, draft.shard_sizes(), strict=True)
    return [path for (path, _), table, size in sizes if len(table) and not size]


def _write_statistics(draft: Draft, layer: Root) -> list[str]:
    if draft.statistics == dict(draft.evidence.statistics or {}):
        return []
    layer.write_bytes(layout.STATS_PATH, json.dumps(draft.statistics, indent=4, ensure_ascii=False).encode())
    return [layout.STATS_PATH]


def _write_episodes(draft: Draft, layer: Root) -> list[str]:
    is_changed = draft.changed or draft.is_moved or draft.episode_statistics or draft.evidence.episodes.recovered
    if draft.keeps_episodes or not is_changed:
        return []
    shards = [path for path, _ in draft.evidence.shards]
    sizes = draft.shard_sizes()
    whole = None
    if draft.is_moved:
        tables = [_read(draft, path) for path in shards]
        whole = pa.concat_tables(tables, promote_options="permissive").take(pa.array(draft.order))
    first, written = 0, []
    for path, size in zip(shards, sizes, strict=True):
        if not size and draft.lost:
            continue
        written.append(path)
        table = _read(draft, path) if whole is None else whole.slice(first, size)
        for name in sorted(draft.changed):
            table = _with_column(table, name, _values(draft, name, first, size))
        for feature, (statistics, is_new) in draft.episode_statistics.items():
            rows = slice(first, first + size)
            kept = {
                name: values[rows]
                for name, values in statistics.items()
                if lerobot.statistics_column(feature, name) in table.column_names
            }
            table = with_columns(table, {feature: kept}, is_new[rows])
        with layer.output(path) as stream, pq.ParquetWriter(pa.PythonFile(stream, "w"), table.schema) as writer:
            writer.write_table(table)
        first += size
    return written


def _read(draft: Draft, path: str) -> pa.Table:
    with draft.evidence.episodes.open(path) as file:
        return file.read(use_threads=False)


def _values(draft: Draft, name: str, first: int, size: int) -> pa.Array:
    if name == lerobot.TASKS:
        return pa.array(draft.task_texts[first : first + size], pa.list_(pa.string()))
    values = draft.values(name)[first : first + size]
    missing = np.isnan(values) if values.dtype == np.float64 else values == NO_NUMBER
    return pa.array(values, mask=missing)


def _with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    place = table.schema.get_field_index(name)
    if place < 0:
        return table.append_column(name, values)
    field = table.schema.field(place)
    is_of_kind = is_number(field.type) or name == lerobot.TASKS
    if not is_of_kind or pa.types.is_null(field.type):
        return table.set_column(place, pa.field(name, values.type), values)
    return table.set_column(place, field, values.cast(field.type))


def _write_data_file(draft: Draft, layer: Root, path: str, edit: DataEdit) -> None:
    schema = draft.evidence.data[path].schema
    assert schema is not None
    with (
        layer.output(path) as stream,
        pq.ParquetWriter(
            pa.PythonFile(stream, "w"), edited_schema(schema, edit), use_compliant_nested_type=False
        ) as writer,
    ):
        for table in repaired_rows(draft, path, schema.names):
            writer.write_table(table, row_group_size=max(1, len(table)))
