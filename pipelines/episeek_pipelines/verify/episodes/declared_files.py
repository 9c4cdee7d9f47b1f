"""The files that meta/episodes names, with what it says of the episodes in each.

Rows that are not usable (a null, no number) are left out of it: `episodes` finds those.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from episeek_pipelines.verify.episodes.table import SOURCE_COLUMNS, RawEpisodes, Shard
from episeek_pipelines.verify.findings.arrays import Int64Array
from episeek_pipelines.verify.findings.checks import DataFile, IndexedFile, SourceFile, VideoFile
from episeek_pipelines.verify.metadata.survey import Files, listed_size
from episeek_schemas import lerobot
from episeek_schemas.lerobot import DatasetInfo


def data_paths(info: DatasetInfo, episodes: RawEpisodes) -> tuple[tuple[str, ...], Int64Array]:
    """The data files that episodes name, sorted, and which of them each row of meta/episodes names; -1 where it does not say."""
    columns = (lerobot.DATA_CHUNK_INDEX, lerobot.DATA_FILE_INDEX)
    return _paths(info.data_file, episodes.valid(*columns), *(episodes.values(name) for name in columns))


def collect_data_files(
    paths: tuple[str, ...], named: Int64Array, episodes: RawEpisodes, there: Files, *, with_tasks: bool
) -> list[DataFile]:
    """The data files with their episodes, by rising episode_index. `paths` and `named` are of `data_paths`."""
    index, length = episodes.values(lerobot.EPISODE_INDEX), _or_unknown(episodes, lerobot.LENGTH)
    first = _or_unknown(episodes, lerobot.DATASET_FROM_INDEX)
    usable = episodes.valid(lerobot.EPISODE_INDEX)
    files = []
    for path, rows in zip(paths, _rows_by_file(named, len(paths)), strict=True):
        rows = rows[usable[rows]]
        rows = rows[np.argsort(index[rows], kind="stable")]
        tasks = None
        if with_tasks and episodes.tasks is not None:
            tasks = tuple(tuple(episodes.tasks.of(row).tolist()) for row in rows.tolist())
        files.append(DataFile(path, listed_size(there, path), index[rows], length[rows], first[rows], tasks))
    return files


def collect_video_files(
    info: DatasetInfo, episodes: RawEpisodes, indexed: dict[str, IndexedFile], there: Files
) -> list[VideoFile]:
    """The video files of each camera with their episodes, in the order in which these are in the file."""
    files = []
    for camera in info.video_keys:
        chunk, file, start, stop = (lerobot.video_column(camera, field) for field in lerobot.VIDEO_FIELDS)
        places = (episodes.valid(chunk, file), episodes.values(chunk), episodes.values(file))
        paths, named = _paths(partial(info.video_file, camera), *places)
        usable = episodes.valid(lerobot.EPISODE_INDEX, lerobot.LENGTH, start, stop)
        index = episodes.values(lerobot.EPISODE_INDEX)
        for path, rows in zip(paths, _rows_by_file(named, len(paths)), strict=True):
            rows = rows[usable[rows]]
            rows = rows[np.lexsort((index[rows], episodes.values(start)[rows]))]
            length, begin, end = (episodes.values(name)[rows] for name in (lerobot.LENGTH, start, stop))
            size = listed_size(there, path)
            files.append(VideoFile(path, camera, size, index[rows], length, begin, end, indexed.get(path)))
    return files


def collect_source_files(
    info: DatasetInfo, shards: Sequence[Shard], index: Int64Array, data_path: tuple[str, ...], data_file: Int64Array
) -> list[SourceFile]:
    """The source's data files with their episodes and where these are now. Episodes are matched by their index.

    A source that names its files by another template than `info` has had that found in its meta/info.json (INF021).
    """
    parts = [shard.source for shard in shards if shard.source is not None]
    if not parts:
        return []
    source_index, chunk, file = (np.concatenate([part[name].values for part in parts]) for name in SOURCE_COLUMNS)
    is_valid = np.logical_and.reduce(
        [np.concatenate([part[name].is_valid for part in parts]) for name in SOURCE_COLUMNS]
    )
    paths, named = _paths(info.data_file, is_valid, chunk, file)
    known = np.flatnonzero((index >= 0) & (data_file >= 0))
    known = known[np.argsort(index[known], kind="stable")]
    files = []
    for path, rows in zip(paths, _rows_by_file(named, len(paths)), strict=True):
        wanted = np.sort(source_index[rows])
        if not len(known):
            continue
        position = np.minimum(np.searchsorted(index[known], wanted), len(known) - 1)
        is_there = index[known[position]] == wanted
        now, which = np.unique(data_file[known[position[is_there]]], return_inverse=True)
        files.append(SourceFile(path, wanted[is_there], tuple(data_path[number] for number in now), which.reshape(-1)))
    return files


def _paths(
    path_of: Callable[[int, int], str], is_valid: npt.NDArray[np.bool_], chunk: Int64Array, file: Int64Array
) -> tuple[tuple[str, ...], Int64Array]:
    """The distinct paths that rows name, sorted, and which of them each row names; -1 where it is not said."""
    pairs = np.stack([chunk, file], axis=1)[is_valid]
    distinct, which = np.unique(pairs, axis=0, return_inverse=True)
    paths = [path_of(*pair) for pair in distinct.tolist()]
    order = sorted(range(len(paths)), key=paths.__getitem__)
    rank = np.empty(len(paths), np.int64)
    rank[order] = np.arange(len(paths))
    named = np.full(len(is_valid), -1, np.int64)
    named[is_valid] = rank[which.reshape(-1)] if len(paths) else 0
    return tuple(paths[number] for number in order), named


def _rows_by_file(named: Int64Array, file_count: int) -> list[Int64Array]:
    """Rows of each file, rising; in one pass, not one per file."""
    order = np.argsort(named, kind="stable")
    bounds = np.searchsorted(named[order], np.arange(file_count + 1))
    return [order[bounds[number] : bounds[number + 1]] for number in range(file_count)]


def _or_unknown(episodes: RawEpisodes, column: str) -> Int64Array:
    values: npt.NDArray[Any] = np.where(episodes.valid(column), episodes.values(column), -1)
    return values
