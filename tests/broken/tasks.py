"""meta/tasks.parquet, and the tasks of rows and episodes: TSK014."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # no stubs among the development tools
import pyarrow as pa

from episeek_pipelines.verify.rules import Level
from tests.broken.case import AV1, Case
from tests.support.broken_datasets import (
    EPISODES,
    data,
    data_files,
    edit_features,
    edit_info,
    edit_parquet,
    edit_statistics,
    restore,
    set_value,
)

TASKS_FILE: Final = "meta/tasks.parquet"


def drop_last_task(root: Path) -> None:
    """Drop a task from the table and the total, but not from rows and episodes."""
    edit_parquet(root, TASKS_FILE, lambda groups: [groups[0].slice(0, 2)])
    edit_info(root, total_tasks=2)


def same_task_twice(groups: list[pa.Table]) -> list[pa.Table]:
    names = groups[0]["__index_level_0__"]
    place = groups[0].schema.get_field_index("__index_level_0__")
    twice = pa.array(["pick the cube", "pick the cube", "open the drawer"], names.type)
    return [groups[0].set_column(place, groups[0].schema.field(place), twice)]


def row_number_as_index(root: Path) -> None:
    """Write the texts into a column, as by hand, with the row number as the pandas index."""

    def change(groups: list[pa.Table]) -> list[pa.Table]:
        index = {"kind": "range", "name": None, "start": 0, "stop": len(groups[0]), "step": 1}
        table = groups[0].rename_columns(["task_index", "task"])
        return [table.replace_schema_metadata({"pandas": json.dumps({"index_columns": [index], "columns": []})})]

    edit_parquet(root, TASKS_FILE, change)


def rename_task(root: Path, *changes: tuple[str, str]) -> None:
    """Give tasks other texts, in the table and in the episodes."""
    names = dict(changes)

    def in_table(groups: list[pa.Table]) -> list[pa.Table]:
        place = groups[0].schema.get_field_index("__index_level_0__")
        field = groups[0].schema.field(place)
        texts = [names.get(text, text) for text in groups[0][field.name].to_pylist()]
        return [groups[0].set_column(place, field, pa.array(texts, field.type))]

    def in_episodes(groups: list[pa.Table]) -> list[pa.Table]:
        place = groups[0].schema.get_field_index("tasks")
        field = groups[0].schema.field(place)
        return [
            group.set_column(
                place,
                field,
                pa.array([[names.get(text, text) for text in each] for each in group["tasks"].to_pylist()], field.type),
            )
            for group in groups
        ]

    edit_parquet(root, TASKS_FILE, in_table)
    edit_parquet(root, EPISODES, in_episodes)


def split_task(root: Path) -> None:
    """Record one episode under another spelling of its task."""
    texts = [*pd.read_parquet(root / TASKS_FILE).index, "Pick  the cube."]
    write_tasks(root, texts)
    move_episode(root, texts.index("pick the cube"), len(texts) - 1, "Pick  the cube.")


def join_tasks(root: Path) -> None:
    """Give the episode of the second spelling the first one, and take the second out of the table."""
    texts = [*pd.read_parquet(root / TASKS_FILE).index]
    move_episode(root, len(texts) - 1, texts.index("pick the cube"), "pick the cube")
    write_tasks(root, texts[:-1])


def write_tasks(root: Path, texts: list[str]) -> None:
    pd.DataFrame({"task_index": range(len(texts))}, index=texts).to_parquet(root / TASKS_FILE)
    edit_info(root, total_tasks=len(texts))


def move_episode(root: Path, number: int, other: int, text: str) -> None:
    """Give the first episode of task `number` the task `other`."""
    found: list[int] = []

    def change(groups: list[pa.Table]) -> list[pa.Table]:
        changed = []
        for table in groups:
            episodes, tasks = (table[name].to_numpy() for name in ("episode_index", "task_index"))
            if not found and (tasks == number).any():
                found.append(int(episodes[tasks == number][0]))
            moved = np.where(np.isin(episodes, found), other, tasks)
            place = table.schema.get_field_index("task_index")
            changed.append(table.set_column(place, table.schema.field(place), pa.array(moved, pa.int64())))
        return changed

    for path in data_files(root):
        edit_parquet(root, path, change)
    set_value(root, EPISODES, "tasks", found[0], [text])


def text_as_index(root: Path) -> None:
    pd.read_parquet(root / TASKS_FILE).set_index("task").to_parquet(root / TASKS_FILE)


def label_subtasks(root: Path, numbers: Callable[[int], int]) -> None:
    """Add the feature subtask_index, with a number for each global row, its statistics, and a table of three subtasks."""
    values: list[int] = []

    def change(groups: list[pa.Table]) -> list[pa.Table]:
        changed = []
        for table in groups:
            column = [numbers(row) for row in table["index"].to_pylist()]
            values.extend(column)
            kept = table.drop_columns("subtask_index") if "subtask_index" in table.column_names else table
            described = json.loads(kept.schema.metadata[b"huggingface"])
            described["info"]["features"]["subtask_index"] = {"dtype": "int64", "_type": "Value"}
            kept = kept.append_column("subtask_index", pa.array(column, pa.int64()))
            changed.append(kept.replace_schema_metadata({"huggingface": json.dumps(described)}))
        return changed

    for path in data_files(root):
        edit_parquet(root, path, change)
    edit_features(root, lambda features: features.update(subtask_index={"dtype": "int64", "shape": [1], "names": None}))
    array = np.array(values)
    quantiles = {f"q{percent:02d}": [float(np.percentile(array, percent))] for percent in (1, 10, 50, 90, 99)}
    summary = {
        "min": [int(array.min())],
        "max": [int(array.max())],
        "mean": [float(array.mean())],
        "std": [float(array.std())],
    }
    edit_statistics(root, lambda s: s.update(subtask_index={**summary, "count": [len(array)], **quantiles}))
    texts = pd.DataFrame({"subtask_index": [0, 1, 2]}, index=pd.Index(["reach", "grasp", "lift"], name="subtask"))
    texts.to_parquet(root / "meta/subtasks.parquet")


ROWS: Final[dict[str, Level]] = {"TSK014": "rows"}

CASES: Final = [
    Case("row numbers as the index of tasks", AV1, "TSK014", row_number_as_index, "lerobot#2467", remedied=text_as_index),
    Case("subtasks that are none", AV1, "TSK014", lambda r: label_subtasks(r, lambda row: row % 5 - 1), "lerobot#2860",
         shows_at=ROWS),
    Case("subtasks", AV1, "", lambda r: label_subtasks(r, lambda row: row % 3)),
    Case("tasks in another order than their numbers", AV1, "TSK014", lambda r: edit_parquet(
        r, TASKS_FILE, lambda g: [g[0].take([2, 0, 1])]), "lerobot-dataset-visualizer#61",
         remedied=lambda r: edit_parquet(r, TASKS_FILE, lambda g: [g[0].sort_by("task_index")])),
    Case("no tasks.parquet", AV1, "TSK014", lambda r: (r / TASKS_FILE).unlink(),
         remedied=lambda r: restore(r, AV1, TASKS_FILE)),
    Case("a task is missing", AV1, "TSK014", drop_last_task),
    Case("two tasks with one index", AV1, "TSK014", lambda r: set_value(r, TASKS_FILE, "task_index", 2, 1)),
    Case("one task twice", AV1, "TSK014", lambda r: edit_parquet(r, TASKS_FILE, same_task_twice)),
    Case("total_tasks", AV1, "TSK014", lambda r: edit_info(r, total_tasks=5),
         remedied=lambda r: edit_info(r, total_tasks=3)),
    Case("an episode of an unlisted task", AV1, "TSK014", lambda r: set_value(r, EPISODES, "tasks", 4, ["other"])),
    Case("a row of an unlisted task", AV1, "TSK014", lambda r: set_value(r, data(1), "task_index", 7, 3), shows_at=ROWS),
    Case("an episode of another task than its rows", AV1, "TSK014", lambda r: set_value(
        r, EPISODES, "tasks", 4, ["open the drawer"]), shows_at=ROWS),
    Case("a placeholder for a task", AV1, "TSK047", lambda r: rename_task(r, ("pick the cube", "Task 1")),
         remedied=lambda r: rename_task(r, ("Task 1", "pick the cube"))),
    Case("a task without a text", AV1, "TSK047", lambda r: rename_task(r, ("open the drawer", ""))),
    Case("two spellings of one task", AV1, "TSK047", split_task, remedied=join_tasks),
    Case("a task in two Unicode forms", AV1, "TSK047", lambda r: rename_task(
        r, ("place the cube", "caf\u00e9"), ("open the drawer", "cafe\u0301"))),
    Case("tasks that are much alike", AV1, "", lambda r: rename_task(
        r, ("pick the cube", "test the switch"), ("place the cube", "Test the switch 2"), ("open the drawer", "task: open it"))),
]  # fmt: skip
