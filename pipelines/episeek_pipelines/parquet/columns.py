"""Which leaf columns of a Parquet file belong to a column, and how many bytes they take."""

from collections.abc import Sequence

import pyarrow.parquet as pq


def column_numbers(footer: pq.FileMetaData, names: Sequence[str]) -> list[int]:
    """Leaf columns that belong to some columns of a Parquet file."""
    wanted = set(names)
    paths = [footer.schema.column(number).path for number in range(footer.num_columns)]
    return [number for number, path in enumerate(paths) if path in wanted or _top_level(path, wanted)]


def column_bytes(footer: pq.FileMetaData, names: Sequence[str]) -> int:
    """Bytes that some columns take in a Parquet file."""
    numbers = column_numbers(footer, names)
    groups = [footer.row_group(group) for group in range(footer.num_row_groups)]
    return sum(group.column(number).total_compressed_size for group in groups for number in numbers)


def _top_level(path: str, wanted: set[str]) -> bool:
    """Whether a leaf such as `action.list.element` belongs to a wanted column; names may hold dots themselves."""
    parts = path.split(".")
    return any(".".join(parts[:count]) in wanted for count in range(1, len(parts)))
