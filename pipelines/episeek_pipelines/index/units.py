"""The MP4 files to index, each with the episodes that the dataset declares in it."""

import posixpath
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from episeek import __version__
from episeek.errors import (
    MetadataError,
    MissingFileError,
)
from episeek.sidecars.file_record import FileProperties
from episeek.stores.identity import FileIdentity
from episeek_pipelines.dataset.metadata import Dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.video.episode_frames import DeclaredEpisodes

WRITER = f"episeek {__version__}"


Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class IndexUnit:
    """One MP4 to index."""

    path: str
    camera_index: int
    episodes: DeclaredEpisodes
    identity: FileIdentity | None = None
    """As the store's listing has it; None where that does not say the size."""
    unchanged: FileProperties | None = None
    """Its row in the sidecars of an earlier run, where it can be taken over with all that follows from it."""


def plan_index(dataset: Dataset, data_root: Root) -> list[IndexUnit]:
    """The MP4 files of a dataset with their episodes, sorted by path.

    Raises:
        MetadataError: Row i of meta/episodes is not episode i, or an episode has no frames, or more than 2^31.
        MissingFileError: A file that meta/episodes names is not there.
    """
    units, missing = list_units(dataset, data_root)
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        expected = f"the MP4 of episode {missing[0].episodes.episode_index[0]}"
        raise MissingFileError(data_root.join(missing[0].path), f"no such file{others}", expected)
    return units


def list_units(dataset: Dataset, data_root: Root) -> tuple[list[IndexUnit], list[IndexUnit]]:
    """The MP4 files of a dataset with their episodes and what one listing of the store says of them, sorted by path; and
    those that are not there.

    Raises:
        MetadataError: As `plan_index`.
    """
    table = dataset.episodes
    wrong = np.flatnonzero(table.episode_index != np.arange(len(table)))
    if len(wrong):
        path, row = table.locate(int(wrong[0]))
        where = f"{dataset.root.join(path)}, row {row}"
        raise MetadataError(
            where, f"episode_index {table.episode_index[wrong[0]]}", f"{wrong[0]}: episodes in order, from 0"
        )
    odd = np.flatnonzero((table.length < 1) | (table.length >= 1 << 31))
    if len(odd):
        path, row = table.locate(int(odd[0]))
        raise MetadataError(
            f"{dataset.root.join(path)}, row {row}", f"length {table.length[odd[0]]}", "1 or more frames"
        )
    rows: dict[tuple[int, str], list[int]] = defaultdict(list)
    for camera_index, camera_key in enumerate(dataset.info.video_keys):
        for row, path in enumerate(dataset.video_paths(camera_key)):
            rows[camera_index, path].append(row)
    units = []
    for (camera_index, path), members in sorted(rows.items(), key=lambda item: item[0][1]):
        columns = table.cameras[dataset.info.video_keys[camera_index]]
        chosen = np.array(members)
        declared = DeclaredEpisodes.sorted(
            table.episode_index[chosen],
            table.length[chosen],
            columns.from_timestamp[chosen],
            columns.to_timestamp[chosen],
        )
        units.append(IndexUnit(path, camera_index, declared))
    if not units:
        return [], []
    listed = data_root.files(posixpath.commonpath({posixpath.dirname(unit.path) for unit in units}))
    there = [replace(unit, identity=listed[unit.path]) for unit in units if unit.path in listed]
    return there, [unit for unit in units if unit.path not in listed]
