"""Damages copies of the sample datasets: edits a table, cuts a file, patches a box."""

import atexit
import json
import shutil
import struct
import tempfile
from collections.abc import Callable
from functools import cache
from operator import methodcaller
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from episeek_schemas import sidecars
from tests.support.build_index import DATA, build_index

EPISODES = "meta/episodes/chunk-000/file-000.parquet"
TOP = "observation.images.top"
WRIST = "observation.images.wrist"


def copy_of(
    dataset: str, folder: Path, *, indexed: bool = False, prepared: bool = False, name: str | None = None
) -> Path:
    """Write a copy of a sample dataset below `folder`; on request with sidecars, and with the page index of `episeek prepare`."""
    root = folder / (name or dataset)
    shutil.copytree(DATA / dataset, root, ignore=shutil.ignore_patterns("golden_items.npz"))
    if indexed:
        shutil.copytree(_sidecars(dataset), root, dirs_exist_ok=True)
    if prepared:
        set_page_index(root, True)
    return root


@cache
def _sidecars(dataset: str) -> Path:
    """Return a folder with the sidecars of a sample dataset, built once a process."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    build_index(DATA / dataset, folder / "work", folder / "sidecars")
    return folder / "sidecars"


def data(number: int) -> str:
    return f"data/chunk-000/file-{number:03d}.parquet"


def video(camera: str, number: int) -> str:
    return f"videos/{camera}/chunk-000/file-{number:03d}.mp4"


def restore(root: Path, dataset: str, *paths: str) -> None:
    """Copy files of the sample dataset to their places."""
    for path in paths:
        shutil.copyfile(DATA / dataset / path, root / path)


def edit_info(root: Path, **changes: Any) -> None:
    path = root / "meta/info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_features(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change `features` of meta/info.json in place."""
    features = json.loads((root / "meta/info.json").read_text())["features"]
    change(features)
    edit_info(root, features=features)


