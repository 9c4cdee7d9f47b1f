"""Check the footers of the four sidecars, the index tables in `meta/byte_index/`: versions, builds and columns.

The rules of this module are IDX032, IDX034 and IDX037.

`examine_sidecars` also finds the byte offsets of the values of each column. With these offsets, a check of a video reads exactly
the rows that it compares, as arrays on the memory-mapped bytes of the table.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import EpiseekError, ReadError, first_line
from episeek.sidecars.column_chunks import stored_values, values_offset
from episeek.sidecars.mapped_table import Buffer, footer_metadata
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify.findings.arrays import Int64Array
from episeek_pipelines.verify.findings.checks import ColumnSegments, IndexedFile, SidecarTables
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.guard import guarded
from episeek_pipelines.verify.metadata.survey import Files
from episeek_pipelines.verify.rules import INDEXED_SPANS, OUTDATED, SIDECAR_FORMAT
from episeek_pipelines.verify.sidecars.buffers import sidecar_bytes
from episeek_schemas import layout, sidecars
from episeek_schemas.lerobot import DatasetInfo

TABLES = sidecars.TABLES


@dataclass(frozen=True, slots=True)
class ExaminedSidecars:
    """The contents of the footers of the four sidecars, and the rows of the sidecar `files`."""

    tables: SidecarTables | None
    """The row counts and byte offsets of the tables; None if a table breaks the format."""
    files: dict[str, IndexedFile]
    """Rows of the table `files` by the path of the MP4 file; empty if a table breaks the format."""
    findings: tuple[Finding, ...]


def examine_sidecars(root: Root, info: DatasetInfo, files: Files, totals: tuple[int, int]) -> ExaminedSidecars:
    """Return the contents of the footers of the four sidecars, the rows of the sidecar `files`, and the findings about them.

    Args:
        root: The dataset.
        info: Parsed meta/info.json.
        files: The listing of the dataset.
        totals: The number of episodes and of frames according to meta/episodes, from which the index step counts them.
    """
    declared = _declared(info, totals)
    findings: list[Finding] = []
    row_count: dict[str, int] = {}
    columns: dict[str, dict[str, ColumnSegments]] = {}
    builds: dict[str, str] = {}
    versions: dict[str, str] = {}
    indexed: dict[str, IndexedFile] = {}
    format_version = ""
    for name, (path, _) in TABLES.items():
        where = Location(file=path)
        if path not in files:
            findings.append(_broken("no such file, though other sidecar tables exist", "all four tables", where))
            continue
        versions[name] = str(files[path])
        with guarded(findings, "read footer", where):
            try:
                buffer = sidecar_bytes(root, path, versions[name])
                file = open_sidecar(buffer)
            except (pa.ArrowException, OSError, ValueError) as error:
                if isinstance(error, ReadError):
                    raise
                reason = error.found if isinstance(error, EpiseekError) else first_line(error).rstrip(".")
                findings.append(_broken(reason, "a Parquet file with its footer", where))
                continue
            footer, metadata = file.metadata, footer_metadata(file.metadata)
            row_count[name] = footer.num_rows
            builds[name] = metadata.get(sidecars.BUILD_ID_KEY, "")
            findings += _check_metadata(metadata, declared, where)
            format_version = metadata.get(sidecars.FORMAT_VERSION_KEY, "")
            schema = sidecars.schema_of(name, version=format_version, found=file.schema_arrow)
            broken = _check_schema(file, schema, where)
            findings += broken
            if broken:
                continue
            if name == "files":
                findings += _check_age(metadata)
                rows = file.read(use_threads=False).to_pylist()
                indexed = {row["file_path"]: IndexedFile(number, row) for number, row in enumerate(rows)}
            else:
                columns[name], unmappable = _find_columns(buffer, path, footer, schema)
                findings += unmappable
    findings += _check_builds(builds)
    is_sound = len(row_count) == len(TABLES) and not any(found.code == SIDECAR_FORMAT.code for found in findings)
    if not is_sound:
        return ExaminedSidecars(None, {}, tuple(findings))
    return ExaminedSidecars(
        SidecarTables(row_count, columns, versions, format_version, totals[0]), indexed, tuple(findings)
    )


def open_sidecar(buffer: Buffer) -> pq.ParquetFile:
    """Open a sidecar table as a Parquet file, from its bytes in memory."""
    return pq.ParquetFile(pa.BufferReader(pa.py_buffer(buffer)), pre_buffer=False)


def stored_rows(tables: SidecarTables, table: str, column: str) -> int:
    """Return the number of values of a column of a sidecar table."""
    return sum(rows for _, rows, _ in tables.columns[table][column].segments)


def read_rows(root: Root, tables: SidecarTables, table: str, column: str, rows: Int64Array) -> npt.NDArray[Any]:
    """Return the values of one column of a sidecar table in the given rows.

    Args:
        root: The dataset.
        tables: The sidecars of the dataset.
        table: Name of the table.
        column: Name of the column.
        rows: Numbers of the rows, from 0, in any order; shape [rows].

    Raises:
        IndexError: The table does not have one of the rows.
    """
    place = tables.columns[table][column]
    buffer = sidecar_bytes(root, TABLES[table][0], tables.versions[table])
    dtype = np.dtype(place.dtype)
    segments = [(first, stored_values(buffer, offset, count, dtype)) for first, count, offset in place.segments]
    if len(segments) == 1:
        return _picked(segments[0][1], rows, dtype)
    values = np.empty(len(rows), dtype)
    which = np.searchsorted([first for first, _ in segments], rows, side="right") - 1
    for number in np.unique(which).tolist():
        first, segment = segments[number]
        is_here = which == number
        values[is_here] = _picked(segment, rows[is_here] - first, dtype)
    return values


def _picked(segment: npt.NDArray[Any], rows: Int64Array, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    picked: npt.NDArray[Any] = segment[rows >> 3] >> (rows & 7) & 1 if dtype == np.bool_ else segment[rows]
    return picked


def _declared(info: DatasetInfo, totals: tuple[int, int]) -> dict[str, tuple[Any, str]]:
    """Return the values that the footers of the sidecars describe the dataset with, by key, each with the place that declares it.

    If meta/info.json has other totals than meta/episodes, INF009 reports them, and new sidecars would have the same totals.
    """
    return {
        "fps": (info.fps, layout.INFO_PATH),
        "total_episodes": (totals[0], layout.EPISODES_DIR),
        "total_frames": (totals[1], layout.EPISODES_DIR),
        "video_keys": (list(info.video_keys), layout.INFO_PATH),
    }


def _check_metadata(
    metadata: dict[str, str], declared: Mapping[str, tuple[Any, str]], where: Location
) -> list[Finding]:
    findings = []
    version = metadata.get(sidecars.FORMAT_VERSION_KEY)
    if not sidecars.is_readable_format(version):
        found = "no format version" if version is None else f"format version {version!r}"
        findings.append(_broken(found, sidecars.readable_formats(), where))
    try:
        described = json.loads(metadata.get(sidecars.DATASET_KEY, ""))
        recorded = {key: described.get(key) for key in declared}
    except (ValueError, AttributeError):
        found = f"no JSON object under the footer key {sidecars.DATASET_KEY!r}"
        return [*findings, _broken(found, "the description of the dataset", where)]
    for key, (expected, source) in declared.items():
        if recorded[key] != expected:
            found = f"sidecars built for {key} {recorded[key]!r}"
            findings.append(finding(INDEXED_SPANS, found, f"{expected!r}, as in {source}", where))
    return findings


def _check_age(metadata: dict[str, str]) -> Iterator[Finding]:
    """Yield IDX037 if the sidecars have an old version, which this release can read but does not write any more."""
    version = metadata.get(sidecars.FORMAT_VERSION_KEY)
    if version is not None and sidecars.is_readable_format(version):
        versions = sidecars.outdated(format_version=version, index_version=sidecars.index_version_of(metadata))
        if versions is not None:
            yield finding(OUTDATED, *versions, Location(file=layout.FILES_PATH))


def _check_schema(file: pq.ParquetFile, expected: pa.Schema, where: Location) -> list[Finding]:
    found = file.schema_arrow
    if found.names != expected.names:
        return [_broken(f"columns {', '.join(found.names)}", ", ".join(expected.names), where)]
    findings = []
    for position, field in enumerate(expected):
        at = Location(file=where.file, column=field.name)
        if found.field(position).type != field.type:
            findings.append(_broken(f"type {found.field(position).type}", str(field.type), at))
        elif file.schema.column(position).max_definition_level:
            findings.append(_broken("an OPTIONAL column", "a REQUIRED column", at))
    return findings


def _find_columns(
    buffer: Buffer, path: str, footer: pq.FileMetaData, schema: pa.Schema
) -> tuple[dict[str, ColumnSegments], list[Finding]]:
    columns: dict[str, ColumnSegments] = {}
    findings = []
    for group in range(footer.num_row_groups):
        rows = footer.row_group(group).num_rows
        if rows > sidecars.MAX_ROW_GROUP_ROWS:
            found, expected = f"{rows} rows in row group {group}", f"at most {sidecars.MAX_ROW_GROUP_ROWS}"
            findings.append(_broken(found, expected, Location(file=path)))
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
                where = Location(file=path, column=field.name)
                findings.append(_broken(f"a column that {reason}", "plain values that can be memory-mapped", where))
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
            where = Location(file=TABLES[name][0])
            same = f"build {expected or 'with an id'}, the same in all four tables"
            findings.append(_broken(f"build {build or 'without an id'}", same, where))
    return findings


def _broken(found: str, expected: str, where: Location) -> Finding:
    return finding(SIDECAR_FORMAT, found, expected, where)
