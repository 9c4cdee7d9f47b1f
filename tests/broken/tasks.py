"""meta/tasks.parquet, and the tasks of rows and episodes: TSK014."""

from pathlib import Path
from typing import Final

import pyarrow as pa

from episeek_pipelines.verify.rules import Level
from tests.broken.case import AV1, Case
from tests.support.broken_datasets import EPISODES, data, edit_info, edit_parquet, set_value

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


ROWS: Final[dict[str, Level]] = {"TSK014": "rows"}

CASES: Final = [
    Case("no tasks.parquet", AV1, "TSK014", lambda r: (r / TASKS_FILE).unlink()),
    Case("a task is missing", AV1, "TSK014", drop_last_task),
    Case("two tasks with one index", AV1, "TSK014", lambda r: set_value(r, TASKS_FILE, "task_index", 2, 1)),
    Case("one task twice", AV1, "TSK014", lambda r: edit_parquet(r, TASKS_FILE, same_task_twice)),
    Case("total_tasks", AV1, "TSK014", lambda r: edit_info(r, total_tasks=5)),
    Case("an episode of an unlisted task", AV1, "TSK014", lambda r: set_value(r, EPISODES, "tasks", 4, ["other"])),
    Case("a row of an unlisted task", AV1, "TSK014", lambda r: set_value(r, data(1), "task_index", 7, 3), shows_at=ROWS),
    Case("an episode of another task than its rows", AV1, "TSK014", lambda r: set_value(
        r, EPISODES, "tasks", 4, ["open the drawer"]), shows_at=ROWS),
]  # fmt: skip
