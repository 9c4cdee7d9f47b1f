"""The sidecars' footers: versions, builds, columns, layout (IDX034), and where in each file the values of a column are.

Nothing but footers and page headers is read here. With the places found, a check reads exactly the rows it compares,
over any store.
"""

import json
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from episeek.byte_source import ByteSource
from episeek.errors import EpiseekError, MissingFileError
from episeek.mapped_table import Buffer, footer_metadata, values_offset
from episeek_pipelines.storage import Root
from episeek_pipelines.verify.findings import Finding, Location, finding
from episeek_pipelines.verify.guard import guarded
from episeek_pipelines.verify.rules import INDEXED_SPANS, SIDECAR_FORMAT
from episeek_pipelines.verify.tasks import ColumnSegments, SidecarTables
from episeek_schemas import layout, sidecars
from episeek_schemas.lerobot import DatasetInfo

TABLES = sidecars.TABLES

_COALESCE_ROWS = 1 << 14
"""Rows between two wanted runs that are read rather than asked for separately."""


def examine_sidecars(root: Root, info: DatasetInfo) -> tuple[SidecarTables | None, list[Finding], int]:
    """Check the four footers.

    Returns:
        The tables, None when something was found against their format; the findings; the bytes read.
    """
    findings: list[Finding] = []
    row_count: dict[str, int] = {}
    columns: dict[str, dict[str, ColumnSegments]] = {}
    builds: dict[str, str] = {}
    bytes_read = 0
    for name, (path, schema) in TABLES.items():
        where = Location(file=path)
        with guarded(findings, "read footer", where):
            try:
                file = root.open_parquet(path)
            except MissingFileError:
                findings.append(_broken("no such file; expected all four sidecar tables", where))
                continue
            except EpiseekError as error:
                findings.append(_broken(f"{error.found}; expected {error.expected}", where))
                continue
            with file:
                footer, metadata = file.metadata, footer_metadata(file.metadata)
                row_count[name] = footer.num_rows
                bytes_read += footer.serialized_size
                builds[name] = metadata.get(sidecars.BUILD_ID_KEY, "")
                findings += _check_metadata(metadata, info, where)
                broken = _check_schema(file, schema, where)
                findings += broken
                if not broken and name != "files":
                    columns[name], unmappable = _find_columns(root, path, footer, schema)
                    findings += unmappable
    findings += _check_builds(builds)
    is_sound = len(row_count) == len(TABLES) and not any(found.code == SIDECAR_FORMAT.code for found in findings)
    return SidecarTables(row_count, columns) if is_sound else None, findings, bytes_read


def read_runs(
    source: ByteSource, tables: SidecarTables, table: str, column: str, runs: Sequence[tuple[int, int]]
) -> list[npt.NDArray[Any]]:
    """Rows `[start, stop)` of one column for each of some runs; runs that lie close together share a request."""
    if not runs:
        return []
    order = sorted(range(len(runs)), key=lambda number: runs[number])
    groups: list[tuple[int, int]] = []
    group_of = [0] * len(runs)
    for number in order:
        start, stop = runs[number]
        if groups and start <= groups[-1][1] + _COALESCE_ROWS:
            groups[-1] = (groups[-1][0], max(groups[-1][1], stop))
        else:
            groups.append((start, stop))
        group_of[number] = len(groups) - 1
    place = tables.columns[table][column]
    dtype = np.dtype(place.dtype).newbyteorder("<")
    parts: list[tuple[int, int]] = []
    part_group: list[int] = []
    for number, (start, stop) in enumerate(groups):
        for first_row, rows, offset in place.segments:
            begin, end = max(start, first_row), min(stop, first_row + rows)
            if begin < end:
                parts.append(
                    (offset + (begin - first_row) * dtype.itemsize, offset + (end - first_row) * dtype.itemsize)
                )
                part_group.append(number)
    pieces: list[list[bytes]] = [[] for _ in groups]
    for number, part in zip(part_group, source.get_ranges(TABLES[table][0], parts), strict=True):
        pieces[number].append(part)
    values = [np.frombuffer(b"".join(part), dtype) for part in pieces]
    return [
        values[group_of[number]][start - groups[group_of[number]][0] : stop - groups[group_of[number]][0]]
        for number, (start, stop) in enumerate(runs)
    ]


