"""Defects of a dataset, each for any of the sample datasets: damage that `episeek repair` puts right, or refuses by name."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from episeek_pipelines.api import RepairChoice
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.repair.layer import write_layer
from episeek_pipelines.repair.plan import plan_repairs
from episeek_schemas import lerobot
from tests.broken import tasks
from tests.broken.metadata import backslashes
from tests.support.broken_datasets import (
    EPISODES,
    TOP,
    change_column,
    change_metadata,
    change_type,
    data,
    data_files,
    drop_rows,
    edit_features,
    edit_info,
    edit_parquet,
    edit_statistics,
    episode_values,
    set_value,
    set_values,
    swap_rows,
    with_value,
)

EPISODE: Final = 1
"""The episode that most defects are in; all samples have at least four."""


@dataclass(frozen=True, slots=True)
class Defect:
    """One kind of damage."""

    name: str
    damage: Callable[[Path], object]
    is_open: bool = False
    """Whether two readings of it remain, so that it is refused when it is alone."""
    needs_videos: bool = False
    needs_files: bool = False
    """Whether it needs a sample whose cameras have several files."""
    order: int = 0
    """Defects of a pair are made in this order: a file that was cut cannot be edited any more."""


def info(root: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((root / "meta/info.json").read_text())
    return document


def values(root: Path, column: str) -> list[Any]:
    return episode_values(root, column)


def add_to(root: Path, column: str, row: int, by: float) -> None:
    """Add to a value of meta/episodes; a null that another defect left stays, and so does the type of a text."""
    found = values(root, column)[row]
    if found is not None:
        changed = str(int(found) + int(by)) if isinstance(found, str) else found + by
        set_value(root, EPISODES, column, row, changed)


def row_of(root: Path, episode: int, frame: int) -> tuple[str, int]:
    """Return the data file and the row in it of a frame, by `index` of the sample: rows of one file follow one another."""
    for path in data_files(root):
        held = pq.read_table(root / path, columns=["episode_index"])["episode_index"].to_pylist()
        if episode in held:
            return path, held.index(episode) + frame
    raise AssertionError(f"no rows of episode {episode}")


def set_row(root: Path, column: str, value: Any, frame: int = 7) -> None:
    path, row = row_of(root, EPISODE, frame)
    set_value(root, path, column, row, value)


def shift_rows(root: Path) -> None:
    """Number `index` of an episode from elsewhere on."""
    path, row = row_of(root, EPISODE, 0)
    length = len(
        pq.read_table(root / path, columns=["episode_index"]).filter(pa.compute.field("episode_index") == EPISODE)
    )
    start = pq.read_table(root / path, columns=["index"])["index"][row].as_py()
    set_values(root, path, {("index", row + k): start + 5000 + k for k in range(length)})


def drift(root: Path) -> None:
    """Declare each episode of a camera a fifth of a frame longer than it is."""
    names = [lerobot.video_column(TOP, name) for name in ("file_index", "from_timestamp", "to_timestamp")]
    files, begins, ends = (values(root, name) for name in names)
    late: dict[tuple[str, int], float] = {}
    seen: dict[Any, int] = {}
    for row, file in enumerate(files):
        before = seen.get(file, 0)
        seen[file] = before + 1
        for name, number, steps in ((names[1], begins[row], before), (names[2], ends[row], before + 1)):
            if number is not None:
                late[name, row] = number + steps * 0.2 / 30
    set_values(root, EPISODES, late)


def shift_seconds(root: Path) -> None:
    """Declare the last episode of a camera's first file with several of them five frames early."""
    files = values(root, lerobot.video_column(TOP, "file_index"))
    row = next(row for row in range(1, len(files)) if files[row] == files[row - 1])
    for name in ("from_timestamp", "to_timestamp"):
        add_to(root, lerobot.video_column(TOP, name), row, -5 / 30)


def declare(root: Path, **changes: Any) -> None:
    edit_features(root, lambda f: f[TOP]["info"].update({f"video.{key}": value for key, value in changes.items()}))


