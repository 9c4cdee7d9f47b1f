"""Damage to what meta/episodes declares about the videos of episodes: seconds, files, and lengths beside lost seconds."""

from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from episeek_schemas import lerobot
from tests.repairs.places import FROM, TO, add_to, neighbours
from tests.support.broken_datasets import EPISODES, TOP, episode_values, set_value, set_values


def drift(root: Path) -> None:
    """Declare each episode of a camera a fifth of a frame longer than it is."""
    names = [lerobot.video_column(TOP, "file_index"), FROM, TO]
    files, begins, ends = (episode_values(root, name) for name in names)
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
    """Declare the second episode of a video file five frames early."""
    _, row = neighbours(root)
    for name in (FROM, TO):
        add_to(root, name, row, -5 / 30)


def exchange_seconds(root: Path) -> None:
    """Exchange the seconds of the first two episodes of one file that have different lengths."""
    files, lengths = episode_values(root, lerobot.video_column(TOP, "file_index")), episode_values(root, "length")
    one = next(row for row in range(1, len(files)) if files[row] == files[row - 1] and lengths[row] != lengths[row - 1])
    for name in (FROM, TO):
        found = episode_values(root, name)
        set_values(root, EPISODES, {(name, one - 1): found[one], (name, one): found[one - 1]})


def lose_seconds(root: Path) -> None:
    """Remove the seconds of two consecutive episodes of one video file."""
    set_values(root, EPISODES, {(name, row): None for name in (FROM, TO) for row in neighbours(root)})


def move_border(root: Path) -> None:
    """Move the border of two episodes in meta/episodes by two rows, and remove their seconds.

    Lengths, counts and ranges agree with each other, but not with the rows.
    """
    one, other = neighbours(root)
    names = [name for name in pq.read_schema(root / EPISODES).names if name.endswith("/count") and "images" not in name]
    for row, by in ((one, 2), (other, -2)):
        add_to(root, "length", row, by)
        counts = {name: episode_values(root, name)[row] for name in names}
        set_values(root, EPISODES, {(name, row): [count[0] + by] for name, count in counts.items() if count})
    add_to(root, "dataset_to_index", one, 2)
    add_to(root, "dataset_from_index", other, 2)
    lose_seconds(root)


def misfile(root: Path, place: Literal["first", "last", "only"]) -> None:
    """Declare an episode of a camera in another existing file.

    Args:
        root: A sample whose cameras have several files.
        place: The episode: the `first` or the `last` of a file with two episodes, or the `only` one of its file.
    """
    name = lerobot.video_column(TOP, "file_index")
    files = episode_values(root, name)
    counts = {file: files.count(file) for file in files}
    rows = [row for row, file in enumerate(files) if counts[file] == (1 if place == "only" else 2)]
    row = rows[{"first": -2, "last": 1, "only": -1}[place]]
    others = sorted({file for file in files if file is not None} - {files[row]})
    wrong = others[0] if place == "last" else others[-1]
    set_value(root, EPISODES, name, row, wrong)
