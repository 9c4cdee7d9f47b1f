"""Many small datasets: copies of a few templates that differ in their metadata, and broken ones of different kinds."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from tests.support.broken_datasets import EPISODES, copy_of, data, set_value
from tests.support.build_index import DATA


def plain_dataset(root: Path) -> None:
    """Write a dataset without pictures: the smallest sample without its cameras."""
    shutil.copytree(DATA / "hevc", root, ignore=shutil.ignore_patterns("videos"))
    info = json.loads((root / "meta/info.json").read_text())
    cameras = [key for key, feature in info["features"].items() if feature["dtype"] == "video"]
    for key in cameras:
        del info["features"][key]
    info["video_path"] = None
    (root / "meta/info.json").write_text(json.dumps(info))
    statistics = json.loads((root / "meta/stats.json").read_text())
    (root / "meta/stats.json").write_text(json.dumps({k: v for k, v in statistics.items() if k not in cameras}))
    table = pq.read_table(root / EPISODES)
    kept = [name for name in table.column_names if not any(camera in name for camera in cameras)]
    pq.write_table(table.select(kept), root / EPISODES)


def _without_video(root: Path) -> None:
    next(iter(sorted((root / "videos").rglob("*.mp4")))).unlink()


def _without_episodes(root: Path) -> None:
    shutil.rmtree(root / "meta/episodes")


def _with_broken_info(root: Path) -> None:
    (root / "meta/info.json").write_text("{")


def _with_other_version(root: Path) -> None:
    edit_info(root, codebase_version="v9.0")


def _with_cut_data(root: Path) -> None:
    path = root / data(0)
    path.write_bytes(path.read_bytes()[:-100])


def _with_wrong_row(root: Path) -> None:
    set_value(root, data(0), "index", 3, 99)


def _with_cut_video(root: Path) -> None:
    path = next(iter(sorted((root / "videos").rglob("*.mp4"))))
    path.write_bytes(path.read_bytes()[:2000])


BROKEN: Final[dict[str, tuple[str, Callable[[Path], None], str]]] = {
    "broken-a-video": ("hevc", _without_video, "refused"),
    "broken-b-episodes": ("plain", _without_episodes, "refused"),
    "broken-c-info": ("plain", _with_broken_info, "refused"),
    "broken-d-version": ("plain", _with_other_version, "refused"),
    "broken-e-data": ("plain", _with_cut_data, "failed"),
    "broken-f-cut": ("hevc", _with_cut_video, "failed"),
    "broken-g-row": ("plain", _with_wrong_row, "done"),
}
"""Template, damage, and the state in which the ledger has the dataset afterwards; the last one is done and has errors."""


def edit_info(root: Path, **values: object) -> None:
    path = root / "meta/info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def make_datasets(folder: Path, count: int, *, broken: int = len(BROKEN)) -> list[str]:
    """Write `count` datasets below a folder, the broken ones among them, and return their names."""
    templates = folder.parent / "templates"
    if not templates.exists():
        plain_dataset(templates / "plain")
        copy_of("hevc", templates)
        copy_of("images", templates)
        copy_of("v21_videos", templates)
    chosen = [(name, *BROKEN[name][:2]) for name in list(BROKEN)[len(BROKEN) - broken :]]
    # of two versions, where there is room for all kinds
    kinds = ("plain", "hevc", "plain", "images", "plain", *(("v21_videos",) if count > 12 else ()))
    names = []
    for number in range(count - len(chosen)):
        template = kinds[number % len(kinds)]
        name = f"{template}/{number:03d}" if number % 2 else f"{template}-{number:03d}"
        shutil.copytree(templates / template, folder / name)
        edit_info(folder / name, robot_type=f"robot-{number}")
        names.append(name)
    for name, template, damage in chosen:
        shutil.copytree(templates / template, folder / name)
        damage(folder / name)
        names.append(name)
    return sorted(names)
