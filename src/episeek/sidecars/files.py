"""Open the four sidecars (the tables of the video index) together, and check their format version, their build and their columns.

Tables on this machine are mapped. Of each table in a store, the last bytes are fetched first. A small table is then complete. Of
the larger tables, `files` and `episodes` are fetched whole. Rows of `keyframes` and `samples` are fetched when they are needed
(`episeek.sidecars.row_blocks`). Fetched bytes are stored on this machine and mapped (`episeek.sidecars.local_copies`).
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import (
    FormatVersionError,
    MissingFileError,
    MissingSidecarError,
    MixedBuildError,
    SidecarLayoutError,
    first_line,
)
from episeek.sidecars.mapped_table import (
    Buffer,
    MappedTable,
    footer_metadata,
    open_buffer,
    open_table,
    read_footer,
    read_whole,
)
from episeek.sidecars.remote_file import RemoteFile, open_remote_file
from episeek.sidecars.row_blocks import open_in_blocks
from episeek.stores.byte_source import StoreSource
from episeek.stores.processes.workers import map_in_threads
from episeek.stores.transports.local import LocalSource
from episeek_schemas import sidecars

_WHOLE = ("files", "episodes")
"""Tables that are fetched whole: all rows of `files` are decoded, and every lookup needs a row of `episodes`, a table with one row
for hundreds of rows of `samples`.
"""

_DATASET_ENTRY = "properties of the dataset as JSON"


@dataclass(frozen=True, slots=True)
class IndexedDataset:
    """Properties of the dataset from the footer of the `files` table."""

    video_keys: tuple[str, ...]
    """Keys of the cameras, in the order of camera_index."""
    fps: float
    episode_count: int
    frame_count: int


@dataclass(frozen=True, slots=True, eq=False)
class SidecarFiles:
    """The four sidecar tables, all of one build."""

    where: Mapping[str, str]
    """Path or URL of each table, by its name."""
    build_id: str
    dataset: IndexedDataset
    files: pa.Table
    tables: Mapping[str, MappedTable]
    """The mapped tables: episodes, keyframes and samples."""


def open_sidecars(source: StoreSource) -> SidecarFiles:
    """Open and check the sidecar tables of a dataset.

    Args:
        source: The source of the dataset's root.

    Raises:
        MissingSidecarError: A table is missing.
        FormatVersionError: A table has no format version, or a version that this release does not know.
        MixedBuildError: The tables come from different builds.
        SidecarLayoutError: A table has other columns or types, or is damaged.
    """
    where = {name: f"{source.root}/{path}" for name, (path, _) in sidecars.TABLES.items()}
    in_flight = 1 if isinstance(source, LocalSource) else len(where)
    opened = dict(
        zip(where, map_in_threads(partial(_opened, source), list(where), max_in_flight=in_flight), strict=True)
    )
    footers = {name: _footer(file, where[name]) for name, file in opened.items()}
    metadata = {name: footer_metadata(footer) for name, footer in footers.items()}
    for name, entries in metadata.items():
        check_version(entries, where[name])
    build_id = check_build(metadata, where)
    schemas = {
        name: sidecars.schema_of(
            name, version=metadata[name][sidecars.FORMAT_VERSION_KEY], found=footer.schema.to_arrow_schema()
        )
        for name, footer in footers.items()
    }
    tables = {
        name: open_in_blocks(file, schema, name=name)
        if isinstance(file := opened[name], RemoteFile)
        else open_table(file, schema, name=name, where=where[name], unmapped=sidecars.UNMAPPED_COLUMNS)
        for name, schema in schemas.items()
        if name != "files"
    }
    whole = opened["files"]
    assert not isinstance(whole, RemoteFile)
    files = _read_files(whole, schemas["files"], where["files"])
    dataset = _read_dataset(metadata["files"], where["files"])
    expected_rows = dataset.episode_count * len(dataset.video_keys)
    if tables["episodes"].row_count != expected_rows:
        raise SidecarLayoutError(
            where["episodes"],
            f"{tables['episodes'].row_count} rows",
            f"{expected_rows} rows, for {dataset.episode_count} episodes of {len(dataset.video_keys)} cameras",
        )
    return SidecarFiles(where, build_id, dataset, files, tables)


def _opened(source: StoreSource, name: str) -> Buffer | RemoteFile:
    path, _ = sidecars.TABLES[name]
    if isinstance(source, LocalSource):
        return open_buffer(os.path.join(source.root, path))
    try:
        return open_remote_file(source, path, whole=name in _WHOLE)
    except MissingSidecarError:
        # another process has just replaced the local copy with a copy of a new version
        return source.get_ranges(path, [(0, source.identity(path).size)])[0]
    except MissingFileError:
        where, hint = f"{source.root}/{path}", "run `episeek prepare` or `episeek index`"
        raise MissingSidecarError(where, "no such file", "a sidecar table", hint) from None


def _footer(file: Buffer | RemoteFile, where: str) -> pq.FileMetaData:
    return file.footer if isinstance(file, RemoteFile) else read_footer(file, where=where)


def check_version(metadata: Mapping[str, str], where: str) -> None:
    """Raise FormatVersionError unless a table's footer has a format version that this release reads."""
    version = metadata.get(sidecars.FORMAT_VERSION_KEY)
    if not sidecars.is_readable_format(version):
        found = "no format version" if version is None else f"format version {version!r}"
        hint = "write the sidecars again with `episeek index`"
        raise FormatVersionError(where, found, sidecars.readable_formats(), hint)


