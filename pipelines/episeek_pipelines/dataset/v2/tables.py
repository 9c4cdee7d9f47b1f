"""Make the metadata files of version 3.0 for a dataset of version 2.x: `info.json`, episodes, tasks and statistics.

The new files refer to the data and videos at their present paths. No existing file changes.
"""

import io
import json
import re
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from episeek_pipelines.dataset.task_table import task_table
from episeek_pipelines.dataset.v2.documents import DocumentProblem, V2Documents, V2Episode
from episeek_pipelines.dataset.v2.statistics import renumbered, stacked
from episeek_pipelines.statistics.aggregate import stats_document
from episeek_pipelines.statistics.columns import columns_of
from episeek_pipelines.statistics.names import FeatureStatistics
from episeek_schemas import layout, lerobot, lerobot_v2

EPISODES_FILE: Final = f"{layout.EPISODES_DIR}/chunk-000/file-000.parquet"
"""The path of the single file of `meta/episodes`."""

_PLACE_FIELDS: Final = ("chunk_index", "file_index")

_ROWS_PER_GROUP: Final = 1000


def kept_episodes(documents: V2Documents, skipped: tuple[int, ...]) -> tuple[V2Episode, ...]:
    """Return the episodes that are not left out, in order. Their positions in the result are their new numbers."""
    left_out = {*skipped}
    return tuple(episode for episode in documents.episodes if episode.episode_index not in left_out)


def files_as_v3(
    documents: V2Documents, skipped: tuple[int, ...] = ()
) -> tuple[dict[str, bytes], tuple[DocumentProblem, ...]]:
    """Return the files below `meta/` of version 3.0 that replace the documents, and the problems of the statistics.

    Args:
        documents: The documents. They have to say which files belong to which episode (`is_translatable`).
        skipped: Numbers of episodes to leave out. The remaining episodes are renumbered.
    """
    episodes = kept_episodes(documents, skipped)
    info = _info(documents, episodes, skipped)
    features = [key for key, spec in info["features"].items() if isinstance(spec, Mapping)]
    statistics, problems = _statistics(documents, episodes, features)
    files = {
        layout.INFO_PATH: _json(info),
        EPISODES_FILE: _parquet(_episode_table(documents, episodes, info, statistics)),
        layout.TASKS_PATH: _parquet(
            task_table([text for _, text in documents.tasks], numbers=[number for number, _ in documents.tasks])
        ),
    }
    if documents.total_statistics is not None:
        files[layout.STATS_PATH] = _json(_counted_statistics(documents.total_statistics, episodes))
    elif statistics:
        files[layout.STATS_PATH] = _json(stats_document(statistics, {}))
    return files, problems


def _info(documents: V2Documents, episodes: tuple[V2Episode, ...], skipped: tuple[int, ...]) -> dict[str, Any]:
    info = lerobot_v2.info_as_v3(documents.info)
    if skipped:
        info["total_episodes"] -= len(documents.episodes) - len(episodes)
        # the old total may count other rows of the episodes that are left out than their lengths say
        info["total_frames"] = sum(episode.length for episode in episodes)
        if isinstance(info.get("splits"), dict):
            info["splits"] = {name: _split(text, sorted(skipped)) for name, text in info["splits"].items()}
    return info


def _split(text: object, skipped: list[int]) -> object:
    """Return a split `start:stop` without the episodes that are left out. A split in another form is returned unchanged."""
    match = re.fullmatch(r"\s*([0-9]{1,18})\s*:\s*([0-9]{1,18})\s*", text) if isinstance(text, str) else None
    if match is None:
        return text
    start, stop = (int(number) - bisect_left(skipped, int(number)) for number in match.groups())
    return f"{start}:{stop}"


def _statistics(
    documents: V2Documents, episodes: tuple[V2Episode, ...], features: list[str]
) -> tuple[dict[str, FeatureStatistics], tuple[DocumentProblem, ...]]:
    entries = [documents.statistics.get(episode.episode_index) for episode in episodes]
    present = [entry for entry in entries if entry is not None]
    if not present or len(present) < len(entries):
        # the problems of the documents already report the missing statistics
        return {}, ()
    found, faults = stacked(present, features)
    number = np.array([episode.episode_index for episode in episodes])
    problems = (
        DocumentProblem(
            "statistics",
            lerobot_v2.EPISODE_STATISTICS_PATH,
            documents.statistics_lines[episodes[fault.episode].episode_index],
            fault.found,
            fault.expected,
            f"{lerobot_v2.STATISTICS}.{fault.feature}",
        )
        for fault in faults
    )
    return renumbered(found, number - np.arange(len(number)), np.array(first_rows(episodes))), tuple(problems)


def _counted_statistics(entries: Mapping[str, Any], episodes: tuple[V2Episode, ...]) -> dict[str, Any]:
    """Return the statistics of version 2.0, with the number of all frames as the count of each feature.

    LeRobot 2.0 computes these statistics from every frame.
    """
    frames = sum(episode.length for episode in episodes)
    return {key: {**entry, "count": [frames]} if isinstance(entry, dict) else entry for key, entry in entries.items()}


def first_rows(episodes: tuple[V2Episode, ...]) -> list[int]:
    """Return the `index` of the first row of each episode, if these are all episodes of the dataset."""
    lengths = np.array([episode.length for episode in episodes], np.int64)
    rows: list[int] = (np.cumsum(lengths) - lengths).tolist()
    return rows


def _episode_table(
    documents: V2Documents,
    episodes: tuple[V2Episode, ...],
    info: Mapping[str, Any],
    statistics: Mapping[str, FeatureStatistics],
) -> pa.Table:
    fps = float(info["fps"])
    file_index = np.array([episode.episode_index for episode in episodes], np.int64)
    chunk_index = file_index // int(info["chunks_size"])
    length = np.array([episode.length for episode in episodes], np.int64)
    stop = np.cumsum(length)
    columns: dict[str, Any] = {
        lerobot.EPISODE_INDEX: np.arange(len(episodes)),
        lerobot.DATA_CHUNK_INDEX: chunk_index,
        lerobot.DATA_FILE_INDEX: file_index,
        lerobot.DATASET_FROM_INDEX: stop - length,
        lerobot.DATASET_TO_INDEX: stop,
    }
    for camera in lerobot.video_keys(info["features"]):
        # each file contains one episode, so every episode starts at 0 seconds
        values = (chunk_index, file_index, np.zeros(len(episodes)), length / fps)
        columns |= {
            lerobot.video_column(camera, name): held for name, held in zip(lerobot.VIDEO_FIELDS, values, strict=True)
        }
    arrays: dict[str, pa.Array] = {name: pa.array(values) for name, values in columns.items()}
    arrays[lerobot.TASKS] = pa.array([list(episode.tasks) for episode in episodes], pa.list_(pa.string()))
    arrays[lerobot.LENGTH] = pa.array(length)
    arrays |= dict(columns_of(statistics))
    # LeRobot writes the numbers of the file of meta/episodes that contains the row, but never reads them
    arrays |= {f"{layout.EPISODES_DIR}/{name}": pa.array(np.zeros(len(episodes), np.int64)) for name in _PLACE_FIELDS}
    return pa.table(arrays)


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=4, ensure_ascii=False).encode()


def _parquet(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="snappy", row_group_size=_ROWS_PER_GROUP)
    return stream.getvalue()
