"""Rules on `meta/info.json` together with all of `meta/episodes`: INF002, INF009, INF044, EPI008, EPI010, EPI013."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from episeek_pipelines.verify.episodes.table import RawEpisodes, locate
from episeek_pipelines.verify.episodes.values import RENAMED_REMEDY
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.unicode_forms import FORM_REMEDY, form_of, in_other_form
from episeek_pipelines.verify.rules import EMPTY, EPISODE_ORDER, FPS, TILING, TOTALS, VIDEO_COLUMNS
from episeek_pipelines.verify.rules.metadata import FRACTIONAL_FPS_REMEDY
from episeek_schemas import layout, lerobot
from episeek_schemas.lerobot import DatasetInfo

MISSING_EPISODES_REMEDY: Final = (
    "restore the missing rows of meta/episodes from a copy of the dataset; decide to lower the total only if these episodes were "
    "deleted, so that no data file and no video contains their frames"
)
UNRECORDED_REMEDY: Final = (
    "record episodes before the dataset is read or published: into this folder with LeRobotDataset.resume, or, if your version of "
    "LeRobot refuses the folder, into a new one"
)
_RECORDED: Final = (layout.DATA_DIR, layout.VIDEOS_DIR, layout.EPISODES_DIR, "images/")
"""The folders in which LeRobot stores recordings."""


def check_fps(info: DatasetInfo, episodes: RawEpisodes) -> Iterator[Finding]:
    """Yield INF002 as a warning if the fps of meta/info.json is not a whole number. LeRobot reads such a dataset."""
    if info.fps != int(info.fps):
        where = Location(file=layout.INFO_PATH, column="fps")
        expected = "a whole number of frames per second, since tools round it down"
        yield finding(FPS, f"fps {info.fps:g}", expected, where, remedy=FRACTIONAL_FPS_REMEDY, severity="warning")


def check_order(info: DatasetInfo, episodes: RawEpisodes) -> Iterator[Finding]:
    """Yield EPI008 for rows of meta/episodes whose episode_index is not the number of the row."""
    # Rows of an unreadable file are missing, so row numbers over all files would be wrong.
    if not episodes.is_complete:
        return
    index = episodes.values(lerobot.EPISODE_INDEX)
    wrong = episodes.valid(lerobot.EPISODE_INDEX) & (index != np.arange(len(index)))
    for row, more in _first_of_each_shard(episodes, wrong):
        yield finding(
            EPISODE_ORDER,
            f"episode_index {index[row]} in row {row}, counted over all files",
            f"{row}, since LeRobot looks episodes up by position",
            _at(episodes, row, lerobot.EPISODE_INDEX),
            more=more,
        )


def check_not_empty(info: DatasetInfo, episodes: RawEpisodes, paths: Iterable[str]) -> Iterator[Finding]:
    """Yield INF044 if neither meta/info.json nor meta/episodes has an episode.

    If only one of the two has episodes, INF009 or EPI005 reports the difference.

    INF044 is a warning if no file was recorded yet: LeRobot writes such a dataset before the first episode, and can record into it.

    Args:
        info: meta/info.json.
        episodes: All of meta/episodes.
        paths: Files of the dataset.
    """
    if info.total_episodes or len(episodes) or episodes.has_unreadable_files:
        return
    where = Location(file=layout.INFO_PATH, column="total_episodes")
    recorded = next((path for path in sorted(paths) if path.startswith(_RECORDED)), None)
    if recorded is None:
        yield finding(
            EMPTY,
            "no episodes, and no recorded files",
            "one or more",
            where,
            remedy=UNRECORDED_REMEDY,
            severity="warning",
        )
    else:
        yield finding(EMPTY, f"no episodes, although {recorded} exists", "one or more", where)


def check_totals(info: DatasetInfo, episodes: RawEpisodes) -> Iterator[Finding]:
    """Yield INF009 if total_episodes or total_frames in meta/info.json disagrees with meta/episodes."""
    if episodes.is_complete and info.total_episodes != len(episodes):
        yield finding(
            TOTALS,
            f"total_episodes {info.total_episodes}",
            f"{len(episodes)}, the rows of meta/episodes",
            Location(file=layout.INFO_PATH, column="total_episodes"),
            remedy=MISSING_EPISODES_REMEDY if info.total_episodes > len(episodes) else "",
        )
    if agreed_frame_count(info, episodes) is None:
        frames = int(episodes.values(lerobot.LENGTH).sum())
        yield finding(
            TOTALS,
            f"total_frames {info.total_frames}",
            f"{frames}, the sum of the episodes' lengths",
            Location(file=layout.INFO_PATH, column="total_frames"),
        )


def agreed_frame_count(info: DatasetInfo, episodes: RawEpisodes) -> int | None:
    """Return total_frames, or None if the lengths of the episodes prove that it is wrong.

    They prove it if every episode has a usable length, and the sum of the lengths is a different number.
    """
    if episodes.all_valid(lerobot.LENGTH) and info.total_frames != int(episodes.values(lerobot.LENGTH).sum()):
        return None
    return info.total_frames


def counted_totals(info: DatasetInfo, episodes: RawEpisodes) -> tuple[int, int]:
    """Return the number of episodes and the sum of their lengths; the totals of meta/info.json if they cannot be counted."""
    frames = info.total_frames
    if episodes.all_valid(lerobot.LENGTH):
        frames = int(episodes.values(lerobot.LENGTH).sum())
    return (len(episodes) if episodes.is_complete else info.total_episodes), frames


def check_tiling(info: DatasetInfo, episodes: RawEpisodes) -> Iterator[Finding]:
    """Yield EPI010 for episodes that do not start at the row where the previous episode ends, or do not have `length` rows."""
    start, stop = episodes.values(lerobot.DATASET_FROM_INDEX), episodes.values(lerobot.DATASET_TO_INDEX)
    length, index = episodes.values(lerobot.LENGTH), episodes.values(lerobot.EPISODE_INDEX)
    bounds = (lerobot.DATASET_FROM_INDEX, lerobot.DATASET_TO_INDEX)
    wrong_span = episodes.valid(*bounds, lerobot.LENGTH) & (stop - start != length)
    for row, more in _first_of_each_shard(episodes, wrong_span):
        found = f"rows [{start[row]}, {stop[row]}), which are {stop[row] - start[row]} rows"
        yield finding(
            TILING,
            found,
            f"{length[row]}, the episode's length",
            _at(episodes, row, lerobot.DATASET_TO_INDEX, index),
            more=more,
        )
    if not episodes.all_valid(*bounds, lerobot.EPISODE_INDEX) or not len(episodes):
        return
    # Episodes are compared in the order of episode_index, since EPI008 reports rows of meta/episodes in another order.
    order = np.argsort(index, kind="stable")
    previous_stop = np.concatenate([[0], stop[order][:-1]])
    gap = np.zeros(len(index), np.bool_)
    gap[order] = start[order] != previous_stop
    expected = np.zeros(len(index), np.int64)
    expected[order] = previous_stop
    for row, more in _first_of_each_shard(episodes, gap):
        yield finding(
            TILING,
            f"dataset_from_index {start[row]}",
            f"{expected[row]}, where the episode before it ends",
            _at(episodes, row, lerobot.DATASET_FROM_INDEX, index),
            more=more,
        )


def check_cameras(info: DatasetInfo, episodes: RawEpisodes) -> Iterator[Finding]:
    """Yield EPI013 for each camera that has columns in meta/episodes, although `features` does not declare it as a video.

    EPI011 reports missing columns of declared cameras.
    """
    for (path, _), names in zip(episodes.shards, episodes.column_names, strict=True):
        cameras = {camera for camera in map(lerobot.camera_of_column, names) if camera is not None}
        for camera in sorted(cameras - set(info.video_keys)):
            declared = in_other_form(camera, info.video_keys)
            form = "" if declared is None else f", in the Unicode form {form_of(camera)}"
            expected = f"only columns of the video features {list(info.video_keys)}"
            yield finding(
                VIDEO_COLUMNS,
                f"columns of camera {camera!r}{form}",
                expected if declared is None else f"{form_of(declared)}, as in {layout.INFO_PATH}",
                Location(file=path, camera=camera),
                remedy=FORM_REMEDY
                if declared is not None
                else ""
                if cameras.issuperset(info.video_keys)
                else RENAMED_REMEDY,
            )


METADATA_RULES = (check_fps, check_order, check_totals, check_tiling, check_cameras)


def has_tiling(findings: list[Finding], episodes: RawEpisodes) -> bool:
    """Return whether dataset_from_index can be trusted: the values in all rows are usable, and `findings` contain no EPI010."""
    columns = (lerobot.DATASET_FROM_INDEX, lerobot.DATASET_TO_INDEX, lerobot.EPISODE_INDEX, lerobot.LENGTH)
    return episodes.all_valid(*columns) and not any(found.code == TILING.code for found in findings)


def _first_of_each_shard(episodes: RawEpisodes, wrong: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield (first wrong row, number of further wrong rows) for each file with wrong rows. Rows are counted over all files."""
    start = 0
    for _, rows in episodes.shards:
        found = np.flatnonzero(wrong[start : start + rows])
        if len(found):
            yield start + int(found[0]), len(found) - 1
        start += rows


def _at(episodes: RawEpisodes, row: int, column: str, index: npt.NDArray[Any] | None = None) -> Location:
    path, local_row = locate(episodes.shards, row)
    return Location(file=path, episode=None if index is None else int(index[row]), row=local_row, column=column)
