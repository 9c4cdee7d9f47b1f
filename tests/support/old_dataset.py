"""Datasets of version 2.x that a test may change: copies of a recorded one, and edits of their documents."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent.parent / "data"
VIDEOS = "v21_videos"
EPISODES, TASKS, STATISTICS = "meta/episodes.jsonl", "meta/tasks.jsonl", "meta/episodes_stats.jsonl"


def copy_old(target: Path, name: str = VIDEOS) -> Path:
    shutil.copytree(DATA / name, target, ignore=shutil.ignore_patterns("golden_items.npz"))
    return target


def lines(root: Path, path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / path).read_text().splitlines()]


def write_lines(root: Path, path: str, found: list[dict[str, Any]]) -> None:
    (root / path).write_text("".join(f"{json.dumps(line)}\n" for line in found))


def edit_lines(root: Path, path: str, edit: Callable[[list[dict[str, Any]]], object]) -> None:
    found = lines(root, path)
    edit(found)
    write_lines(root, path, found)


def edit_info(root: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = root / "meta/info.json"
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))


def as_version_2_0(root: Path) -> Path:
    """Give a dataset the documents of version 2.0: the statistics of the whole, without counts."""
    entries = [line["stats"] for line in lines(root, STATISTICS)]
    names = ("min", "max", "mean", "std")
    totals = {feature: {name: entries[0][feature][name] for name in names} for feature in entries[0]}
    (root / "meta/stats.json").write_text(json.dumps(totals))
    (root / STATISTICS).unlink()
    edit_info(root, lambda info: info.update(codebase_version="v2.0"))
    return root
