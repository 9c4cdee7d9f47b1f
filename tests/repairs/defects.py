"""Defects of the sample datasets: damage that `episeek repair` puts right, or refuses by name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from episeek_schemas import lerobot
from tests.broken.metadata import backslashes
from tests.repairs.files import (
    cut,
    cut_last_row_group,
    declare,
    drop_tasks_file,
    edit_stats,
    edit_tasks,
    row_numbers_as_index,
    stale_video_info,
)
from tests.repairs.places import EPISODE, FROM, TO, add_to, info, last_frame, set_row
from tests.repairs.rows import (
    interleave,
    jitter,
    join_rows,
    keep_frame_index,
    lose_row,
    number_of_task_twice,
    remove_frames,
    renumber_exchanged_rows,
    repeat_rows,
    shift_index,
)
from tests.repairs.seconds import drift, exchange_seconds, lose_seconds, misfile, move_border, shift_seconds
from tests.support.broken_datasets import (
    EPISODES,
    TOP,
    change_metadata,
    change_type,
    data,
    data_files,
    edit_info,
    edit_parquet,
    set_value,
    swap_rows,
)


@dataclass(frozen=True, slots=True)
class Defect:
    """One kind of damage."""

    name: str
    damage: Callable[[Path], object]
    is_open: bool = False
    """Whether two readings of it remain, so that it is refused when it is alone."""
    needs_videos: bool = False
    """Whether it needs a sample with videos."""
    needs_files: bool = False
    """Whether it needs a sample whose cameras have several files."""
    order: int = 0
    """The defects of a pair are made in this order: first those that read an intact sample, last those that cut a file."""


DEFECTS: Final = (
    Defect("pointer to another data file", lambda r: set_value(r, EPISODES, "data/file_index", EPISODE, 9)),
    Defect("null data file", lambda r: set_value(r, EPISODES, "data/file_index", EPISODE, None)),
    Defect("length one more", lambda r: add_to(r, "length", EPISODE, 1)),
    Defect("null length", lambda r: set_value(r, EPISODES, "length", EPISODE, None)),
    Defect("dataset_to_index one more", lambda r: add_to(r, "dataset_to_index", EPISODE, 1)),
    Defect("null dataset_from_index", lambda r: set_value(r, EPISODES, "dataset_from_index", EPISODE, None)),
    Defect("episodes swapped", lambda r: edit_parquet(r, EPISODES, lambda g: [swap_rows(g[0], EPISODE)])),
    Defect("null episode_index", lambda r: set_value(r, EPISODES, "episode_index", 3, None)),
    Defect("total_episodes one more", lambda r: edit_info(r, total_episodes=info(r)["total_episodes"] + 1)),
    Defect("total_frames one less", lambda r: edit_info(r, total_frames=info(r)["total_frames"] - 1)),
    Defect("total_tasks two more", lambda r: edit_info(r, total_tasks=info(r)["total_tasks"] + 2)),
    Defect("split beyond the end", lambda r: edit_info(r, splits={"train": "0:99"})),
    Defect("index jumps", lambda r: set_row(r, "index", 4000)),
    Defect("index from elsewhere", shift_index),
    Defect("null index", lambda r: set_row(r, "index", None, 5)),
    Defect("frame_index jumps", lambda r: set_row(r, "frame_index", 4000)),
    Defect("timestamp off", lambda r: set_row(r, "timestamp", 0.31)),
    Defect("timestamp NaN", lambda r: set_row(r, "timestamp", float("nan"), 4)),
    Defect("null episode_index of a row", lambda r: set_row(r, "episode_index", None, last_frame(r))),
    Defect("tasks in another order", lambda r: edit_tasks(r, lambda g: [g[0].take([2, 0, 1])])),
    Defect("row numbers as the index of tasks", row_numbers_as_index),
    Defect("no tasks.parquet", drop_tasks_file),
    Defect("task of no number in a row", lambda r: set_row(r, "task_index", 9)),
    Defect("another task of an episode", lambda r: set_value(r, EPISODES, "tasks", EPISODE, ["open the drawer"])),
    Defect("backslashes", lambda r: backslashes(r) if info(r)["video_path"] else edit_info(
        r, data_path=info(r)["data_path"].replace("/", "\\"))),
    Defect("schema metadata lost", lambda r: change_metadata(r, data(0), None)),
    Defect("actions in double precision", lambda r: change_type(r, data(0), "action", pa.list_(pa.float64(), 6))),
    Defect("actions in lists", lambda r: change_type(r, data(0), "action", pa.list_(pa.float32()))),
    Defect("task_index in half the bits", lambda r: change_type(r, data(0), "task_index", pa.int32())),
    Defect("stale video_info", stale_video_info, needs_videos=True),
    Defect("another codec declared", lambda r: declare(r, codec="vp9"), needs_videos=True),
    Defect("another size declared", lambda r: declare(r, height=480, width=640), needs_videos=True),
    Defect("another rate declared", lambda r: declare(r, fps=25), needs_videos=True),
    Defect("seconds drift", drift, needs_videos=True),
    Defect("seconds five frames early", shift_seconds, needs_videos=True),
    Defect("to_timestamp three frames late", lambda r: add_to(r, TO, EPISODE, 0.1), needs_videos=True),
    Defect("NaN from_timestamp", lambda r: set_value(r, EPISODES, FROM, EPISODE, float("nan")), needs_videos=True),
    Defect("a mean that no rows have", lambda r: edit_stats(r, lambda s: s["action"]["mean"].__setitem__(1, 0.5))),
    Defect("a median beside the rows'", lambda r: edit_stats(r, lambda s: s["action"]["q50"].__setitem__(1, 0.9))),
    Defect("no stats.json", lambda r: (r / "meta/stats.json").unlink(missing_ok=True)),
    Defect("a maximum of an episode that no row has", lambda r: set_value(
        r, EPISODES, "stats/observation.state/max", EPISODE, [50.0] * 6)),
    Defect("no footer", lambda r: cut(r, data_files(r)[-1], 40), order=3),
    Defect("the last row group is cut off", cut_last_row_group, is_open=True, order=2),
    Defect("lengths as text", lambda r: change_type(r, EPISODES, "length", pa.string())),
    Defect("null video file", lambda r: set_value(
        r, EPISODES, lerobot.video_column(TOP, "file_index"), EPISODE, None), needs_videos=True),
    Defect("the last row is lost", lambda r: lose_row(r, last_frame(r)), is_open=True),
    Defect("a row within is lost", lambda r: lose_row(r, 5), is_open=True),
    Defect("rows of two episodes mixed", interleave, is_open=True),
    Defect("an episode twice", repeat_rows, is_open=True),
    Defect("times of another clock", jitter, is_open=True),
    Defect("first frames cut and seconds left", lambda r: remove_frames(r, 0, 1, 2, starts_again=True), is_open=True,
           needs_videos=True, order=-1),
    Defect("a frame near the end cut", lambda r: remove_frames(r, last_frame(r) - 2), is_open=True, order=-1),
    Defect("seconds of two episodes exchanged", exchange_seconds, is_open=True, needs_videos=True, order=-1),
    Defect("the first of a file in another video", lambda r: misfile(r, "first"), needs_files=True),
    Defect("the last of a file in another video", lambda r: misfile(r, "last"), needs_files=True),
    Defect("the only one of a file in another video", lambda r: misfile(r, "only"), needs_files=True),
    Defect("no footer of meta/episodes", lambda r: cut(r, EPISODES, 40), order=3),
    Defect("null seconds of neighbours", lose_seconds, needs_videos=True),
    Defect("other lengths of neighbours without seconds", move_border, is_open=True, needs_videos=True),
    Defect("rows with the number of the episode before", join_rows, is_open=True, order=1),
    Defect("a web page in place of a data file", lambda r: (r / data_files(r)[-1]).write_text("<!DOCTYPE html>"),
           is_open=True, order=4),
    Defect("two rows exchanged and renumbered", renumber_exchanged_rows, is_open=True),
    Defect("a row within cut and frame_index left", lambda r: keep_frame_index(r, 5), is_open=True, needs_videos=True,
           order=-1),
    Defect("the first rows cut and frame_index left", lambda r: keep_frame_index(r, 0, 1, 2), is_open=True,
           needs_videos=True, order=-1),
    Defect("two tasks with one number", number_of_task_twice, is_open=True, order=-1),
)  # fmt: skip
