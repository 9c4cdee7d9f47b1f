"""Sidecars of any number of rows that take no room: true footers over files that are nearly all holes."""

import copy
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from episeek_pipelines.index.table_writer import MappableWriter
from episeek_schemas import layout, sidecars
from tests.support.thrift_structs import Struct, decode, encode

Columns = Mapping[str, npt.NDArray[Any]]

_MAGIC = b"PAR1"
_NUM_ROWS, _ROW_GROUPS = 3, 4
_COLUMNS, _GROUP_OFFSET, _ORDINAL = 1, 5, 7
_CHUNK_OFFSET, _CHUNK_METADATA, _PAGE_OFFSET = 2, 3, 9


def write_sparse_table(
    path: Path, schema: pa.Schema, metadata: dict[str, str], *, group_count: int, rows: Mapping[int, Columns]
) -> int:
    """Write a table of row groups as the index step writes them, of which only some are there; returns its number of rows.

    Args:
        path: The file.
        schema: Its columns.
        metadata: The footer's key-value metadata.
        group_count: Number of row groups; each has `ROW_GROUP_ROWS` rows.
        rows: The first rows of those row groups that are there, which end with zeros; others are holes.
    """
    template = _one_group(schema, metadata, {})
    size = len(template.body)
    with path.open("wb") as stream:
        stream.write(_MAGIC)
        for group, columns in sorted(rows.items()):
            body = _one_group(schema, metadata, columns).body
            assert len(body) == size
            stream.seek(len(_MAGIC) + group * size)
            stream.write(body)
        stream.seek(len(_MAGIC) + group_count * size)
        footer = encode(_with_groups(template.footer, group_count, size))
        stream.write(footer + len(footer).to_bytes(4, "little") + _MAGIC)
    return group_count * sidecars.ROW_GROUP_ROWS


def write_sparse_sidecars(root: Path, *, samples_groups: int, keyframe_groups: int, episode_count: int) -> None:
    """Put the sidecars below `root` far into large tables: each of the many episodes is one of the real ones, in turn."""
    tables = {name: pq.read_table(root / path) for name, (path, _) in sidecars.TABLES.items()}
    metadata = {key.decode(): value.decode() for key, value in tables["files"].schema.metadata.items()}
    dataset = json.loads(metadata[sidecars.DATASET_KEY])
    metadata[sidecars.DATASET_KEY] = json.dumps(dataset | {"total_episodes": episode_count})
    pq.write_table(tables["files"].replace_schema_metadata(metadata), root / layout.FILES_PATH)
    episodes = {name: column.to_numpy() for name, column in _columns(tables["episodes"]).items()}
    camera_count = len(dataset["video_keys"])
    row = np.arange(episode_count * camera_count)
    tiled = {name: values[row % len(values)] for name, values in episodes.items()}
    tiled |= {"global_episode_id": row, "episode_index": row // camera_count}
    for name, groups in (("samples", samples_groups), ("keyframes", keyframe_groups)):
        real = {key: column.to_numpy() for key, column in _columns(tables[name]).items()}
        schema = sidecars.TABLES[name][1]
        there: dict[int, Columns] = {groups // 2: real, groups - 1: {}}
        write_sparse_table(root / sidecars.TABLES[name][0], schema, metadata, group_count=groups, rows=there)
        tiled[f"{name.removesuffix('s')}_start"] += groups // 2 * sidecars.ROW_GROUP_ROWS
    with (
        (root / layout.EPISODES_PATH).open("wb") as stream,
        MappableWriter(stream, sidecars.EPISODES, metadata, dictionary_columns=("camera_key",)) as writer,
    ):
        writer.append(tiled)


def _columns(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    return {name: table[name] for name in table.column_names}


class _OneGroup:
    def __init__(self, data: bytes) -> None:
        length = int.from_bytes(data[-8:-4], "little")
        self.body = data[len(_MAGIC) : -8 - length]
        self.footer = decode(data[-8 - length : -8])


def _one_group(schema: pa.Schema, metadata: dict[str, str], columns: Columns) -> _OneGroup:
    stream = io.BytesIO()
    with MappableWriter(stream, schema, metadata, max_row_group_rows=sidecars.ROW_GROUP_ROWS) as writer:
        filled = {field.name: np.zeros(sidecars.ROW_GROUP_ROWS, field.type.to_pandas_dtype()) for field in schema}
        for name, values in columns.items():
            filled[name][: len(values)] = values
        writer.append(filled)
    return _OneGroup(stream.getvalue())


def _with_groups(footer: Struct, count: int, size: int) -> Struct:
    """The footer of one row group as that of `count` of them, one after the other."""
    kind, (item_kind, (group,)) = footer[_ROW_GROUPS]
    groups = []
    for number in range(count):
        moved = copy.deepcopy(group)
        _move(moved, _GROUP_OFFSET, number * size)
        _move(moved, _ORDINAL, number)
        for chunk in moved[_COLUMNS][1][1]:
            if chunk[_CHUNK_OFFSET][1]:
                _move(chunk, _CHUNK_OFFSET, number * size)
            _move(chunk[_CHUNK_METADATA][1], _PAGE_OFFSET, number * size)
        groups.append(moved)
    rows_kind, rows = footer[_NUM_ROWS]
    return footer | {_NUM_ROWS: (rows_kind, rows * count), _ROW_GROUPS: (kind, (item_kind, groups))}


def _move(fields: Struct, number: int, by: int) -> None:
    if number in fields:
        kind, value = fields[number]
        fields[number] = kind, value + by
