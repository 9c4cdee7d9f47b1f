"""ROW021: compare the rows of a rewritten dataset with those of its source, one episode at a time."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import MissingFileError, ParquetError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.v2.root import V2Root
from episeek_pipelines.parquet.arrow_types import differ_in_lists
from episeek_pipelines.parquet.episode_runs import READ_OPTIONS
from episeek_pipelines.parquet.row_cursor import RowCursor
from episeek_pipelines.verify.findings.arrays import Int64Array
from episeek_pipelines.verify.findings.checks import SourceFile
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.guard import guarded
from episeek_pipelines.verify.findings.source_differences import compare_column, schema_differences, shared_columns
from episeek_pipelines.verify.rules import ROWS_CHANGED, UNREADABLE
from episeek_pipelines.words import counted
from episeek_schemas import lerobot

_BLOCK_ROWS = 1 << 12


def compare_data_file(
    against: Root, file: SourceFile, rewritten: Mapping[str, pq.ParquetFile]
) -> tuple[list[Finding], int]:
    """Find the episodes of one source file whose rows differ in the rewritten dataset (ROW021).

    Args:
        against: The source dataset.
        file: A data file of the source, and the rewritten files that contain its episodes.
        rewritten: Open rewritten files by path. Files that could not be opened have no entry, since their own checks report them.

    Returns:
        The findings, and the number of bytes read.
    """
    findings: list[Finding] = []
    bytes_read = 0
    # Several files of a source of version 2.x are merged into one.
    is_alone = not isinstance(against, V2Root)
    episodes_of = {
        path: file.episode_index[file.rewritten_file == number].tolist()
        for number, path in enumerate(file.rewritten_paths)
        if path in rewritten
    }
    misplaced: dict[str, list[int]] = {}
    with guarded(findings, "compare rows", Location(file=file.path)):
        try:
            source = against.open_parquet(file.path, **READ_OPTIONS)
        except MissingFileError:
            misplaced = episodes_of
        except ParquetError as error:
            where = Location(file=against.join(file.path))
            return [finding(UNREADABLE, f"{error.found} in the source", "readable rows to compare with", where)], 0
        else:
            with source:
                original, rows = RowCursor(source), _episode_rows(source)
                bytes_read += source.metadata.serialized_size
                for path, episodes in episodes_of.items():
                    misplaced[path] = [episode for episode in episodes if episode not in rows]
                    with guarded(findings, "compare rows", Location(file=path)):
                        found, count = _compare_episodes(
                            source, original, rows, rewritten[path], path, episodes, is_alone=is_alone
                        )
                        findings += found
                        bytes_read += count
                bytes_read += original.bytes_read
        for path, wanted in misplaced.items():
            with guarded(findings, "compare rows", Location(file=path)):
                found, count = _compare_misplaced(against, file.path, rewritten[path], path, wanted)
                findings += found
                bytes_read += count
    return findings, bytes_read


def _compare_episodes(
    source: pq.ParquetFile,
    original: RowCursor,
    rows: Mapping[int, tuple[int, int]],
    output: pq.ParquetFile,
    path: str,
    episodes: Sequence[int],
    *,
    is_alone: bool,
) -> tuple[list[Finding], int]:
    """Compare the rows of the given episodes in a source file with the rows in a rewritten file.

    Args:
        source: The source file.
        original: The rows of the source file.
        rows: (first row, number of rows) of each episode in the source file.
        output: The rewritten file.
        path: Path of the rewritten file.
        episodes: The episodes that the rewritten file should contain.
        is_alone: Whether all rows of the rewritten file come from this source file, so that both must have the same schema.

    Returns:
        The findings, and the number of bytes read of the rewritten file.
    """
    # Episodes are compared in the order of the source's rows, so that both files are read once, from start to end.
    held = sorted(rows.keys() & {*episodes}, key=lambda episode: rows[episode])
    if not held:
        return [], 0
    schema = source.schema_arrow if is_alone else _as_merged(source.schema_arrow, output.schema_arrow)
    findings = schema_differences(output.schema_arrow, schema, ROWS_CHANGED, path)
    names = shared_columns(source, output)
    copy, copied_rows = RowCursor(output), _episode_rows(output)
    for episode in held:
        findings += _compare_episode(original, rows[episode], copy, copied_rows.get(episode), names, path, episode)
    return findings, copy.bytes_read


def _as_merged(source: pa.Schema, output: pa.Schema) -> pa.Schema:
    """Return the schema `source` of one source file, with the changes that merging several files into `output` may have made.

    The first of the merged files decides the order of the columns, the type of the lists in each column, and the metadata.
    """
    if sorted(source.names) != sorted(output.names):
        return source
    fields = []
    for field in output:
        found = source.field(field.name)
        fields.append(field if found.type == field.type or differ_in_lists(found.type, field.type) else found)
    return pa.schema(fields, output.metadata)


def _compare_misplaced(
    against: Root, declared: str, output: pq.ParquetFile, path: str, episodes: Sequence[int]
) -> tuple[list[Finding], int]:
    """Compare episodes that are in a different file of the source than the source's metadata says (lerobot#2401).

    Args:
        against: The source dataset.
        declared: The file that should contain the episodes according to the source's metadata, but does not.
        output: The rewritten file.
        path: Path of the rewritten file.
        episodes: The episodes.

    Returns:
        The findings, and the number of bytes read.
    """
    findings: list[Finding] = []
    wanted, bytes_read = {*episodes}, 0
    for candidate in _files_by_likelihood(against, declared, path) if wanted else ():
        with against.open_parquet(candidate, **READ_OPTIONS) as source:
            original, rows = RowCursor(source), _episode_rows(source)
            found, count = _compare_episodes(
                source, original, rows, output, path, sorted(wanted), is_alone=not isinstance(against, V2Root)
            )
            findings += found
            bytes_read += source.metadata.serialized_size + original.bytes_read + count
            wanted -= rows.keys()
        if not wanted:
            break
    copied_rows = _episode_rows(output) if wanted else {}
    for episode in sorted(wanted & copied_rows.keys()):
        where = Location(file=path, episode=episode)
        findings.append(finding(ROWS_CHANGED, counted(copied_rows[episode][1], "row"), "0, as in the source", where))
    return findings, bytes_read


def _files_by_likelihood(against: Root, declared: str, path: str) -> list[str]:
    """Return the paths of all data files of the source except `declared`, the likeliest first.

    The first is `path`, if the source has it, and the others are sorted by their distance from `declared` in the listing.
    """
    folder = declared.partition("/")[0]
    paths = against.list(folder, suffix=".parquet")
    place = bisect_left(paths, declared)
    others = [(abs(number - place), candidate) for number, candidate in enumerate(paths) if candidate != declared]
    return [candidate for _, candidate in sorted(others, key=lambda other: (other[1] != path, *other))]


def _compare_episode(
    original: RowCursor,
    rows: tuple[int, int],
    copy: RowCursor,
    copied_rows: tuple[int, int] | None,
    names: list[str],
    path: str,
    episode: int,
) -> Iterator[Finding]:
    found = copied_rows[1] if copied_rows else 0
    if copied_rows is None or found != rows[1]:
        yield finding(
            ROWS_CHANGED,
            counted(found, "row"),
            f"{rows[1]}, as in the source",
            Location(file=path, episode=episode),
        )
        return
    before, after = original.read(*rows), copy.read(*copied_rows)
    for name in names:
        where = Location(file=path, episode=episode, column=name)
        if differ_in_lists(before[name].type, after[name].type):
            before = before.set_column(before.column_names.index(name), name, before[name].cast(after[name].type))
        yield from compare_column(ROWS_CHANGED, before[name], after[name], where, copied_rows[0])


def _episode_rows(file: pq.ParquetFile) -> dict[int, tuple[int, int]]:
    """Return (first row, number of rows) of each episode's first run. In a correct file every episode is one run."""
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
        # ROW015 reports a second run.
        rows.setdefault(episode, (start, length))
    return rows
