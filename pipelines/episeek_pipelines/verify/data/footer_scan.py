"""Read a data file's Parquet footer: the number of rows, and their episodes from the statistics of `episode_index`.

If every row group contains the rows of one episode, as in files that LeRobot records and episeek writes, the footer assigns each
row to its episode. Otherwise the footer only gives the lowest and highest episode of each row group.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from episeek_pipelines.parquet.footers import PageIndexCounts
from episeek_pipelines.verify.data.row_scan import RowScan
from episeek_pipelines.verify.findings.arrays import Int64Array
from episeek_schemas import lerobot


@dataclass(frozen=True, slots=True, eq=False)
class FooterScan:
    """The contents of one footer; arrays have shape [row groups]."""

    row_count: int
    footer_bytes: int
    metadata_bytes: int
    """Number of bytes that key-value metadata takes in the footer."""
    row_bytes: int
    """Uncompressed size of all rows, in bytes."""
    group_rows: Int64Array
    lowest_episode: Int64Array | None
    """The lowest episode of each row group; None if the statistics of `episode_index` are missing or count nulls in a row group."""
    highest_episode: Int64Array | None
    null_count: int
    """Number of nulls in `episode_index`, not counting row groups without statistics."""
    picture_nulls: Mapping[str, int]
    """Number of nulls in each leaf column whose path ends in `.bytes` (the bytes of images), not counting row groups without
    statistics.
    """
    has_picture_urls: Mapping[str, bool]
    """For each leaf column whose path ends in `.path`, whether all its values are URLs, judged by the smallest and largest one."""
    has_page_index: bool
    """Whether the first row group has a page index. The others are not read, since writers give a page index to all or to none."""

    @property
    def group_starts(self) -> Int64Array:
        """First row of each row group."""
        return np.cumsum(self.group_rows) - self.group_rows

    @property
    def is_per_episode(self) -> bool:
        """Whether the statistics prove that each row group contains rows of one episode only."""
        if self.lowest_episode is None or self.highest_episode is None:
            return False
        return np.array_equal(self.lowest_episode, self.highest_episode)

    def runs(self) -> RowScan | None:
        """Return the runs (consecutive rows of one episode) in the file, or None if the footer does not show them."""
        if self.lowest_episode is None or not self.is_per_episode:
            return None
        rows, episode = self.group_rows, self.lowest_episode
        starts = (
            np.flatnonzero(np.concatenate([[True], episode[1:] != episode[:-1]]))
            if len(rows)
            else np.zeros(0, np.int64)
        )
        scan = RowScan(row_group_starts=self.group_starts)
        if len(starts):
            scan.episode_index, scan.first_row = episode[starts], self.group_starts[starts]
            scan.row_count = np.add.reduceat(rows, starts)
        return scan


def scan_footer(parquet: pq.ParquetFile) -> FooterScan:
    """Return the contents of an open file's footer, without reading anything else of the file."""
    footer = parquet.metadata
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    filled = [group for group in groups if group.num_rows]
    position = next(
        (n for n in range(footer.num_columns) if footer.schema.column(n).path == lerobot.EPISODE_INDEX), None
    )
    bounds = None if position is None else [_bounds(group.column(position)) for group in filled]
    bound_array = None if bounds is None or None in bounds else np.array(bounds, np.int64).reshape(-1, 2)
    first = [filled[0].column(number) for number in range(footer.num_columns)] if filled else []
    return FooterScan(
        row_count=footer.num_rows,
        footer_bytes=footer.serialized_size,
        metadata_bytes=sum(len(key) + len(value) for key, value in (footer.metadata or {}).items()),
        row_bytes=sum(group.total_byte_size for group in groups),
        group_rows=np.array([group.num_rows for group in filled], np.int64),
        lowest_episode=None if bound_array is None else bound_array[:, 0],
        highest_episode=None if bound_array is None else bound_array[:, 1],
        null_count=0 if position is None else sum(_null_count(group.column(position)) for group in filled),
        picture_nulls={
            path: sum(_null_count(chunk) for chunk in chunks) for path, chunks in _leaves(footer, filled, ".bytes")
        },
        has_picture_urls={path: all(map(_holds_urls, chunks)) for path, chunks in _leaves(footer, filled, ".path")},
        has_page_index=PageIndexCounts.of(first).is_whole,
    )


def _bounds(chunk: Any) -> tuple[int, int] | None:
    statistics = chunk.statistics
    if statistics is None or not statistics.has_min_max or statistics.null_count:
        return None
    low, high = statistics.min, statistics.max
    return (low, high) if isinstance(low, int) and isinstance(high, int) else None


def _leaves(footer: pq.FileMetaData, groups: list[Any], ending: str) -> Iterator[tuple[str, list[Any]]]:
    """Yield the path and the column chunks of each leaf column whose path ends with `ending`."""
    for number in range(footer.num_columns):
        path = footer.schema.column(number).path
        if path.endswith(ending):
            yield path, [group.column(number) for group in groups]


def _holds_urls(chunk: Any) -> bool:
    """Return whether all texts of a column chunk are URLs with the same scheme.

    Only the smallest and the largest text are compared, because all other texts lie between these two in alphabetical order.
    """
    statistics = chunk.statistics
    if statistics is None or not statistics.has_min_max or not isinstance(statistics.min, str):
        return False
    scheme, separator, _ = statistics.min.partition("://")
    return bool(separator) and bool(str(statistics.max).startswith(f"{scheme}://"))


def _null_count(chunk: Any) -> int:
    statistics = chunk.statistics
    return statistics.null_count or 0 if statistics is not None and statistics.has_null_count else 0
