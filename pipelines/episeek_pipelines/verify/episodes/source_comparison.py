"""EPI021: compare meta/episodes with meta/episodes of the source of a rewrite."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import MissingFileError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.v2.root import V2Root
from episeek_pipelines.parquet.row_cursor import RowCursor
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.source_differences import compare_column, schema_differences, shared_columns
from episeek_pipelines.verify.rules import EPISODES_CHANGED
from episeek_pipelines.words import counted
from episeek_schemas import lerobot

_STATISTICS: Final = lerobot.statistics_column("", "")[:-1]
_MAY_CHANGE = frozenset({lerobot.DATA_CHUNK_INDEX, lerobot.DATA_FILE_INDEX})


@dataclass(slots=True)
class EpisodesComparison:
    """Compares one file of meta/episodes, block by block, with the file of the same name in the source (EPI021)."""

    path: str
    source: pq.ParquetFile
    columns: tuple[str, ...]
    """The columns that must not differ; empty if the rows cannot be compared."""
    _cursor: RowCursor

    @property
    def bytes_read(self) -> int:
        """Number of bytes read from the source."""
        return int(self.source.metadata.serialized_size) + self._cursor.bytes_read

    def differences(self, table: pa.Table, first_row: int) -> Iterator[Finding]:
        """Yield one finding for each column in which a block of rows of the rewritten file differs from the source.

        Args:
            table: The block of rows of the rewritten file.
            first_row: Number of the block's first row in the file.
        """
        expected = self._cursor.read(first_row, table.num_rows)
        for name in self.columns:
            where = Location(file=self.path, column=name)
            yield from compare_column(EPISODES_CHANGED, expected[name], table[name], where, first_row)


@contextmanager
def compare_episodes(
    against: Root,
    path: str,
    rewritten: pq.ParquetFile,
    findings: list[Finding],
    *,
    file_size: int | None = None,
    moved_columns: frozenset[str] = frozenset(),
) -> Iterator[EpisodesComparison | None]:
    """Open the file `path` of the source, and yield its comparison with the rewritten file; None if the source has no such file.

    Args:
        against: The source.
        path: The file.
        rewritten: The same file of the rewrite, open.
        findings: Receives the differences of the schemas and of the row counts.
        file_size: Size of the source's file in bytes; None if the listing does not give it.
        moved_columns: Further columns that may differ. The columns that locate data may always differ.
    """
    where = Location(file=path)
    try:
        source = against.open_parquet(path, file_size=file_size)
    except MissingFileError:
        findings.append(
            finding(EPISODES_CHANGED, "a file that the source does not have", "the same files as in the source", where)
        )
        yield None
        return
    with source:
        schema = rewritten.schema_arrow
        if isinstance(against, V2Root):
            # An upgrade computes statistics that version 2.x lacks, so the rewrite may have further columns of statistics.
            added = [
                name for name in schema.names if name.startswith(_STATISTICS) and name not in source.schema_arrow.names
            ]
            schema = pa.schema([field for field in schema if field.name not in added], schema.metadata)
        findings += schema_differences(schema, source.schema_arrow, EPISODES_CHANGED, path)
        found, expected = rewritten.metadata.num_rows, source.metadata.num_rows
        if found != expected:
            findings.append(finding(EPISODES_CHANGED, counted(found, "row"), f"{expected}, as in the source", where))
            names = []
        else:
            names = [name for name in shared_columns(source, rewritten) if name not in _MAY_CHANGE | moved_columns]
        yield EpisodesComparison(path, source, tuple(names), RowCursor(source, columns=names))
