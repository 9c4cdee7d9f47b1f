"""List the video files to index, each with its declared episodes and options."""

from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from episeek.sidecars.file_record import FileProperties
from episeek.stores.identity import FileIdentity
from episeek_pipelines.dataset.declared_videos import DeclaredVideo, list_videos, require_videos
from episeek_pipelines.dataset.metadata import Dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.video.decoding_starts.keyframe_choice import KeyframeChoice
from episeek_pipelines.video.episode_frames import DeclaredEpisodes

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class IndexUnit:
    """One video file to index."""

    path: str
    camera_index: int
    episodes: DeclaredEpisodes
    identity: FileIdentity | None = None
    """The identity of the file in the store's listing; None if the listing gives no size."""
    keyframes: KeyframeChoice = "auto"
    """Which sync samples to read and check: "all" of them, or "auto" for all of a local file and a few of a file in a store."""
    is_whole: bool = False
    """Whether the file must contain exactly the frames of one episode, as in datasets of version 2.x."""
    unchanged: FileProperties | None = None
    """The file's row in the existing sidecars if it can be copied with all rows that belong to it, otherwise None."""


def plan_index(
    dataset: Dataset, data_root: Root, *, keyframes: KeyframeChoice = "auto", is_whole: bool = False
) -> list[IndexUnit]:
    """Return the video files of a dataset with their episodes, sorted by path.

    Args:
        dataset: The dataset.
        data_root: The root of the videos.
        keyframes: Which sync samples to read and check.
        is_whole: Whether each file must contain exactly the frames of one episode.

    Raises:
        MetadataError, MissingFileError: As for `require_videos`.
    """
    return [replace(_unit(video, keyframes), is_whole=is_whole) for video in require_videos(dataset, data_root)]


def list_units(dataset: Dataset, data_root: Root) -> tuple[list[IndexUnit], list[IndexUnit]]:
    """Return the existing and the missing video files of a dataset with their episodes, each list sorted by path.

    Raises:
        MetadataError: As for `require_videos`.
    """
    existing, missing = list_videos(dataset, data_root)
    return [_unit(video) for video in existing], [_unit(video) for video in missing]


def _unit(video: DeclaredVideo, keyframes: KeyframeChoice = "auto") -> IndexUnit:
    return IndexUnit(video.path, video.camera_index, video.episodes, video.identity, keyframes)
