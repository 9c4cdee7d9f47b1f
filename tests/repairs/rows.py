"""Damage to the rows of episodes, and to what the metadata says about them."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from episeek_pipelines.api import RepairChoice
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.repair.layer import write_layer
from episeek_pipelines.repair.plan import plan_repairs
from episeek_schemas import lerobot
from tests.broken import tasks
from tests.repairs.files import edit_tasks
from tests.repairs.places import EPISODE, add_to, info, last_frame, row_of
from tests.support.broken_datasets import (
    EPISODES,
    change_column,
    data,
    data_files,
    drop_rows,
    edit_info,
    edit_parquet,
    episode_values,
    set_value,
    set_values,
    swap_rows,
    with_value,
)


def shift_index(root: Path) -> None:
    """Add 5,000 to `index` in the rows of an episode."""
    path, row = row_of(root, EPISODE, 0)
    start = pq.read_table(root / path, columns=["index"])["index"][row].as_py()
    set_values(root, path, {("index", row + k): start + 5000 + k for k in range(last_frame(root) + 1)})


def interleave(root: Path) -> None:
    """Exchange the last row of episode 0 with the first of episode 1, which the first data file of every sample contains."""

    def change(groups: list[pa.Table]) -> list[pa.Table]:
        table = pa.concat_tables(groups).combine_chunks()
        return [swap_rows(table, table["episode_index"].to_pylist().index(EPISODE) - 1)]

    edit_parquet(root, data(0), change)


def jitter(root: Path) -> None:
    """Give the rows of a file the times of a clock that is read late."""
    rng = np.random.default_rng(3)

    def change(column: pa.ChunkedArray) -> pa.ChunkedArray:
        late = np.abs(rng.normal(0, 0.004, len(column))) + 0.001
        return pa.chunked_array([pa.array((np.array(column.to_pylist(), float) + late).astype(np.float32))])

    change_column(root, data(0), "timestamp", change)


def lose_row(root: Path, frame: int) -> None:
    """Remove a row of an episode. The metadata stays as it is."""
    path, row = row_of(root, EPISODE, frame)
    drop_rows(root, path, row)


def repeat_rows(root: Path) -> None:
    """Append the rows of an episode to the end of the last data file."""
    path, row = row_of(root, EPISODE, 0)
    rows = pq.read_table(root / path).slice(row, last_frame(root) + 1)
    edit_parquet(root, data_files(root)[-1], lambda groups: [*groups, rows.cast(groups[0].schema)])


def join_rows(root: Path) -> None:
    """Give the rows of an episode the episode_index of the episode before."""
    path, row = row_of(root, EPISODE, 0)
    set_values(root, path, {("episode_index", row + k): EPISODE - 1 for k in range(last_frame(root) + 1)})


def renumber_exchanged_rows(root: Path) -> None:
    """Exchange two rows of an episode and renumber them. Their timestamps alone still show their pictures."""
    path, row = row_of(root, EPISODE, 0)
    one, two = row + 3, row + 10

    def change(groups: list[pa.Table]) -> list[pa.Table]:
        table = pa.concat_tables(groups)
        order = np.arange(len(table))
        order[[one, two]] = two, one
        moved = table.take(pa.array(order))
        for name in ("index", "frame_index"):
            moved = moved.set_column(moved.schema.get_field_index(name), moved.schema.field(name), table[name])
        return [moved]

    edit_parquet(root, path, change)


def remove_frames(root: Path, *frames: int, starts_again: bool = False, episode: int = EPISODE) -> None:
    """Remove rows of an episode as an editing tool does it: numbers, lengths, ranges, counts and total follow, and videos stay.

    Args:
        root: A sample.
        frames: The frame_index of each row.
        starts_again: Count the timestamps of the other rows from 0 as well.
        episode: The episode.
    """
    path, row = row_of(root, episode, 0)
    start = pq.read_table(root / path, columns=["index"])["index"][row].as_py()
    gone = [start + frame for frame in frames]

    def change_rows(groups: list[pa.Table]) -> list[pa.Table]:
        kept = []
        for group in groups:
            rows = [each for each in group.to_pylist() if each["index"] not in gone]
            for each in rows:
                before = sum(number < each["index"] for number in gone)
                each["index"] -= before
                if each["episode_index"] == episode:
                    each["frame_index"] -= before
                    each["timestamp"] = each["frame_index"] / 30 if starts_again else each["timestamp"]
            kept.append(pa.Table.from_pylist(rows, group.schema))
        return kept

    def change_episodes(groups: list[pa.Table]) -> list[pa.Table]:
        table = pa.concat_tables(groups)
        rows = table.to_pylist()
        for each in rows:
            if each["episode_index"] == episode:
                counts = [name for name in each if name.endswith("/count") and "images" not in name]
                each["length"] -= len(gone)
                each |= {name: [each[name][0] - len(gone)] for name in counts}
            each["dataset_from_index"] -= len(gone) * (each["episode_index"] > episode)
            each["dataset_to_index"] -= len(gone) * (each["episode_index"] >= episode)
        return [pa.Table.from_pylist(rows, table.schema)]

    for file in data_files(root):
        edit_parquet(root, file, change_rows)
    edit_parquet(root, EPISODES, change_episodes)
    edit_info(root, total_frames=info(root)["total_frames"] - len(gone))


def keep_frame_index(root: Path, *frames: int) -> None:
    """Remove rows of an episode. Everything follows, statistics and seconds too, but frame_index still counts the removed rows."""
    remove_frames(root, *frames, starts_again=True)
    cameras = [key for key, spec in info(root)["features"].items() if spec["dtype"] == "video"]
    for camera in cameras:
        add_to(root, lerobot.video_column(camera, "to_timestamp"), EPISODE, -len(frames) / 30)
    follow_rows(root)
    path, row = row_of(root, EPISODE, 0)
    kept = sorted({*range(last_frame(root) + 1 + len(frames))} - {*frames})
    set_values(root, path, {("frame_index", row + k): frame for k, frame in enumerate(kept)})


def follow_rows(root: Path) -> None:
    """Recompute all statistics from the rows. The repairs REP019 and REP020 do it, which these defects do not test."""
    plan = plan_repairs(Root(str(root)), RepairChoice(only=("REP019", "REP020")))
    assert not plan.made.refusals
    with TemporaryDirectory() as folder:
        write_layer(plan.draft, Root(folder))
        shutil.copytree(folder, root, dirs_exist_ok=True)


def number_of_task_twice(root: Path) -> None:
    """Give one task the number of another. Its own number remains in the last five rows of an episode that lists the other."""
    lengths, named = episode_values(root, "length"), [texts[0] for texts in episode_values(root, "tasks")]
    rows = pq.read_table(root / tasks.TASKS_FILE).to_pylist()
    numbers = {row["__index_level_0__"]: row["task_index"] for row in rows}
    first, own = numbers[named[0]], numbers[named[EPISODE]]
    (third,) = {*numbers.values()} - {first, own}
    for episode, text in enumerate(named):
        if numbers[text] == third:
            set_rows_task(root, episode, 0, lengths[episode], first)
            set_value(root, EPISODES, "tasks", episode, [named[0]])
            set_task_extremes(root, episode, first, first)
    set_rows_task(root, EPISODE, lengths[EPISODE] - 5, lengths[EPISODE], third)
    set_task_extremes(root, EPISODE, min(own, third), max(own, third))
    place = [row["task_index"] for row in rows].index(third)
    edit_tasks(root, lambda groups: [with_value(groups[0], "task_index", place, own)])
    edit_info(root, total_tasks=2)


def set_task_extremes(root: Path, episode: int, low: int, high: int) -> None:
    for name, number in (("min", low), ("max", high)):
        set_value(root, EPISODES, lerobot.statistics_column("task_index", name), episode, [number])


def set_rows_task(root: Path, episode: int, start: int, stop: int, task: int) -> None:
    path, row = row_of(root, episode, 0)
    set_values(root, path, {("task_index", row + k): task for k in range(start, stop)})
