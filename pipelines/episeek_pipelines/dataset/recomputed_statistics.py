"""Recompute the statistics of a dataset from its rows: first for each data file, then for all files together.

The statistics of pictures are kept as they are, since recomputing them would require decoding.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.parquet.episode_runs import READ_OPTIONS
from episeek_pipelines.parquet.numpy_values import numpy_values
from episeek_pipelines.statistics.aggregate import stats_document
from episeek_pipelines.statistics.columns import with_columns
from episeek_pipelines.statistics.episodes import EpisodeStatistics
from episeek_pipelines.statistics.scan import measure_file, measured_features
from episeek_schemas import lerobot

__all__ = ["all_episodes", "measure", "measured_features", "recomputed_document", "recomputed_episodes"]


def measure(root: Root, path: str, features: Sequence[str]) -> EpisodeStatistics:
    """Return the statistics of the episodes of a data file, in the order of its rows.

    Args:
        root: The dataset.
        path: The data file.
        features: Names of columns, from `measured_features`.

    Raises:
        RowOrderError: The column `episode_index` is missing, is not of an integer type or has nulls, or the rows of an episode are
            not contiguous.
        ParquetError, ReadError: The file cannot be read.
    """
    with root.open_parquet(path, **READ_OPTIONS) as file:
        return measure_file(file, features, root.join(path))


def all_episodes(parts: Iterable[EpisodeStatistics]) -> EpisodeStatistics:
    """Join the statistics of all data files, sorted by episode_index.

    Features that are missing from a file, or cannot be measured in it, are in `left_out` with the reason.

    Raises:
        ValueError: Two files contain rows of the same episode.
    """
    joined = EpisodeStatistics.joined(list(parts))
    order = np.argsort(joined.episode_index, kind="stable")
    episodes = joined.episode_index[order]
    if bool((episodes[1:] == episodes[:-1]).any()):
        number = int(episodes[1:][episodes[1:] == episodes[:-1]][0])
        raise ValueError(f"rows of episode {number} in two data files")
    return joined.take(order)


def recomputed_episodes(table: pa.Table, statistics: EpisodeStatistics) -> pa.Table:
    """Return rows of `meta/episodes` with new values in the columns `stats/...` of the measured features.

    Other columns do not change. A missing column is added at the end of the table. Episodes that were not measured keep their
    values.

    Args:
        table: Rows of `meta/episodes`.
        statistics: The statistics, sorted by episode_index, from `all_episodes`.
    """
    if not len(statistics.episode_index):
        return table
    episodes = numpy_values(table[lerobot.EPISODE_INDEX])
    places = np.minimum(np.searchsorted(statistics.episode_index, episodes), len(statistics.episode_index) - 1)
    is_measured = statistics.episode_index[places] == episodes
    return with_columns(table, statistics.take(places).features, is_measured)


def recomputed_document(known: Mapping[str, Any], statistics: EpisodeStatistics) -> dict[str, Any]:
    """Return the document of `meta/stats.json` with new aggregates for the measured features. Other entries do not change.

    Args:
        known: The current document; empty if the file does not exist.
        statistics: The statistics of all episodes of the dataset.
    """
    return stats_document(statistics.features, known) if len(statistics.episode_index) else dict(known)