def stale_video_info(root: Path) -> None:
    edit_features(root, lambda f: f[TOP].update(video_info={**f[TOP]["info"], "video.codec": "vp8"}))


def interleave(root: Path) -> None:
    """Exchange the last row of episode 0 with the first of episode 1, where one file holds both."""

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


def drop_frames(root: Path, frame: int) -> None:
    path, row = row_of(root, EPISODE, frame)
    drop_rows(root, path, row)


def last_frame(root: Path) -> int:
    path, _ = row_of(root, EPISODE, 0)
    return pq.read_table(root / path, columns=["episode_index"])["episode_index"].to_pylist().count(EPISODE) - 1


def repeat_rows(root: Path) -> None:
    """Append the rows of an episode to the end of the last data file."""
    path, row = row_of(root, EPISODE, 0)
    rows = pq.read_table(root / path).slice(row, last_frame(root) + 1)
    edit_parquet(root, data_files(root)[-1], lambda groups: [*groups, rows.cast(groups[0].schema)])


def drop_tasks_file(root: Path) -> None:
    (root / tasks.TASKS_FILE).unlink(missing_ok=True)


def edit_tasks(root: Path, change: Callable[[list[pa.Table]], list[pa.Table]]) -> None:
    if (root / tasks.TASKS_FILE).exists():
        edit_parquet(root, tasks.TASKS_FILE, change)


def row_numbers_as_index(root: Path) -> None:
    edit_tasks(root, lambda groups: [groups[0].replace_schema_metadata({"pandas": json.dumps(
        {"index_columns": [{"kind": "range", "name": None, "start": 0, "stop": 3, "step": 1}], "columns": []})})])  # fmt: skip


