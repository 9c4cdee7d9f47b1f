"""Check the rows of one sidecar, an index table in `meta/byte_index/`: values, order, and references to other tables.

The rules of this module are IDX032 and IDX034. Pandera models check the values.
"""

from collections.abc import Iterator
from typing import cast

import numpy as np
import pyarrow as pa

from episeek_pipelines.parquet.numpy_values import numpy_values
from episeek_pipelines.verify.findings.checks import CheckResult, SidecarCheck, VerificationContext
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.guard import guarded
from episeek_pipelines.verify.rules import INDEXED_SPANS, SIDECAR_FORMAT
from episeek_pipelines.verify.sidecars.buffers import release_pages, sidecar_bytes
from episeek_pipelines.verify.sidecars.format import TABLES, open_sidecar
from episeek_pipelines.words import counted
from episeek_schemas import layout
from episeek_schemas.checks import TableName, check_table

PARTITION_ROWS = 1 << 20
"""Number of rows that are read and checked at a time."""


def check_sidecar(context: VerificationContext, check: SidecarCheck) -> CheckResult:
    """Check one sidecar table, one partition of its rows at a time, and return the result.

    Errors in the content of the table become findings.

    Raises:
        ValueError: The context has no sidecars that follow their format.
    """
    path, _ = TABLES[check.table]
    tables = context.sidecars
    if tables is None:
        raise ValueError("sidecars that break the format cannot be checked row by row")
    findings: list[Finding] = []
    bytes_read = 0
    with guarded(findings, "read sidecar", Location(file=path)):
        buffer = sidecar_bytes(context.root, path, tables.versions[check.table])
        file = open_sidecar(buffer)
        bytes_read = len(buffer)
        order = _ORDERS[check.table](context)
        first_row = 0
        for batch in file.iter_batches(PARTITION_ROWS, use_threads=False):
            table = pa.Table.from_batches([batch])
            for problem in check_table(
                table,
                cast(TableName, check.table),
                path=path,
                first_row=first_row,
                format_version=tables.format_version,
            ):
                where = Location(file=path, row=problem.row, column=problem.column)
                findings.append(finding(SIDECAR_FORMAT, problem.found, problem.expected, where, more=problem.more))
            findings += order.partition(table, first_row)
            first_row += table.num_rows
            # Without this call, the whole table would finally be in memory.
            release_pages()
        findings += order.end(first_row)
    return CheckResult(tuple(findings), bytes_read, 1)


class _Order:
    """Checks the order of the rows of a table, one partition (block of rows) at a time. This base class accepts any order."""

    path = ""

    def __init__(self, context: VerificationContext) -> None:
        self._context = context

    def partition(self, table: pa.Table, first_row: int) -> Iterator[Finding]:
        """Yield the findings about the rows of one partition, which begins at row `first_row` of the table."""
        yield from ()

    def end(self, row_count: int) -> Iterator[Finding]:
        """Yield the findings about the whole table of `row_count` rows, after the last partition."""
        yield from ()

    def _equal(
        self, table: pa.Table, column: str, expected: np.ndarray, first_row: int, *, is_format: bool
    ) -> Iterator[Finding]:
        values = table[column]
        found = numpy_values(values) if pa.types.is_integer(values.type) else np.array(values.to_pylist(), np.object_)
        wrong = np.flatnonzero(found != expected)
        if len(wrong):
            row = int(wrong[0])
            rule = SIDECAR_FORMAT if is_format else INDEXED_SPANS
            where = Location(file=self.path, row=first_row + row, column=column)
            yield finding(rule, f"{found[row]}", f"{expected[row]}", where, more=len(wrong) - 1)


class _FilesOrder(_Order):
    path = layout.FILES_PATH

    def __init__(self, context: VerificationContext) -> None:
        super().__init__(context)
        self._last = ""

    def partition(self, table: pa.Table, first_row: int) -> Iterator[Finding]:
        expected = np.arange(first_row, first_row + table.num_rows)
        yield from self._equal(table, "file_id", expected, first_row, is_format=True)
        paths = table["file_path"].to_pylist()
        for row, (before, path) in enumerate(zip([self._last, *paths[:-1]], paths, strict=True)):
            if before >= path:
                where = Location(file=self.path, row=first_row + row, column="file_path")
                yield finding(SIDECAR_FORMAT, f"{path} after {before}", "paths in ascending order", where)
                break
        self._last = paths[-1] if paths else self._last


class _EpisodesOrder(_Order):
    path = layout.EPISODES_PATH

    def __init__(self, context: VerificationContext) -> None:
        super().__init__(context)
        self._next = {"sample": 0, "keyframe": 0}

    def partition(self, table: pa.Table, first_row: int) -> Iterator[Finding]:
        cameras = self._context.info.video_keys
        row = np.arange(first_row, first_row + table.num_rows)
        yield from self._equal(table, "global_episode_id", row, first_row, is_format=True)
        if cameras:
            yield from self._equal(table, "episode_index", row // len(cameras), first_row, is_format=False)
            yield from self._equal(table, "camera_index", row % len(cameras), first_row, is_format=False)
            keys = np.array(cameras, dtype=object)[row % len(cameras)]
            yield from self._equal(table, "camera_key", keys, first_row, is_format=False)
        for name, start in self._next.items():
            count = numpy_values(table[f"{name}_count"]).astype(np.int64)
            expected = start + np.cumsum(count) - count
            yield from self._equal(table, f"{name}_start", expected, first_row, is_format=False)
            self._next[name] = start + int(count.sum())

    def end(self, row_count: int) -> Iterator[Finding]:
        tables, cameras = self._context.sidecars, len(self._context.info.video_keys)
        assert tables is not None
        expected = tables.episode_count * cameras
        if row_count != expected:
            yield finding(
                INDEXED_SPANS,
                counted(row_count, "row"),
                f"{expected}: {counted(tables.episode_count, 'episode')} with {cameras} cameras each",
                Location(file=self.path),
            )
        for name, total in self._next.items():
            if tables.row_count[f"{name}s"] != total:
                found = f"{tables.row_count[f'{name}s']} rows"
                where = Location(file=TABLES[f"{name}s"][0])
                yield finding(INDEXED_SPANS, found, f"{total}, the sum of column {name}_count", where)


class _KeyframesOrder(_Order):
    path = layout.KEYFRAMES_PATH

    def __init__(self, context: VerificationContext) -> None:
        super().__init__(context)
        self._last: tuple[int, int] | None = None

    def partition(self, table: pa.Table, first_row: int) -> Iterator[Finding]:
        episode, pts = numpy_values(table["global_episode_id"]), numpy_values(table["pts"])
        if self._last is not None:
            episode, pts = np.append(self._last[0], episode), np.append(self._last[1], pts)
        rises = (episode[1:] > episode[:-1]) | ((episode[1:] == episode[:-1]) & (pts[1:] > pts[:-1]))
        wrong = np.flatnonzero(~rises)
        if len(wrong):
            at = int(wrong[0]) + 1
            row = first_row + at - (self._last is not None)
            found = f"({episode[at]}, {pts[at]}) after ({episode[at - 1]}, {pts[at - 1]})"
            yield finding(
                SIDECAR_FORMAT,
                found,
                "rows sorted by (global_episode_id, pts)",
                Location(file=self.path, row=row),
                more=len(wrong) - 1,
            )
        if len(episode):
            self._last = int(episode[-1]), int(pts[-1])


_ORDERS = {"files": _FilesOrder, "episodes": _EpisodesOrder, "keyframes": _KeyframesOrder, "samples": _Order}
