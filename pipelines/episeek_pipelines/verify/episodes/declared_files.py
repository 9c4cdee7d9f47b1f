"""List the files that meta/episodes declares, with the declarations about the episodes in each file.

Rows with unusable values, such as null or NaN, are skipped here, since EPI011 reports them.
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from episeek_pipelines.verify.episodes.table import SOURCE_COLUMNS, RawEpisodes, Shard
from episeek_pipelines.verify.findings.arrays import Int64Array
from episeek_pipelines.verify.findings.checks import DataFile, IndexedFile, SourceFile, VideoFile
from episeek_pipelines.verify.metadata.survey import Files, listed_size
from episeek_schemas import layout, lerobot
from episeek_schemas.lerobot import DatasetInfo


def data_paths(info: DatasetInfo, episodes: RawEpisodes) -> tuple[tuple[str, ...], Int64Array]:
    """Return the declared data files, sorted, and the position of each episode's file among them.

    The positions have shape [rows of meta/episodes] and are -1 for rows that declare no file.
    """
    columns = (lerobot.DATA_CHUNK_INDEX, lerobot.DATA_FILE_INDEX)
    return _paths(info.data_file, episodes.valid(*columns), *(episodes.values(name) for name in columns))


def collect_data_files(
    paths: tuple[str, ...], file_number: Int64Array, episodes: RawEpisodes, listed: Files
) -> list[DataFile]:
    """Return the declared data files, each with its episodes sorted by episode_index.

    Args:
        paths: The declared files, from `data_paths`.
        file_number: The position of each episode's file, from `data_paths`.
        episodes: All of meta/episodes.
        listed: The listing of the dataset, from which sizes are taken.
    """
    index, length = episodes.values(lerobot.EPISODE_INDEX), _or_minus_one(episodes, lerobot.LENGTH)
    first = _or_minus_one(episodes, lerobot.DATASET_FROM_INDEX)
    usable = episodes.valid(lerobot.EPISODE_INDEX)
    files = []
    for path, rows in zip(paths, _rows_by_file(file_number, len(paths)), strict=True):
        rows = rows[usable[rows]]
        rows = rows[np.argsort(index[rows], kind="stable")]
        size = listed_size(listed, path)
        files.append(DataFile(path, size, index[rows], length[rows], first[rows], rows))
    return files


def collect_video_files(
    info: DatasetInfo, episodes: RawEpisodes, indexed: dict[str, IndexedFile], listed: Files
) -> list[VideoFile]:
    """Return the declared video files of all cameras, each with its episodes sorted by their start times in the file."""
    files = []
    for camera in info.video_keys:
        chunk, file, start, stop = (lerobot.video_column(camera, field) for field in lerobot.VIDEO_FIELDS)
        places = (episodes.valid(chunk, file), episodes.values(chunk), episodes.values(file))
        paths, file_number = _paths(partial(info.video_file, camera), *places)
        usable = episodes.valid(lerobot.EPISODE_INDEX, lerobot.LENGTH, start, stop)
        index = episodes.values(lerobot.EPISODE_INDEX)
        for path, rows in zip(paths, _rows_by_file(file_number, len(paths)), strict=True):
            rows = rows[usable[rows]]
            rows = rows[np.lexsort((index[rows], episodes.values(start)[rows]))]
            length, begin, end = (episodes.values(name)[rows] for name in (lerobot.LENGTH, start, stop))
            size = listed_size(listed, path)
            files.append(VideoFile(path, camera, size, index[rows], length, begin, end, indexed.get(path)))
    return files


def undeclared_data_files(listed: Files, declared: Collection[str]) -> list[DataFile]:
    """Return the data files that no readable row of meta/episodes declares, as files with no episodes."""
    none = np.zeros(0, np.int64)
    paths = [path for path in listed if path.startswith(f"{layout.DATA_DIR}/") and path.endswith(".parquet")]
    return [DataFile(path, listed_size(listed, path), none, none, none) for path in paths if path not in declared]


def undeclared_video_files(
    info: DatasetInfo, indexed: dict[str, IndexedFile], listed: Files, declared: Collection[str]
) -> list[VideoFile]:
    """Return the cameras' videos that no readable row of meta/episodes declares, as files with no episodes."""
    none, no_seconds = np.zeros(0, np.int64), np.zeros(0, np.float64)
    files = []
    for path in listed:
        camera = None if path in declared else info.video_camera(path)
        if camera in info.video_keys:
            size = listed_size(listed, path)
            files.append(VideoFile(path, camera, size, none, none, no_seconds, no_seconds, indexed.get(path)))
    return files


