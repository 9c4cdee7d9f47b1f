"""Episodes that are there twice: ROW048."""

import json
import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from tests.broken.case import AV1, IMAGES, Case
from tests.broken.statistics import recompute
from tests.support.broken_datasets import EPISODES, data, data_files, edit_info, edit_parquet


def with_column(table: pa.Table, name: str, values: Any) -> pa.Table:
    place = table.schema.get_field_index(name)
    field = table.schema.field(place)
    return table.set_column(place, field, pa.array(values, field.type))


def set_totals(root: Path, episodes: int, frames: int) -> None:
    edit_info(root, total_episodes=episodes, total_frames=frames, splits={"train": f"0:{episodes}"})
    recompute(root)


def append_copy(root: Path, episode: int, *, task: int | None = None) -> None:
    """Append a copy of an episode to the only data file, and to the metadata."""
    info = json.loads((root / "meta/info.json").read_text())
    number, first = info["total_episodes"], info["total_frames"]
    length = 0

    def rows(groups: list[pa.Table]) -> list[pa.Table]:
        nonlocal length
        length = len(groups[episode])
        copy = with_column(groups[episode], "episode_index", [number] * length)
        copy = with_column(copy, "index", range(first, first + length))
        return [*groups, copy if task is None else with_column(copy, "task_index", [task] * length)]

    def listed(groups: list[pa.Table]) -> list[pa.Table]:
        table = pa.concat_tables(groups)
        copy = with_column(table.slice(episode, 1), "episode_index", [number])
        copy = with_column(copy, "dataset_from_index", [first])
        copy = with_column(copy, "dataset_to_index", [first + length])
        if task is not None:
            copy = with_column(copy, "tasks", [table["tasks"][task].as_py()])
        return [pa.concat_tables([table, copy])]

    edit_parquet(root, data(0), rows)
    edit_parquet(root, EPISODES, listed)
    set_totals(root, number + 1, first + length)


def delete_last(root: Path) -> None:
    """Delete the last episode, as LeRobot's delete_episodes does."""
    info = json.loads((root / "meta/info.json").read_text())
    count = info["total_episodes"] - 1
    lengths: list[int] = []

    def rows(groups: list[pa.Table]) -> list[pa.Table]:
        lengths.append(len(groups[-1]))
        return groups[:-1]

    edit_parquet(root, data(0), rows)
    edit_parquet(root, EPISODES, lambda groups: [pa.concat_tables(groups).slice(0, count)])
    set_totals(root, count, info["total_frames"] - lengths[0])


def hold_still(root: Path) -> None:
    """Let the robot rest in all rows but one of each episode."""

    def rows(groups: list[pa.Table]) -> list[pa.Table]:
        changed = []
        for table in groups:
            for name in ("action", "observation.state"):
                values = np.array(table[name].to_pylist(), np.float32)
                values[:-1] = values[0]
                table = with_column(table, name, values.tolist())
            changed.append(table)
        return changed

    for path in data_files(root):
        edit_parquet(root, path, rows)


def merge_with_itself(root: Path) -> None:
    """Append the dataset to itself, as a merge that names one dataset twice."""
    info = json.loads((root / "meta/info.json").read_text())
    episodes, frames = info["total_episodes"], info["total_frames"]
    videos = sorted(root.glob("videos/*/*/*.mp4"))
    files, video_files = len(data_files(root)), len({path.name for path in videos})
    for path in [root / each for each in data_files(root)] + videos:
        number = int(path.stem[-3:]) + (files if path.suffix == ".parquet" else video_files)
        shutil.copyfile(path, path.with_stem(f"file-{number:03d}"))

    def rows(groups: list[pa.Table]) -> list[pa.Table]:
        by = {"episode_index": episodes, "index": frames}
        return [shifted(table, by) for table in groups]

    def shifted(table: pa.Table, by: dict[str, int]) -> pa.Table:
        for name, offset in by.items():
            table = with_column(table, name, [value + offset for value in table[name].to_pylist()])
        return table

    def listed(groups: list[pa.Table]) -> list[pa.Table]:
        table = pa.concat_tables(groups)
        by = {
            "episode_index": episodes,
            "dataset_from_index": frames,
            "dataset_to_index": frames,
            "data/file_index": files,
        }
        by |= {
            name: video_files
            for name in table.column_names
            if name.startswith("videos/") and name.endswith("file_index")
        }
        return [pa.concat_tables([table, shifted(table, by)])]

    for number in range(files, 2 * files):
        edit_parquet(root, data(number), rows)
    edit_parquet(root, EPISODES, listed)
    set_totals(root, 2 * episodes, 2 * frames)


def rest_and_copy(root: Path) -> None:
    hold_still(root)
    append_copy(root, 2)


def rest_and_merge(root: Path) -> None:
    hold_still(root)
    merge_with_itself(root)


CASES: Final = [
    Case("an episode of pictures twice", IMAGES, "ROW048", lambda r: append_copy(r, 1), remedied=delete_last),
    Case("a dataset merged with itself", AV1, "ROW048", merge_with_itself),
    Case("a dataset of a robot at rest merged with itself", AV1, "ROW048", rest_and_merge),
    Case("an episode under two tasks", IMAGES, "", lambda r: append_copy(r, 1, task=2)),
    Case("two episodes of a robot at rest", IMAGES, "", rest_and_copy),
]  # fmt: skip
