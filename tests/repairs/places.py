"""Read and change single values of a sample dataset, for the defects in the files beside this one."""

import json
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from episeek_schemas import lerobot
from tests.support.broken_datasets import EPISODES, TOP, data_files, episode_values, set_value

EPISODE: Final = 1
"""The episode that most defects are in; all samples have at least four."""

FROM, TO = (lerobot.video_column(TOP, name) for name in ("from_timestamp", "to_timestamp"))


def info(root: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((root / "meta/info.json").read_text())
    return document


def add_to(root: Path, column: str, row: int, by: float) -> None:
    """Add to a value of meta/episodes. A null that another defect left stays null, and a text stays a text."""
    found = episode_values(root, column)[row]
    if found is not None:
        changed = str(int(found) + int(by)) if isinstance(found, str) else found + by
        set_value(root, EPISODES, column, row, changed)


def row_of(root: Path, episode: int, frame: int) -> tuple[str, int]:
    """Return the data file of a frame and its row in the file. The rows of an episode follow one another from its first."""
    for path in data_files(root):
        held = pq.read_table(root / path, columns=["episode_index"])["episode_index"].to_pylist()
        if episode in held:
            return path, held.index(episode) + frame
    raise AssertionError(f"no rows of episode {episode}")


def set_row(root: Path, column: str, value: Any, frame: int = 7) -> None:
    path, row = row_of(root, EPISODE, frame)
    set_value(root, path, column, row, value)


def last_frame(root: Path) -> int:
    path, _ = row_of(root, EPISODE, 0)
    return pq.read_table(root / path, columns=["episode_index"])["episode_index"].to_pylist().count(EPISODE) - 1


def neighbours(root: Path) -> tuple[int, int]:
    """Return the first two consecutive episodes of one video file."""
    files = episode_values(root, lerobot.video_column(TOP, "file_index"))
    row = next(row for row in range(1, len(files)) if files[row] == files[row - 1])
    return row - 1, row