def collect_source_files(
    path_of: Callable[[int, int], str],
    shards: Sequence[Shard],
    index: Int64Array,
    data_path: tuple[str, ...],
    data_file: Int64Array,
) -> list[SourceFile]:
    """Return the data files of the source, each with its episodes and with the rewritten files that contain them.

    Episodes of the source and of the rewrite are the same if they have the same episode_index.

    Args:
        path_of: Returns the path of a data file of the source for a chunk_index and a file_index.
        shards: The files of meta/episodes of the rewrite, with the columns of the source.
        index: The episode_index in each row of meta/episodes of the rewrite; -1 if it is unusable.
        data_path: The data files of the rewrite.
        data_file: The position in `data_path` of the file that each row declares; -1 for a row that declares no file.
    """
    parts = [shard.source for shard in shards if shard.source is not None]
    if not parts:
        return []
    source_index, chunk, file = (np.concatenate([part[name].values for part in parts]) for name in SOURCE_COLUMNS)
    is_valid = np.logical_and.reduce(
        [np.concatenate([part[name].is_valid for part in parts]) for name in SOURCE_COLUMNS]
    )
    paths, file_number = _paths(path_of, is_valid, chunk, file)
    placed = np.flatnonzero((index >= 0) & (data_file >= 0))
    placed = placed[np.argsort(index[placed], kind="stable")]
    files = []
    for path, rows in zip(paths, _rows_by_file(file_number, len(paths)), strict=True):
        wanted = np.sort(source_index[rows])
        if not len(placed):
            continue
        position = np.minimum(np.searchsorted(index[placed], wanted), len(placed) - 1)
        is_present = index[placed[position]] == wanted
        now, which = np.unique(data_file[placed[position[is_present]]], return_inverse=True)
        files.append(SourceFile(path, wanted[is_present], tuple(data_path[n] for n in now), which.reshape(-1)))
    return files


def _paths(
    path_of: Callable[[int, int], str], is_valid: npt.NDArray[np.bool_], chunk: Int64Array, file: Int64Array
) -> tuple[tuple[str, ...], Int64Array]:
    """Return the distinct paths of rows, sorted, and the position of each row's path among them, -1 for a row without a path."""
    pairs = np.stack([chunk, file], axis=1)[is_valid]
    distinct, which = np.unique(pairs, axis=0, return_inverse=True)
    paths = [path_of(*pair) for pair in distinct.tolist()]
    order = sorted(range(len(paths)), key=paths.__getitem__)
    rank = np.empty(len(paths), np.int64)
    rank[order] = np.arange(len(paths))
    file_number = np.full(len(is_valid), -1, np.int64)
    file_number[is_valid] = rank[which.reshape(-1)] if len(paths) else 0
    return tuple(paths[number] for number in order), file_number


def _rows_by_file(file_number: Int64Array, file_count: int) -> list[Int64Array]:
    """Return, for each file, the ascending numbers of the rows that declare it."""
    order = np.argsort(file_number, kind="stable")
    bounds = np.searchsorted(file_number[order], np.arange(file_count + 1))
    return [order[bounds[number] : bounds[number + 1]] for number in range(file_count)]


def _or_minus_one(episodes: RawEpisodes, column: str) -> Int64Array:
    values: npt.NDArray[Any] = np.where(episodes.valid(column), episodes.values(column), -1)
    return values
