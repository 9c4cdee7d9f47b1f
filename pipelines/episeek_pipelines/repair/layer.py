"""Writes the files that repairs change: documents of `meta/`, tables of `meta/episodes` and data files, one row group at a time."""

import io
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from episeek_pipelines.dataset.repaired_root import RepairedRoot
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.parquet.arrow_types import is_number
from episeek_pipelines.parquet.numpy_values import is_valid, numpy_values
from episeek_pipelines.repair.draft import DataEdit, Draft, numbers_of
from episeek_pipelines.repair.row_runs import NO_NUMBER, flat_lists
from episeek_pipelines.repair.schemas import converted
from episeek_schemas import layout, lerobot


def write_layer(draft: Draft, layer: Root) -> RepairedRoot:
    """Write the changed files of a draft below a root, and return the root of the repaired dataset.

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
    paths += _write_episodes(draft, layer)
    for path, edit in sorted(draft.edits.items()):
        _write_data_file(evidence.root, layer, path, edit, fps=evidence.info.fps)
        paths.append(path)
    return RepairedRoot(evidence.root.url, layer.url, tuple(sorted(paths)))


def _write_episodes(draft: Draft, layer: Root) -> list[str]:
    is_moved = not np.array_equal(draft.order, np.arange(draft.row_count))
    if not (draft.changed or is_moved):
        return []
    shards = [path for path, _ in draft.evidence.shards]
    sizes = [len(table) for _, table in draft.evidence.shards]
    whole = None
    if is_moved:
        tables = [_read(draft.evidence.root, path) for path in shards]
        whole = pa.concat_tables(tables, promote_options="permissive").take(pa.array(draft.order))
    first = 0
    for path, size in zip(shards, sizes, strict=True):
        table = _read(draft.evidence.root, path) if whole is None else whole.slice(first, size)
        for name in sorted(draft.changed):
            table = _with_column(table, name, _values(draft, name, first, size))
        with layer.output(path) as stream, pq.ParquetWriter(pa.PythonFile(stream, "w"), table.schema) as writer:
            writer.write_table(table)
        first += size
    return shards


def _read(root: Root, path: str) -> pa.Table:
    with root.open_parquet(path) as file:
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


def _write_data_file(root: Root, layer: Root, path: str, edit: DataEdit, *, fps: float) -> None:
    with root.open_parquet(path) as file, layer.output(path) as stream:
        schema = _schema(file.schema_arrow, edit)
        options: dict[str, Any] = {"use_compliant_nested_type": False}
        with pq.ParquetWriter(pa.PythonFile(stream, "w"), schema, **options) as writer:
            first = 0
            for number in range(file.num_row_groups):
                table = file.read_row_group(number, use_threads=False)
                columns = [_column(table, name, edit, first, fps) for name in table.column_names]
                changed = pa.table(columns, schema=schema)
                writer.write_table(changed, row_group_size=max(1, len(changed)))
                first += len(table)


def _schema(schema: pa.Schema, edit: DataEdit) -> pa.Schema:
    fields = [field.with_type(edit.types.get(field.name, field.type)) for field in schema]
    metadata = dict(schema.metadata or {})
    if edit.features is not None:
        metadata[lerobot.DATA_FEATURES_KEY.encode()] = edit.features
    return pa.schema(fields, metadata or None)


def _column(table: pa.Table, name: str, edit: DataEdit, first: int, fps: float) -> pa.ChunkedArray:
    column, target = table[name], edit.types.get(name, table.schema.field(name).type)
    numbers = edit.numbers.get(name)
    if numbers is None:
        if target == column.type:
            return column
        new = converted(column, target)
        assert new is not None
        return new
    flat = column if is_number(column.type) else converted(column, pa.int64())
    flat = flat if flat is not None else flat_lists(column)
    assert flat is not None
    kind = pa.float64() if pa.types.is_floating(flat.type) else pa.int64()
    values = numpy_values(flat.cast(kind))
    covered = numbers_of(numbers, first, np.zeros(len(values), np.float64) - 1, fps) >= 0
    changed = numbers_of(numbers, first, values, fps)
    return pa.chunked_array([pa.array(changed, mask=~(covered | is_valid(flat))).cast(target)])
