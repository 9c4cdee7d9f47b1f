"""Count the rows in which the columns of two episodes differ, and find the first such row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from episeek_pipelines.comparison.results import ColumnChange
from episeek_pipelines.comparison.rows.column_values import differing_rows, type_text
from episeek_pipelines.comparison.rows.episode_columns import EpisodePlace, Texts, compared_columns
from episeek_pipelines.comparison.rows.prints import EpisodeRows
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.parquet.episode_runs import READ_OPTIONS, reading
from episeek_pipelines.parquet.row_cursor import RowCursor


@dataclass(frozen=True, slots=True)
class PairedRows:
    """The rows of a pair of episodes, and the columns whose digests differ."""

    a: EpisodeRows
    b: EpisodeRows
    place_a: EpisodePlace
    place_b: EpisodePlace
    columns: tuple[str, ...]


def count_rows(
    pairs: Sequence[PairedRows], root_a: Root, root_b: Root, texts_a: Texts, texts_b: Texts
) -> list[tuple[ColumnChange, ...]]:
    """Return, for each pair of episodes, the columns whose rows differ.

    All pairs must have their rows in the same two files, one of A and one of B.

    Raises:
        ParquetError, ReadError: A file cannot be read.
    """
    found: dict[int, tuple[ColumnChange, ...]] = {}
    path_a, path_b = pairs[0].a.path, pairs[0].b.path
    with root_a.open_parquet(path_a, **READ_OPTIONS) as one, root_b.open_parquet(path_b, **READ_OPTIONS) as other:
        cursor_a, cursor_b = RowCursor(one), RowCursor(other)
        # the pairs are in the order of the rows of A, so that the file of A is read once from front to back
        for number in sorted(range(len(pairs)), key=lambda each: pairs[each].a.first_row):
            pair = pairs[number]
            count = min(pair.a.row_count, pair.b.row_count)
            with reading(root_a.join(path_a)):
                rows_a = cursor_a.read(pair.a.first_row, count)
            with reading(root_b.join(path_b)):
                rows_b = cursor_b.read(pair.b.first_row, count)
            columns_a = dict(compared_columns(rows_a, pair.place_a, texts_a))
            columns_b = dict(compared_columns(rows_b, pair.place_b, texts_b))
            changes = []
            for name in pair.columns:
                if type_text(columns_a[name].type) != type_text(columns_b[name].type):
                    changes.append(ColumnChange(name))
                    continue
                rows = np.flatnonzero(differing_rows(columns_a[name], columns_b[name]))
                if len(rows):
                    changes.append(ColumnChange(name, len(rows), int(rows[0])))
            found[number] = tuple(changes)
    return [found[number] for number in range(len(pairs))]