def check_build(metadata: Mapping[str, Mapping[str, str]], where: Mapping[str, str]) -> str:
    """Return the id of the build from which all tables come.

    Args:
        metadata: Key-value metadata of each table's footer, by the table's name.
        where: Path or URL of each table, for messages.

    Raises:
        MixedBuildError: A table has no build id, or the build ids differ.
    """
    builds = {name: footer.get(sidecars.BUILD_ID_KEY, "") for name, footer in metadata.items()}
    for name, build in builds.items():
        if build != builds["files"] or not build:
            raise MixedBuildError(
                where[name],
                f"build {build or 'without an id'}",
                f"build {builds['files']}, as in {where['files']}",
                "run `episeek index` again",
            )
    return builds["files"]


def _read_dataset(metadata: dict[str, str], where: str) -> IndexedDataset:
    try:
        entry: dict[str, Any] = json.loads(metadata[sidecars.DATASET_KEY])
        cameras = tuple(entry["video_keys"])
        dataset = IndexedDataset(cameras, float(entry["fps"]), int(entry["total_episodes"]), int(entry["total_frames"]))
    except (KeyError, TypeError, ValueError) as error:
        found = f"footer entry {sidecars.DATASET_KEY!r}: {type(error).__name__} {first_line(error)}"
        raise SidecarLayoutError(where, found, _DATASET_ENTRY) from None
    if not all(isinstance(key, str) for key in cameras) or dataset.episode_count < 0:
        raise SidecarLayoutError(where, f"footer entry {sidecars.DATASET_KEY!r}: {entry}", _DATASET_ENTRY)
    return dataset


def with_current_columns(files: pa.Table) -> pa.Table:
    """Return a `files` table of any readable format version with the columns of the current version.

    Columns that an older version does not have are filled with empty bytes, or with 0.
    """
    for position, field in enumerate(sidecars.FILES):
        if field.name not in files.column_names:
            value = b"" if pa.types.is_binary(field.type) else 0
            files = files.add_column(position, field, pa.array([value] * files.num_rows, field.type))
    return files


def _read_files(buffer: Buffer, schema: pa.Schema, where: str) -> pa.Table:
    try:
        table = read_whole(buffer)
    except (pa.ArrowException, OSError) as error:
        raise SidecarLayoutError(where, first_line(error), "a readable Parquet table") from None
    if table.schema.names != schema.names or table.schema.types != schema.types:
        found = ", ".join(f"{field.name} {field.type}" for field in table.schema)
        raise SidecarLayoutError(
            where,
            f"columns {found}",
            f"columns {schema.names} of the format's types",
            "run `episeek index` again",
        )
    for name in table.schema.names:
        if table[name].null_count:
            raise SidecarLayoutError(
                where, f"{table[name].null_count} nulls in column {name!r}", "a value in every row"
            )
    return with_current_columns(table)