def edit_stats(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change meta/stats.json where another defect has not removed it."""
    if (root / "meta/stats.json").exists():
        edit_statistics(root, change)


def cut(root: Path, path: str, size: int) -> None:
    """Cut off the end of a file."""
    contents = (root / path).read_bytes()
    (root / path).write_bytes(contents[:-size])


def cut_last_episode(root: Path) -> None:
    """Cut the last data file within its last row group, as a recording that was killed leaves it."""
    path = root / data_files(root)[-1]
    with pq.ParquetFile(path) as file:
        group = file.metadata.row_group(file.num_row_groups - 1)
        start = min(group.column(number).data_page_offset for number in range(group.num_columns))
    path.write_bytes(path.read_bytes()[: start + 100])


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


def exchange_seconds(root: Path) -> None:
    """Exchange the seconds of the first two episodes of one file that have different lengths."""
    files, lengths = values(root, lerobot.video_column(TOP, "file_index")), values(root, "length")
    one = next(row for row in range(1, len(files)) if files[row] == files[row - 1] and lengths[row] != lengths[row - 1])
    for name in (FROM, TO):
        found = values(root, name)
        set_values(root, EPISODES, {(name, one - 1): found[one], (name, one): found[one - 1]})


def misfile(root: Path, place: str, camera: str = TOP) -> None:
    """Declare an episode of a camera in another existing file.

    Args:
        root: A sample whose cameras have several files.
        place: The episode: the `first` or the `last` of a file with two episodes, or the `only` one of its file.
        camera: The camera.
    """
    name = lerobot.video_column(camera, "file_index")
    files = values(root, name)
    counts = {file: files.count(file) for file in files}
    rows = [row for row, file in enumerate(files) if counts[file] == (1 if place == "only" else 2)]
    row = rows[-2] if place == "first" else rows[1] if place == "last" else rows[-1]
    others = sorted({file for file in files if file is not None} - {files[row]})
    wrong = others[0] if place == "last" else others[-1]
    set_value(root, EPISODES, name, row, wrong)


def neighbours(root: Path) -> tuple[int, int]:
    """Return the first two consecutive episodes of one video file."""
    files = values(root, lerobot.video_column(TOP, "file_index"))
    row = next(row for row in range(1, len(files)) if files[row] == files[row - 1])
    return row - 1, row


def lose_seconds(root: Path) -> None:
    """Remove the seconds of two consecutive episodes of one video file."""
    set_values(root, EPISODES, {(name, row): None for name in (FROM, TO) for row in neighbours(root)})


def exchange_rows(root: Path) -> None:
    """Declare two rows more for an episode and two fewer for the next one, in all of meta/episodes, and remove their seconds."""
    one, other = neighbours(root)
    names = [name for name in pq.read_schema(root / EPISODES).names if name.endswith("/count") and "images" not in name]
    for row, by in ((one, 2), (other, -2)):
        add_to(root, "length", row, by)
        counts = {name: values(root, name)[row] for name in names}
        set_values(root, EPISODES, {(name, row): [count[0] + by] for name, count in counts.items() if count})
    add_to(root, "dataset_to_index", one, 2)
    add_to(root, "dataset_from_index", other, 2)
    lose_seconds(root)


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


def keep_frame_index(root: Path, *frames: int) -> None:
    """Remove rows of an episode. All numbers follow, statistics and seconds too, but frame_index keeps the numbers of the rows."""
    remove_frames(root, *frames, starts_again=True)
    cameras = [key for key, spec in info(root)["features"].items() if spec["dtype"] == "video"]
    for camera in cameras:
        add_to(root, lerobot.video_column(camera, "to_timestamp"), EPISODE, -len(frames) / 30)
    follow_rows(root)
    path, row = row_of(root, EPISODE, 0)
    kept = sorted({*range(last_frame(root) + 1 + len(frames))} - {*frames})
    set_values(root, path, {("frame_index", row + k): frame for k, frame in enumerate(kept)})


def follow_rows(root: Path) -> None:
    """Recompute all statistics from the rows."""
    plan = plan_repairs(Root(str(root)), RepairChoice(only=("REP019", "REP020")))
    with TemporaryDirectory() as folder:
        write_layer(plan.draft, Root(folder))
        shutil.copytree(folder, root, dirs_exist_ok=True)


def number_of_task_twice(root: Path) -> None:
    """Give one task the number of another. Only the last five rows of an episode, which lists its other one, have its own."""
    lengths, named = values(root, "length"), [texts[0] for texts in values(root, "tasks")]
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


FROM, TO = (lerobot.video_column(TOP, name) for name in ("from_timestamp", "to_timestamp"))

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
    Defect("index from elsewhere", shift_rows),
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
    Defect("the last episode is cut off", cut_last_episode, is_open=True, order=2),
    Defect("lengths as text", lambda r: change_type(r, EPISODES, "length", pa.string())),
    Defect("null video file", lambda r: set_value(
        r, EPISODES, lerobot.video_column(TOP, "file_index"), EPISODE, None), needs_videos=True),
    Defect("the last row is lost", lambda r: drop_frames(r, last_frame(r)), is_open=True),
    Defect("a row within is lost", lambda r: drop_frames(r, 5), is_open=True),
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
    Defect("other lengths of neighbours without seconds", exchange_rows, is_open=True, needs_videos=True),
    Defect("rows with the number of the episode before", join_rows, is_open=True, order=1),
    Defect("a web page in place of a data file", lambda r: (r / data_files(r)[-1]).write_text("<!DOCTYPE html>"),
           is_open=True, order=4),
    Defect("two rows exchanged and renumbered", renumber_exchanged_rows, is_open=True),
    Defect("a row within cut and frame_index left", lambda r: keep_frame_index(r, 5), is_open=True, needs_videos=True,
           order=-1),
    Defect("the first rows cut and frame_index left", lambda r: keep_frame_index(r, 0, 1, 2), is_open=True,
           needs_videos=True, order=-1),
    Defect("two tasks with one number", number_of_task_twice, is_open=True, order=-1),
    Defect("no footer of meta/episodes", lambda r: cut(r, EPISODES, 40), order=2),
)  # fmt: skip
