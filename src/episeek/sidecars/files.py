"""Opening the four sidecar tables together: format version, one build, known columns; mapped where they lie on this machine.

Tables in a store are fetched whole, once, and mapped from where they are kept (`episeek.sidecars.local_copies`).
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from episeek.errors import (
    FormatVersionError,
    MissingFileError,
    MissingSidecarError,
    MixedBuildError,
    SidecarLayoutError,
    first_line,
)
from episeek.sidecars.local_copies import local_copy
from episeek.sidecars.mapped_table import (
    Buffer,
    MappedTable,
    footer_metadata,
    open_buffer,
    open_table,
    read_footer,
    read_whole,
)
from episeek.stores.byte_source import ByteSource
from episeek.stores.processes.workers import map_in_threads
from episeek.stores.transports.local import LocalSource
from episeek_schemas import sidecars


@dataclass(frozen=True, slots=True)
class IndexedDataset:
    """What the footers say of the dataset."""

    video_keys: tuple[str, ...]
    """Cameras, in camera_index order."""
    fps: float
    episode_count: int
    frame_count: int


@dataclass(frozen=True, slots=True, eq=False)
class SidecarFiles:
    """The four tables of one build."""

    where: Mapping[str, str]
    """Path or URL of each table."""
    build_id: str
    dataset: IndexedDataset
    files: pa.Table
    tables: Mapping[str, MappedTable]
    """The mapped ones: episodes, keyframes, samples."""


def open_sidecars(source: ByteSource) -> SidecarFiles:
    """Open and check the tables below a dataset root.

    Raises:
        MissingSidecarError, FormatVersionError, MixedBuildError, SidecarLayoutError: By what is wrong.
    """
    where = {name: f"{source.root}/{path}" for name, (path, _) in sidecars.TABLES.items()}
    paths = [path for path, _ in sidecars.TABLES.values()]
    in_flight = 1 if isinstance(source, LocalSource) else len(paths)
    buffers = dict(zip(where, map_in_threads(partial(_buffer, source), paths, max_in_flight=in_flight), strict=True))
    metadata = {name: footer_metadata(read_footer(buffers[name], where=where[name])) for name in buffers}
    for name, facts in metadata.items():
        check_version(facts, where[name])
    build_id = check_build(metadata, where)
    tables = {
        name: open_table(buffers[name], schema, name=name, where=where[name], unmapped=sidecars.UNMAPPED_COLUMNS)
        for name, (_, schema) in sidecars.TABLES.items()
        if name != "files"
    }
    files = _read_files(buffers["files"], where["files"])
    dataset = _dataset_facts(metadata["files"], where["files"])
    expected_rows = dataset.episode_count * len(dataset.video_keys)
    if tables["episodes"].row_count != expected_rows:
        raise SidecarLayoutError(
            where["episodes"],
            f"{tables['episodes'].row_count} rows",
            f"{expected_rows}: {dataset.episode_count} episodes of {len(dataset.video_keys)} cameras",
        )
    return SidecarFiles(where, build_id, dataset, files, tables)


def _buffer(source: ByteSource, path: str) -> Buffer:
    if isinstance(source, LocalSource):
        return open_buffer(os.path.join(source.root, path))
    try:
        kept = local_copy(source, path)
        if kept is not None:
            with suppress(MissingSidecarError):  # another process has replaced it by a new version
                return open_buffer(str(kept))
        return source.get_ranges(path, [(0, source.identity(path).size)])[0]
    except MissingFileError:
        raise MissingSidecarError(
            f"{source.root}/{path}", "no such file", "a sidecar table: run `episeek prepare`"
        ) from None


def check_version(metadata: Mapping[str, str], where: str) -> None:
    """Whether a table's footer says the format version this release knows. Raises FormatVersionError."""
    version = metadata.get(sidecars.FORMAT_VERSION_KEY)
    if version != str(sidecars.FORMAT_VERSION):
        found = "no format version" if version is None else f"format version {version!r}"
        raise FormatVersionError(where, found, f"version {sidecars.FORMAT_VERSION}: write it anew with `episeek index`")


def check_build(metadata: Mapping[str, Mapping[str, str]], where: Mapping[str, str]) -> str:
    """The id of the build that the four tables are of, by their footers and paths. Raises MixedBuildError."""
    builds = {name: facts.get(sidecars.BUILD_ID_KEY, "") for name, facts in metadata.items()}
    for name, build in builds.items():
        if build != builds["files"] or not build:
            raise MixedBuildError(
                where[name], f"build {build or 'without an id'}", f"build {builds['files']} as in {where['files']}"
            )
    return builds["files"]


def _dataset_facts(metadata: dict[str, str], where: str) -> IndexedDataset:
    try:
        facts: dict[str, Any] = json.loads(metadata[sidecars.DATASET_KEY])
        cameras = tuple(facts["video_keys"])
        dataset = IndexedDataset(cameras, float(facts["fps"]), int(facts["total_episodes"]), int(facts["total_frames"]))
    except (KeyError, TypeError, ValueError) as error:
        found = f"footer entry {sidecars.DATASET_KEY!r}: {type(error).__name__} {first_line(error)}"
        raise SidecarLayoutError(where, found, "the dataset's facts as JSON") from None
    if not all(isinstance(key, str) for key in cameras) or dataset.episode_count < 0:
        raise SidecarLayoutError(
            where, f"footer entry {sidecars.DATASET_KEY!r}: {facts}", "the dataset's facts as JSON"
        )
    return dataset


def _read_files(buffer: Buffer, where: str) -> pa.Table:
    try:
        table = read_whole(buffer)
    except (pa.ArrowException, OSError) as error:
        raise SidecarLayoutError(where, first_line(error), "a readable Parquet table") from None
    if table.schema.names != sidecars.FILES.names or table.schema.types != sidecars.FILES.types:
        found = ", ".join(f"{field.name} {field.type}" for field in table.schema)
        raise SidecarLayoutError(
            where,
            f"columns {found}",
            f"columns {sidecars.FILES.names} of the format's types: write it anew with `episeek index`",
        )
    for name in table.schema.names:
        if table[name].null_count:
            raise SidecarLayoutError(
                where, f"{table[name].null_count} nulls in column {name!r}", "a value in every row"
            )
    return table