def _check_metadata(metadata: dict[str, str], info: DatasetInfo, where: Location) -> list[Finding]:
    findings = []
    version = metadata.get(sidecars.FORMAT_VERSION_KEY)
    if version != str(sidecars.FORMAT_VERSION):
        found = "no format version" if version is None else f"format version {version!r}"
        findings.append(_broken(f"{found}; expected {sidecars.FORMAT_VERSION}", where))
    try:
        described = json.loads(metadata.get(sidecars.DATASET_KEY, ""))
        described_facts = {key: described.get(key) for key in ("fps", "total_episodes", "total_frames", "video_keys")}
    except (ValueError, AttributeError):
        return [
            *findings,
            _broken(f"no JSON object under {sidecars.DATASET_KEY!r}; expected the dataset's facts", where),
        ]
    facts: dict[str, Any] = {
        "fps": info.fps,
        "total_episodes": info.total_episodes,
        "total_frames": info.total_frames,
        "video_keys": list(info.video_keys),
    }
    for key, expected in facts.items():
        if described_facts[key] != expected:
            message = f"built for {key} {described_facts[key]!r}; expected {expected!r} as in {layout.INFO_PATH}"
            findings.append(finding(INDEXED_SPANS, message, where))
    return findings


def _check_schema(file: pq.ParquetFile, expected: pa.Schema, where: Location) -> list[Finding]:
    found = file.schema_arrow
    if found.names != expected.names:
        return [_broken(f"columns {', '.join(found.names)}; expected {', '.join(expected.names)}", where)]
    findings = []
    for position, field in enumerate(expected):
        at = Location(file=where.file, column=field.name)
        if found.field(position).type != field.type:
            findings.append(_broken(f"type {found.field(position).type}; expected {field.type}", at))
        elif file.schema.column(position).max_definition_level:
            findings.append(_broken("an optional column; expected a REQUIRED one", at))
    return findings


def _find_columns(
    root: Root, path: str, footer: pq.FileMetaData, schema: pa.Schema
) -> tuple[dict[str, ColumnSegments], list[Finding]]:
    buffer = cast(Buffer, _RemoteBuffer(root.source(), path))
    columns: dict[str, ColumnSegments] = {}
    findings = []
    for group in range(footer.num_row_groups):
        rows = footer.row_group(group).num_rows
        if rows > sidecars.MAX_ROW_GROUP_ROWS:
            message = f"{rows} rows in row group {group}; expected at most {sidecars.MAX_ROW_GROUP_ROWS}"
            findings.append(_broken(message, Location(file=path)))
    for position, field in enumerate(schema):
        if field.name in sidecars.UNMAPPED_COLUMNS:
            continue
        dtype = np.dtype(field.type.to_pandas_dtype())
        segments = []
        first_row = 0
        for group in range(footer.num_row_groups):
            rows = footer.row_group(group).num_rows
            chunk = footer.row_group(group).column(position)
            offset, reason = values_offset(buffer, chunk, footer.schema.column(position), rows, dtype)
            if reason:
                message = f"a column that {reason}; expected plain values that can be mapped"
                findings.append(_broken(message, Location(file=path, column=field.name)))
                break
            segments.append((first_row, rows, offset))
            first_row += rows
        columns[field.name] = ColumnSegments(dtype.str, tuple(segments))
    return columns, findings


def _check_builds(builds: dict[str, str]) -> list[Finding]:
    findings = []
    expected = builds.get("files", "")
    for name, build in builds.items():
        if not build or (expected and build != expected):
            message = f"build {build or 'without an id'}; expected {expected or 'an id'}, the same in all four tables"
            findings.append(_broken(message, Location(file=TABLES[name][0])))
    return findings


def _broken(message: str, where: Location) -> Finding:
    return finding(SIDECAR_FORMAT, message, where)


class _RemoteBuffer:
    """The bytes of a file, read where they are looked at: as much of a buffer as finding the values needs."""

    def __init__(self, source: ByteSource, path: str) -> None:
        self._source = source
        self._path = path
        self._size = source.identity(path).size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        return self._source.get_ranges(self._path, [(part.start, min(part.stop, self._size))])[0]
