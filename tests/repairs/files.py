"""Damage to metadata files, and to the ends of Parquet files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.broken import tasks
from tests.support.broken_datasets import TOP, data_files, edit_features, edit_parquet, edit_statistics, truncate


def declare(root: Path, **changes: Any) -> None:
    edit_features(root, lambda f: f[TOP]["info"].update({f"video.{key}": value for key, value in changes.items()}))


def stale_video_info(root: Path) -> None:
    edit_features(root, lambda f: f[TOP].update(video_info={**f[TOP]["info"], "video.codec": "vp8"}))


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


def cut(root: Path, path: str, lost_bytes: int) -> None:
    """Cut the last `lost_bytes` bytes off a file."""
    truncate(root, path, (root / path).stat().st_size - lost_bytes)


def cut_last_row_group(root: Path) -> None:
    """Cut the last data file within its last row group: the last episode of a recording, or all of a file that was edited."""
    path = root / data_files(root)[-1]
    with pq.ParquetFile(path) as file:
        group = file.metadata.row_group(file.num_row_groups - 1)
        start = min(group.column(number).data_page_offset for number in range(group.num_columns))
    path.write_bytes(path.read_bytes()[: start + 100])