def edit_statistics(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change meta/stats.json in place."""
    path = root / "meta/stats.json"
    statistics = json.loads(path.read_text())
    change(statistics)
    path.write_text(json.dumps(statistics))


def edit_parquet(
    root: Path,
    path: str,
    change: Callable[[list[pa.Table]], list[pa.Table]],
    *,
    has_page_index: bool | None = None,
) -> None:
    """Change the row groups of a file; each returned table becomes one. None keeps a page index where the file has one."""
    with pq.ParquetFile(root / path) as file:
        groups = [file.read_row_group(number) for number in range(file.num_row_groups)]
        had_page_index = file.num_row_groups > 0 and file.metadata.row_group(0).column(0).has_offset_index
    changed = change(groups)
    keeps = had_page_index if has_page_index is None else has_page_index
    with pq.ParquetWriter(root / path, changed[0].schema, write_page_index=keeps) as writer:
        for table in changed:
            writer.write_table(table, row_group_size=max(len(table), 1))


def data_files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.glob("data/*/*.parquet"))


def set_page_index(root: Path, has_page_index: bool) -> None:
    """Rewrite all data files, with or without a page index."""
    for path in data_files(root):
        edit_parquet(root, path, lambda groups: groups, has_page_index=has_page_index)


def episode_values(root: Path, column: str) -> list[Any]:
    return pq.read_table(root / EPISODES, columns=[column])[column].to_pylist()


def set_value(root: Path, path: str, column: str, row: int, value: Any) -> None:
    """Overwrite one value; row groups, schema and the other values stay the same."""
    set_values(root, path, {(column, row): value})


def set_values(root: Path, path: str, values: dict[tuple[str, int], Any]) -> None:
    def change(groups: list[pa.Table]) -> list[pa.Table]:
        changed, first = [], 0
        for table in groups:
            for (column, row), value in values.items():
                if first <= row < first + len(table):
                    table = with_value(table, column, row - first, value)
            changed.append(table)
            first += len(groups[len(changed) - 1])
        return changed

    edit_parquet(root, path, change)


def with_value(table: pa.Table, column: str, row: int, value: Any) -> pa.Table:
    position = table.schema.get_field_index(column)
    kind = table.schema.field(position).type
    new = [pa.array([value], kind) if not isinstance(value, pa.Array) else value]
    parts = [table[column].slice(0, row), pa.chunked_array(new, kind), table[column].slice(row + 1)]
    return table.set_column(
        position, table.schema.field(position), pa.chunked_array([c for p in parts for c in p.chunks], kind)
    )


def change_column(root: Path, path: str, column: str, change: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> None:
    """Replace the values of a column, and its type."""

    def change_groups(groups: list[pa.Table]) -> list[pa.Table]:
        place = groups[0].schema.get_field_index(column)
        return [table.set_column(place, column, change(table[column])) for table in groups]

    edit_parquet(root, path, change_groups)


def change_type(root: Path, path: str, column: str, kind: pa.DataType) -> None:
    change_column(root, path, column, lambda values: values.cast(kind))


def drop_column(root: Path, path: str, column: str) -> None:
    edit_parquet(root, path, lambda groups: [table.drop_columns(column) for table in groups])


def schema_metadata(root: Path, path: str) -> dict[str, str]:
    pairs = pq.read_schema(root / path).metadata or {}
    return {key.decode(): value.decode() for key, value in pairs.items()}


def change_metadata(root: Path, path: str, metadata: dict[str, str] | None) -> None:
    edit_parquet(root, path, lambda groups: [table.replace_schema_metadata(metadata) for table in groups])


def truncate(root: Path, path: str, size: int) -> None:
    with open(root / path, "r+b") as file:
        file.truncate(size)


def drop_rows(root: Path, path: str, *rows: int) -> None:
    def change(groups: list[pa.Table]) -> list[pa.Table]:
        kept, first = [], 0
        for table in groups:
            remaining = [row for row in range(len(table)) if first + row not in rows]
            kept.append(table.take(pa.array(remaining, pa.int64())))
            first += len(table)
        return kept

    edit_parquet(root, path, change)


def collapse(root: Path, path: str) -> None:
    edit_parquet(root, path, lambda groups: [pa.concat_tables(groups).combine_chunks()])


def edit_sidecar(
    root: Path,
    table: str,
    change: Callable[[pa.Table], pa.Table],
    *,
    metadata: dict[str, str] | None = None,
    **options: Any,
) -> None:
    """Rewrite a sidecar in the layout that the format requires, unless `options` change it."""
    path = root / f"meta/byte_index/{table}.parquet"
    old = pq.read_table(path)
    pairs = {key.decode(): value.decode() for key, value in old.schema.metadata.items()} | (metadata or {})
    new = change(old).replace_schema_metadata(pairs)
    mappable = {"compression": "none", "use_dictionary": False, "column_encoding": "PLAIN", "data_page_size": 1 << 30}
    with pq.ParquetWriter(path, new.schema, **{**mappable, "max_rows_per_page": (1 << 31) - 1, **options}) as writer:
        writer.write_table(new)


def same(table: pa.Table) -> pa.Table:
    return table


def sidecar_value(table: str, column: str, row: int, value: Any) -> Callable[[Path], None]:
    """Return a function that overwrites one value of a sidecar, by a value or a function of the old one."""

    def apply(root: Path) -> None:
        def change(old: pa.Table) -> pa.Table:
            new = value(old[column][row].as_py()) if callable(value) else value
            return with_value(old, column, row, new)

        edit_sidecar(root, table, change)

    return apply


def swap_rows(table: pa.Table, row: int) -> pa.Table:
    order = list(range(len(table)))
    order[row], order[row + 1] = order[row + 1], order[row]
    return table.take(order)


def optional_columns(table: pa.Table) -> pa.Table:
    return table.cast(pa.schema([pa.field(field.name, field.type) for field in table.schema]))


def other_version() -> dict[str, str]:
    return {sidecars.FORMAT_VERSION_KEY: "3"}


def older_version(root: Path) -> None:
    """Turn sidecars into those of format version 1."""
    metadata = {sidecars.FORMAT_VERSION_KEY: "1", sidecars.INDEX_VERSION_KEY: "1"}
    for name, (_, schema) in sidecars.TABLES.items():
        kept = sidecars.schema_of(name, version="1", found=schema).names
        edit_sidecar(root, name, methodcaller("select", kept), metadata=metadata)


def other_build() -> dict[str, str]:
    return {sidecars.BUILD_ID_KEY: "0" * 32}


def patch(root: Path, path: str, change: Callable[[bytearray], None]) -> None:
    file = root / path
    contents = bytearray(file.read_bytes())
    change(contents)
    # The file may be a link to the sample's.
    file.unlink()
    file.write_bytes(contents)


def box(contents: bytearray, kind: bytes) -> int:
    """Return the offset at which the payload of the only box of a kind starts."""
    place = contents.rindex(kind)
    assert contents.count(kind) == 1, f"{kind!r} is not unique"
    return place + 4


def set_timescale(contents: bytearray, ticks: int) -> None:
    struct.pack_into(">I", contents, box(contents, b"mdhd") + 12, ticks)


def set_sync_sample(contents: bytearray, entry: int, number: int) -> None:
    struct.pack_into(">I", contents, box(contents, b"stss") + 8 + 4 * entry, number)


def hide_sync_samples(contents: bytearray) -> None:
    """Make the stss box a free box, so that every sample counts as a sync sample."""
    at = contents.index(b"stss")
    contents[at : at + 4] = b"free"


def set_modification_time(contents: bytearray) -> None:
    struct.pack_into(">I", contents, box(contents, b"mvhd") + 8, 12345)


def delay_sample_run(contents: bytearray, run: int, ticks: int) -> None:
    place = box(contents, b"ctts") + 8 + 8 * run + 4
    (offset,) = struct.unpack_from(">i", contents, place)
    struct.pack_into(">i", contents, place, offset + ticks)


def second_video_track(contents: bytearray) -> None:
    """Append a copy of the track. The moov box must come last, so that no chunk moves."""
    moov, track = contents.rindex(b"moov") - 4, contents.rindex(b"trak") - 4
    (moov_size,), (track_size,) = struct.unpack_from(">I", contents, moov), struct.unpack_from(">I", contents, track)
    assert moov + moov_size == len(contents), "moov does not come last"
    contents += contents[track : track + track_size]
    struct.pack_into(">I", contents, moov, moov_size + track_size)


def append_free_box(contents: bytearray) -> None:
    contents += struct.pack(">I4s8x", 16, b"free")
