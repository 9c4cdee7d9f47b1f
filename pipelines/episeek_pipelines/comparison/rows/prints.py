"""Make fingerprints of the episodes of a data file.

A fingerprint is an episode's number of rows and a digest of each of its columns.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pyarrow as pa

from episeek.errors import ParquetError
from episeek_pipelines.comparison.rows.column_values import DIGEST_BYTES, digests_of
from episeek_pipelines.comparison.rows.episode_columns import (
    EpisodePlace,
    Texts,
    column_forms,
    column_types,
    compared_columns,
    place_columns,
)
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.parquet.episode_runs import (
    BATCH_BYTES,
    READ_OPTIONS,
    EpisodeRun,
    episode_runs,
    measure_row_bytes,
)

AS_STORED = " as stored"
"""Suffix of the names of additional digests.

The columns `episode_index` and `index` also have a digest of their stored values under such a name.
"""


@dataclass(frozen=True, slots=True)
class EpisodeRows:
    """The fingerprint of an episode's rows."""

    path: str
    """The path of the data file that contains the rows."""
    first_row: int
    """The number of the episode's first row in the file."""
    row_count: int
    names: tuple[str, ...]
    """The names of the compared columns, in the order of the digests."""
    digests: bytes
    """The digests of the columns, concatenated."""

    def by_column(self) -> dict[str, bytes]:
        """Return the digest of each column, by its name."""
        starts = range(0, len(self.digests), DIGEST_BYTES)
        return {name: self.digests[at : at + DIGEST_BYTES] for name, at in zip(self.names, starts, strict=True)}


@dataclass(frozen=True, slots=True)
class DataFilePrint:
    """The fingerprint of a data file."""

    path: str
    types: tuple[tuple[str, str], ...]
    """Name and type of each compared column, sorted by name. `type_text` describes the types."""
    forms: tuple[tuple[str, str], ...]
    """Name and form of each column, sorted by name. `column_forms` describes the forms."""
    row_count: int
    row_group_count: int
    size: int
    """Number of bytes that were read: the size of the footer, or of the whole file."""
    episodes: Mapping[int, EpisodeRows]
    """The fingerprint of each episode with rows in the file, by number; empty if only the footer was read."""
    others: tuple[int, ...] = ()
    """The numbers of episodes that have rows in the file but are not listed in the metadata."""


def print_footer(root: Root, path: str, *, file_size: int | None) -> DataFilePrint:
    """Return the fingerprint of a data file from its footer alone, without fingerprints of its episodes.

    Raises:
        ParquetError, ReadError: The footer cannot be read.
    """
    with root.open_parquet(path, file_size=file_size) as file:
        footer = file.metadata
        types = column_types(file.schema_arrow)
        forms = column_forms(file.schema_arrow)
        return DataFilePrint(path, types, forms, footer.num_rows, footer.num_row_groups, footer.serialized_size, {})


def print_rows(
    root: Root, path: str, places: Mapping[int, EpisodePlace], texts: Texts, *, file_size: int | None
) -> DataFilePrint:
    """Read the rows of a data file, and return the fingerprints of its episodes.

    At any time, one batch of rows is in memory, with a few mebibytes of episodes or one larger episode.

    Args:
        root: The dataset.
        path: The file.
        places: The location of each episode of the dataset, by number. Rows of other episodes are not digested.
        texts: The texts of tasks and subtasks.
        file_size: The size of the file in the listing of a store; None for a local file.

    Raises:
        RowOrderError: The rows of an episode are not contiguous, or rows have no episode_index.
        ParquetError, ReadError: The file cannot be read, or has two columns of the same name.
    """
    found: dict[int, EpisodeRows] = {}
    where = root.join(path)
    with root.open_parquet(path, file_size=file_size, **READ_OPTIONS) as file:
        footer = file.metadata
        names = file.schema_arrow.names
        doubled = next((name for name in names if names.count(name) > 1), None)
        if doubled is not None:
            raise ParquetError(where, f"column {doubled!r} twice", "one column of each name")
        row_bytes = measure_row_bytes(file, where)
        # computing the digests of several short episodes together is many times faster
        block: list[EpisodeRun] = []
        rows = 0
        others: list[int] = []
        for run in episode_runs(file, where, row_bytes=row_bytes):
            if run.episode_index not in places:
                others.append(run.episode_index)
                continue
            block.append(run)
            rows += len(run.table)
            if rows * row_bytes >= BATCH_BYTES:
                found.update(_prints(block, path, places, texts))
                block, rows = [], 0
        found.update(_prints(block, path, places, texts))
        size = footer.serialized_size if file_size is None and not root.is_local else file_size or root.size(path)
        types, forms = column_types(file.schema_arrow), column_forms(file.schema_arrow)
        return DataFilePrint(path, types, forms, footer.num_rows, footer.num_row_groups, size, found, tuple(others))


def _prints(
    runs: Sequence[EpisodeRun], path: str, places: Mapping[int, EpisodePlace], texts: Texts
) -> Iterator[tuple[int, EpisodeRows]]:
    """Yield the number and the fingerprint of each episode."""
    if not runs:
        return
    table = pa.concat_tables([run.table for run in runs]).unify_dictionaries()
    lengths = [len(run.table) for run in runs]
    bounds = [0, *accumulate(lengths)]
    numbers, first_rows = (
        np.repeat([getattr(places[run.episode_index], name) for run in runs], lengths)
        for name in ("number", "first_row")
    )
    digests = {
        name: digests_of(values, bounds)
        for name, values in compared_columns(table, EpisodePlace(numbers, first_rows), texts)
    }
    digests |= {f"{name}{AS_STORED}": digests_of(values, bounds) for name, values in place_columns(table)}
    names = tuple(sorted(digests))
    for number, run in enumerate(runs):
        data = b"".join([digests[name][number] for name in names])
        yield run.episode_index, EpisodeRows(path, run.first_row, lengths[number], names, data)
