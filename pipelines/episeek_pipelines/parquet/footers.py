"""The requirements on the footer of a data file, for the writer and for `verify`: its size, and a page index."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

FOOTER_BYTES: Final = 1 << 19
"""Largest footer in bytes. Its transfer takes about as long as the latency of a request: 30 to 50 ms at 10 to 15 MB/s."""

MIN_EPISODES_PER_FILE: Final = 100
"""A file may always contain this many episodes, even if its footer exceeds the limit: a million episodes must not become a million
files.
"""


@dataclass(frozen=True, slots=True)
class PageIndexCounts:
    """Numbers of column chunks that have each part of a page index (Parquet format, PageIndex)."""

    column_chunk_count: int
    offset_index_count: int
    """Number of column chunks with an offset index, which lists the positions of their pages."""
    column_index_count: int
    """Number of column chunks with a column index, which lists the extremes of their pages.

    Columns of some types never have a column index.
    """

    @classmethod
    def of(cls, chunks: Iterable[Any]) -> "PageIndexCounts":
        """Return the counts for `chunks`, which are objects of `pyarrow.parquet.ColumnChunkMetaData`."""
        parts = [(chunk.has_offset_index, chunk.has_column_index) for chunk in chunks]
        return cls(len(parts), sum(offset for offset, _ in parts), sum(column for _, column in parts))

    @property
    def is_whole(self) -> bool:
        """Whether every column chunk has an offset index and at least one column chunk has a column index."""
        is_whole = self.offset_index_count == self.column_chunk_count
        return is_whole and (self.column_index_count > 0 or not self.column_chunk_count)
