"""Rules that compare a rewritten dataset with its source: INF021, EPI021, ROW021. Streaming, an episode at a time."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import MissingFileError, ParquetError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.parquet.episode_runs import READ_OPTIONS
from episeek_pipelines.parquet.exact_values import first_difference
from episeek_pipelines.parquet.row_cursor import RowCursor
from episeek_pipelines.verify.findings.arrays import Int64Array
from episeek_pipelines.verify.findings.checks import SourceFile
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.guard import guarded
from episeek_pipelines.verify.rules import EPISODES_CHANGED, INFO_CHANGED, ROWS_CHANGED, UNREADABLE, Rule
from episeek_schemas import layout, lerobot

_BLOCK_ROWS = 1 << 12
_MAY_CHANGE = frozenset({lerobot.DATA_CHUNK_INDEX, lerobot.DATA_FILE_INDEX})


def compare_data_file(
    against: Root, file: SourceFile, rewritten: Mapping[str, pq.ParquetFile]
) -> tuple[list[Finding], int]:
    """ROW021: every episode of one source file has the same rows in the rewritten dataset.

    Args:
        against: The source.
        file: Its file, and where its episodes are now.
        rewritten: Open files by path; what is not there could not be opened, which its own check says.

    Returns:
        The findings, and the bytes read.
    """
    findings: list[Finding] = []
    bytes_read = 0
    with guarded(findings, "compare rows", Location(file=file.path)):
        try:
            source = against.open_parquet(file.path, **READ_OPTIONS)
        except (MissingFileError, ParquetError) as error:
            where = Location(file=against.join(file.path))
            message = f"the source has {error.found}; expected the rows to compare with"
            return [finding(UNREADABLE, message, where)], 0
        with source:
            original = RowCursor(source)
            rows = _episode_rows(source)
            bytes_read += source.metadata.serialized_size
            for number, path in enumerate(file.rewritten_paths):
                if path not in rewritten:
                    continue
                episodes = file.episode_index[file.rewritten_file == number]
                with guarded(findings, "compare rows", Location(file=path)):
                    output = rewritten[path]
                    findings += _schema_differences(output.schema_arrow, source.schema_arrow, ROWS_CHANGED, path)
                    names = _shared_columns(source, output)
                    copy, copied_rows = RowCursor(output), _episode_rows(output)
                    # in the order of the source's rows: both files are then read once, from front to back
                    for episode in sorted(episodes.tolist(), key=lambda e: rows.get(e, (0, 0))):
                        findings += _compare_episode(
                            original, rows.get(episode), copy, copied_rows.get(episode), names, path, episode
                        )
                    bytes_read += copy.bytes_read
            bytes_read += original.bytes_read
    return findings, bytes_read


@dataclass(slots=True)
class EpisodesComparison:
    """EPI021 on one file of meta/episodes, some rows at a time."""

    path: str
    source: pq.ParquetFile
    columns: tuple[str, ...]
    """Those that may not change; none where rows cannot be compared."""
    _cursor: RowCursor

    @property
    def bytes_read(self) -> int:
        """Of the source."""
        return int(self.source.metadata.serialized_size) + self._cursor.bytes_read

    def differences(self, table: pa.Table, first_row: int) -> Iterator[Finding]:
        """What differs in these rows of the rewritten file."""
        expected = self._cursor.read(first_row, table.num_rows)
        for name in self.columns:
            where = Location(file=self.path, column=name)
            yield from _compare_column(EPISODES_CHANGED, expected[name], table[name], where, first_row)


@contextmanager
def compare_episodes(
    against: Root, path: str, rewritten: pq.ParquetFile, findings: list[Finding], *, file_size: int | None = None
) -> Iterator[EpisodesComparison | None]:
    """Open the source's file of the same name; what its schema says goes into `findings`. None where there is none.

    `file_size` is what a listing says of it.
    """
    where = Location(file=path)
    try:
        source = against.open_parquet(path, file_size=file_size)
    except MissingFileError:
        message = "a file that the source does not have; expected the same files"
        findings.append(finding(EPISODES_CHANGED, message, where))
        yield None
        return
    with source:
        findings += _schema_differences(rewritten.schema_arrow, source.schema_arrow, EPISODES_CHANGED, path)
        found, expected = rewritten.metadata.num_rows, source.metadata.num_rows
        if found != expected:
            findings.append(finding(EPISODES_CHANGED, f"{found} rows; expected {expected}, as in the source", where))
            names = []
        else:
            names = [name for name in _shared_columns(source, rewritten) if name not in _MAY_CHANGE]
        yield EpisodesComparison(path, source, tuple(names), RowCursor(source, columns=names))


def check_documents(found: Mapping[str, bytes], expected: Mapping[str, bytes]) -> Iterator[Finding]:
    """INF021: tasks, statistics and the like byte for byte; meta/info.json by its contents.

    Args:
        found: Files below meta/ of the rewritten dataset, by path.
        expected: Those of the source; each has to be there.
    """
    for path, old in expected.items():
        where = Location(file=path)
        if path not in found:
            yield finding(INFO_CHANGED, "no such file; expected it as in the source", where)
        elif found[path] != old and path == layout.INFO_PATH:
            yield from _compare_info(found[path], old)
        elif found[path] != old:
            yield finding(INFO_CHANGED, f"{len(found[path])} other bytes; expected the {len(old)} of the source", where)


def _compare_info(found: bytes, expected: bytes) -> Iterator[Finding]:
    new, old = json.loads(found), json.loads(expected)
    for key in sorted({*new, *old}):
        if new.get(key) != old.get(key) or (key in new) != (key in old):
            message = (
                f"{str(new.get(key, 'nothing'))[:60]}; expected {str(old.get(key, 'nothing'))[:60]}, as in the source"
            )
            yield finding(INFO_CHANGED, message, Location(file=layout.INFO_PATH, column=key))


def _compare_episode(
    original: RowCursor,
    rows: tuple[int, int] | None,
    copy: RowCursor,
    copied_rows: tuple[int, int] | None,
    names: list[str],
    path: str,
    episode: int,
) -> Iterator[Finding]:
    expected = rows[1] if rows else 0
    found = copied_rows[1] if copied_rows else 0
    if found != expected:
        message = f"{found} rows; expected {expected}, as in the source"
        yield finding(ROWS_CHANGED, message, Location(file=path, episode=episode))
        return
    if rows is None or copied_rows is None:
        return
    before, after = original.read(*rows), copy.read(*copied_rows)
    for name in names:
        where = Location(file=path, episode=episode, column=name)
        yield from _compare_column(ROWS_CHANGED, before[name], after[name], where, copied_rows[0])


def _compare_column(
    rule: Rule, expected: pa.ChunkedArray, found: pa.ChunkedArray, where: Location, first_row: int
) -> Iterator[Finding]:
    if expected.type != found.type:  # said once, by the schema
        return
    row = first_difference(found, expected)
    if row is not None:
        at = Location(where.file, where.episode, where.camera, first_row + row, where.column)
        message = f"{_text(found[row])}; expected {_text(expected[row])}, as in the source"
        yield finding(rule, message, at)


def _schema_differences(found: pa.Schema, expected: pa.Schema, rule: Rule, path: str) -> list[Finding]:
    if found.equals(expected, check_metadata=True):
        return []
    where = Location(file=path)
    if found.names != expected.names:
        lost = [name for name in expected.names if name not in found.names]
        new = [name for name in found.names if name not in expected.names]
        told = (
            f"without {', '.join(lost)}" * bool(lost)
            + " and " * bool(lost and new)
            + f"with {', '.join(new)}" * bool(new)
        )
        return [finding(rule, f"columns {told or 'in another order'}; expected those of the source", where)]
    findings = []
    for new, old in zip(found, expected, strict=True):
        if not new.equals(old, check_metadata=True):
            at = Location(file=path, column=new.name)
            message = f"{_field_text(new)}; expected {_field_text(old)}, as in the source"
            findings.append(finding(rule, message, at))
    for key in sorted({*(found.metadata or {}), *(expected.metadata or {})}):
        new_value, old_value = (found.metadata or {}).get(key), (expected.metadata or {}).get(key)
        if new_value != old_value:
            message = (
                f"schema metadata {key.decode('utf-8', 'replace')!r} {_bytes_text(new_value)}; "
                f"expected {_bytes_text(old_value)}, as in the source"
            )
            findings.append(finding(rule, message, where))
    return findings


def _shared_columns(source: pq.ParquetFile, rewritten: pq.ParquetFile) -> list[str]:
    there = set(rewritten.schema_arrow.names)
    return [name for name in source.schema_arrow.names if name in there]


def _episode_rows(file: pq.ParquetFile) -> dict[int, tuple[int, int]]:
    """(first row, rows) of each episode: all rows of it, when they lie together."""
    if lerobot.EPISODE_INDEX not in file.schema_arrow.names:
        return {}
    parts = [
        np.asarray(batch.column(0).to_numpy(zero_copy_only=False))
        for batch in file.iter_batches(1 << 16, columns=[lerobot.EPISODE_INDEX], use_threads=False)
    ]
    index: Int64Array = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    starts = np.concatenate([[0], np.flatnonzero(index[1:] != index[:-1]) + 1]) if len(index) else np.zeros(0, np.int64)
    lengths = np.diff(np.append(starts, len(index)))
    rows: dict[int, tuple[int, int]] = {}
    for episode, start, length in zip(index[starts].tolist(), starts.tolist(), lengths.tolist(), strict=True):
        rows.setdefault(episode, (start, length))  # a second run is ROW015
    return rows


def _field_text(field: pa.Field) -> str:
    nulls = "" if field.nullable else " not null"
    return f"type {field.type}{nulls}" + (f" with metadata {field.metadata}" if field.metadata else "")


def _bytes_text(value: bytes | None) -> str:
    return "missing" if value is None else f"of {len(value)} bytes"


def _text(value: pa.Scalar) -> str:
    text = repr(value.as_py())
    return text if len(text) <= 60 else f"{text[:57]}..."
