"""The video files to index."""

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
    """The identity in the store's listing; None where the listing gives no size."""
    keyframes: KeyframeChoice = "auto"
    """Which sync samples to look at: all of them, or those of a local file and a few of a file in a store."""
    is_whole: bool = False
    """Whether the file has to hold the frames of its episodes and no others, as in a layout with a file for each episode."""
    unchanged: FileProperties | None = None
    """The file's row in the existing sidecars, where it and the rows that belong to it can be taken over."""


def plan_index(
    dataset: Dataset, data_root: Root, *, keyframes: KeyframeChoice = "auto", is_whole: bool = False
) -> list[IndexUnit]:
    """Return the video files of a dataset with their episodes, sorted by path.

    Args:
        dataset: The dataset.
        data_root: The root of the videos.
        keyframes: Which sync samples to look at.
        is_whole: Whether to refuse files with other frames than those of their episodes.

    Raises:
        MetadataError, MissingFileError: As for `require_videos`.
    """
    return [replace(_unit(video, keyframes), is_whole=is_whole) for video in require_videos(dataset, data_root)]


def list_units(dataset: Dataset, data_root: Root) -> tuple[list[IndexUnit], list[IndexUnit]]:
    """Return the video files of a dataset with their episodes, sorted by path: those that exist, and those that do not.

    Raises:
        MetadataError: As for `require_videos`.
    """
    existing, missing = list_videos(dataset, data_root)
    return [_unit(video) for video in existing], [_unit(video) for video in missing]


def _unit(video: DeclaredVideo, keyframes: KeyframeChoice = "auto") -> IndexUnit:
    return IndexUnit(video.path, video.camera_index, video.episodes, video.identity, keyframes)
