"""List the video files of a dataset, each with the episodes that meta/episodes declares in it."""

import posixpath
from dataclasses import dataclass, replace

import numpy as np

from episeek.errors import MetadataError, MissingFileError
from episeek.stores.identity import FileIdentity
from episeek_pipelines.dataset.metadata import Dataset
from episeek_pipelines.dataset.missing_folders import require_folders
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.video.episode_frames import DeclaredEpisodes


@dataclass(frozen=True, slots=True, eq=False)
class DeclaredVideo:
    """One video file with its episodes."""

    path: str
    camera_index: int
    episodes: DeclaredEpisodes
    identity: FileIdentity | None = None
    """The file's identity (size and version) in the store's listing; None if the file is missing or the listing gives no size."""


def require_videos(dataset: Dataset, data_root: Root) -> list[DeclaredVideo]:
    """Return the video files of a dataset with their episodes, sorted by path. Raise MissingFileError unless all of them exist.

    Args:
        dataset: The dataset.
        data_root: The root of the videos.

    Raises:
        MetadataError: Row i of meta/episodes is not episode i, or an episode has no frames, or has 2^31 frames or more.
        MissingFileError: A file that meta/episodes refers to does not exist.
    """
    videos, missing = list_videos(dataset, data_root)
    if missing:
        declared = {video.path for video in (*videos, *missing)}
        require_folders(data_root, declared, data_root.list(missing[0].path.partition("/")[0]))
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        expected = f"the MP4 of episode {missing[0].episodes.episode_index[0]}"
        raise MissingFileError(data_root.join(missing[0].path), f"no such file{others}", expected)
    return videos


def list_videos(dataset: Dataset, data_root: Root) -> tuple[list[DeclaredVideo], list[DeclaredVideo]]:
    """Return the existing and the missing video files of a dataset with their episodes, each list sorted by path.

    One listing of the store gives the identities (size and version) of the existing files.

    Raises:
        MetadataError: Row i of meta/episodes is not episode i, or an episode has no frames, or has 2^31 frames or more.
    """
    table = dataset.episodes
    displaced = np.flatnonzero(table.episode_index != np.arange(len(table)))
    if len(displaced):
        path, row = table.locate(int(displaced[0]))
        where = f"{dataset.root.join(path)}, row {row}"
        raise MetadataError(
            where,
            f"episode_index {table.episode_index[displaced[0]]}",
            f"{displaced[0]}, with episodes in order from 0",
        )
    unusable = np.flatnonzero((table.length < 1) | (table.length >= 1 << 31))
    if len(unusable):
        path, row = table.locate(int(unusable[0]))
        raise MetadataError(
            f"{dataset.root.join(path)}, row {row}", f"length {table.length[unusable[0]]}", "1 or more frames"
        )
    rows = [
        (path, camera_index, members)
        for camera_index, camera_key in enumerate(dataset.info.video_keys)
        for path, members in dataset.video_rows(camera_key).items()
    ]
    videos = []
    for path, camera_index, chosen in sorted(rows, key=lambda row: row[0]):
        columns = table.cameras[dataset.info.video_keys[camera_index]]
        declared = DeclaredEpisodes.sorted(
            table.episode_index[chosen],
            table.length[chosen],
            columns.from_timestamp[chosen],
            columns.to_timestamp[chosen],
        )
        videos.append(DeclaredVideo(path, camera_index, declared))
    if not videos:
        return [], []
    listed = data_root.files(posixpath.commonpath({posixpath.dirname(video.path) for video in videos}))
    existing = [replace(video, identity=listed[video.path]) for video in videos if video.path in listed]
    return existing, [video for video in videos if video.path not in listed]
