"""What a data file's footer should be, for who writes data files and for who checks them: how large, and with a page index."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

FOOTER_BYTES: Final = 1 << 19
"""A footer of this size takes about as long to fetch as the request for it: 30 to 50 ms at 10 to 15 MB/s of one connection."""

MIN_EPISODES_PER_FILE: Final = 100
"""Whatever the footer costs: a repository of a million episodes may not become a million files."""


@dataclass(frozen=True, slots=True)
class PageIndexCounts:
    """How many of some column chunks have which part of a page index."""

    column_chunk_count: int
    offset_index_count: int
    """With the places of their pages."""
    column_index_count: int
    """With the bounds of their pages; some types have none."""

    @classmethod
    def of(cls, chunks: Iterable[Any]) -> "PageIndexCounts":
        """Counted over `pyarrow.parquet.ColumnChunkMetaData`."""
        parts = [(chunk.has_offset_index, chunk.has_column_index) for chunk in chunks]
        return cls(len(parts), sum(offset for offset, _ in parts), sum(column for _, column in parts))

    @property
    def is_whole(self) -> bool:
        """Whether there is a page index, of everything that can have one."""
        is_whole = self.offset_index_count == self.column_chunk_count
        return is_whole and (self.column_index_count > 0 or not self.column_chunk_count)
