"""Rules over `meta/info.json` and all of `meta/episodes`: INF002, INF009, EPI008, EPI010, EPI013."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from episeek_pipelines.verify.episodes.table import RawEpisodes, locate
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import EPISODE_ORDER, FPS, TILING, TOTALS, VIDEO_COLUMNS
from episeek_schemas import layout, lerobot
from episeek_schemas.lerobot import DatasetInfo


def check_fps(info: DatasetInfo, episodes: RawEpisodes) -> Iterator[Finding]:
    """INF002, the part in meta/info.json."""
    if info.fps != int(info.fps):
        where = Location(file=layout.INFO_PATH, column="fps")
        yield finding(FPS, f"fps {info.fps:g}; expected a whole number of frames per second", where)


def check_order(info: DatasetInfo, episodes: RawEpisodes) -> Iterator[Finding]:
    """EPI008: row i is episode i."""
    if not episodes.is_complete:  # rows of the unreadable file are missing: positions mean nothing
        return
    index = episodes.values(lerobot.EPISODE_INDEX)
    wrong = episodes.valid(lerobot.EPISODE_INDEX) & (index != np.arange(len(index)))
    for row, more in _first_of_each_shard(episodes, wrong):
        message = (
            f"episode_index {index[row]} in row {row} of all; expected {row}: LeRobot looks episodes up by position"
        )
        yield finding(EPISODE_ORDER, message, _at(episodes, row, lerobot.EPISODE_INDEX), more=more)


def check_totals(info: DatasetInfo, episodes: RawEpisodes) -> Iterator[Finding]:
    """INF009: total_episodes and total_frames."""
    if episodes.is_complete and info.total_episodes != len(episodes):
        message = f"total_episodes {info.total_episodes}; expected {len(episodes)}, the rows of meta/episodes"
        yield finding(TOTALS, message, Location(file=layout.INFO_PATH, column="total_episodes"))
    if episodes.all_valid(lerobot.LENGTH):
        frames = int(episodes.values(lerobot.LENGTH).sum())
        if info.total_frames != frames:
            message = f"total_frames {info.total_frames}; expected {frames}, the sum of the episodes' lengths"
            yield finding(TOTALS, message, Location(file=layout.INFO_PATH, column="total_frames"))


def check_tiling(info: DatasetInfo, episodes: RawEpisodes) -> Iterator[Finding]:
    """EPI010: each episode starts where the one before it ends, and is as long as `length`."""
    start, stop = episodes.values(lerobot.DATASET_FROM_INDEX), episodes.values(lerobot.DATASET_TO_INDEX)
    length, index = episodes.values(lerobot.LENGTH), episodes.values(lerobot.EPISODE_INDEX)
    bounds = (lerobot.DATASET_FROM_INDEX, lerobot.DATASET_TO_INDEX)
    wrong_span = episodes.valid(*bounds, lerobot.LENGTH) & (stop - start != length)
    for row, more in _first_of_each_shard(episodes, wrong_span):
        found = f"rows [{start[row]}, {stop[row]}), {stop[row] - start[row]} of them"
        message = f"{found}; expected {length[row]}, the episode's length"
        yield finding(TILING, message, _at(episodes, row, lerobot.DATASET_TO_INDEX, index), more=more)
    if not episodes.all_valid(*bounds, lerobot.EPISODE_INDEX) or not len(episodes):
        return
    order = np.argsort(index, kind="stable")  # rows in the wrong order are EPI008, not this
    previous_stop = np.concatenate([[0], stop[order][:-1]])
    gap = np.zeros(len(index), np.bool_)
    gap[order] = start[order] != previous_stop
    expected = np.zeros(len(index), np.int64)
    expected[order] = previous_stop
    for row, more in _first_of_each_shard(episodes, gap):
        message = f"dataset_from_index {start[row]}; expected {expected[row]}, where the episode before it ends"
        yield finding(TILING, message, _at(episodes, row, lerobot.DATASET_FROM_INDEX, index), more=more)


def check_cameras(info: DatasetInfo, episodes: RawEpisodes) -> Iterator[Finding]:
    """EPI013: columns of cameras that `features` does not declare as video. Missing ones are EPI011."""
    for (path, _), names in zip(episodes.shards, episodes.column_names, strict=True):
        cameras = {camera for camera in map(lerobot.camera_of_column, names) if camera is not None}
        for camera in sorted(cameras - set(info.video_keys)):
            message = f"columns of camera {camera!r}; expected only the video features {list(info.video_keys)}"
            yield finding(VIDEO_COLUMNS, message, Location(file=path, camera=camera))


METADATA_RULES = (check_fps, check_order, check_totals, check_tiling, check_cameras)


def has_tiling(findings: list[Finding], episodes: RawEpisodes) -> bool:
    """Whether dataset_from_index says where each episode starts: nothing was found against it."""
    columns = (lerobot.DATASET_FROM_INDEX, lerobot.DATASET_TO_INDEX, lerobot.EPISODE_INDEX, lerobot.LENGTH)
    return episodes.all_valid(*columns) and not any(found.code == TILING.code for found in findings)


def _first_of_each_shard(episodes: RawEpisodes, wrong: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """The first wrong row of each file, and how many more the file has."""
    start = 0
    for _, rows in episodes.shards:
        found = np.flatnonzero(wrong[start : start + rows])
        if len(found):
            yield start + int(found[0]), len(found) - 1
        start += rows


def _at(episodes: RawEpisodes, row: int, column: str, index: npt.NDArray[Any] | None = None) -> Location:
    path, local_row = locate(episodes.shards, row)
    return Location(file=path, episode=None if index is None else int(index[row]), row=local_row, column=column)
