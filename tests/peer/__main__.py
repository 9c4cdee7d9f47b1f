"""Compare all items of all sample datasets with those of the real LeRobotDataset, with and without delta_timestamps."""

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from episeek.torch import EpisodeDataset
from episeek_pipelines.api import prepare
from tests.support.build_index import DATA

NAMES = ("av1_multifile", "h264_bframes", "hevc", "edited", "images")
OLD_NAMES = ("v21_videos", "v21_images")
"""Datasets that LeRobot reads as version 3.0 alone: it reads what `prepare` has made of them."""
TOP, STATE, ACTION = "observation.images.top", "observation.state", "action"
DELTAS = (None, {TOP: [-2, -1, 0], ACTION: [0, 1, 2, 3, 4, 5, 6, 7], STATE: [-1, 0]}, {TOP: [0], ACTION: [-3, 50]})
EPISODES = (None, [2, 0])


def main() -> int:
    """Return 1 where an item differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.peer", description=__doc__)
    parser.add_argument("peer", help="the Python of an environment with LeRobot")
    arguments = parser.parse_args()
    different = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in (*NAMES, *OLD_NAMES):
            prepared = Path(folder, name)
            prepare(str(DATA / name), str(prepared), videos="copy" if name in OLD_NAMES else "none")
            for number, deltas in enumerate(DELTAS):
                for episodes in EPISODES[: 1 + (number == 1)]:
                    root = prepared if name in OLD_NAMES else DATA / name
                    different += compare(arguments.peer, name, root, prepared, deltas, episodes)
    print("all equal" if not different else f"{different} items differ")
    return 1 if different else 0


def compare(peer: str, name: str, root: Path, prepared: Path, deltas: Any, episodes: list[int] | None) -> int:
    """Print a line on one dataset with one choice of options, and return the number of items that differ."""
    fps = 30
    seconds = None if deltas is None else {key: [frame / fps for frame in frames] for key, frames in deltas.items()}
    with tempfile.TemporaryDirectory() as items:
        request = {
            "root": str(root.resolve()),
            "delta_timestamps": seconds,
            "episodes": episodes,
            "tolerance_s": 1e-4,
            "folder": items,
        }
        script = Path(__file__).with_name("lerobot_items.py")
        done = subprocess.run([peer, script], input=json.dumps(request), text=True, capture_output=True, check=False)
        if done.returncode:
            sys.exit(f"{name}: LeRobot failed:\n{done.stderr}")
        count = int(done.stdout.split()[-1])
        dataset = EpisodeDataset(prepared, delta_timestamps=seconds, episodes=episodes)
        problems = [] if len(dataset) == count else [f"{len(dataset)} items, LeRobot has {count}"]
        refused = 0
        for number in range(min(count, len(dataset))):
            theirs = pickle.loads(Path(items, f"{number}.pickle").read_bytes())
            if "error" in theirs:
                refused += 1
                continue
            problems += [f"item {number}: {problem}" for problem in differences(dataset[number], theirs)]
    equal = count - refused - len({problem.split(":")[0] for problem in problems})
    print(f"{name}, deltas {deltas}, episodes {episodes}: {equal} equal, {refused} that LeRobot cannot read")
    for problem in problems[:5]:
        print("   ", problem)
    return len(problems)


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Return in words how two items differ in keys, types, shapes and values."""
    if list(ours) != list(theirs):
        return [f"keys {list(ours)}; LeRobot has {list(theirs)}"]
    problems = []
    for key, value in theirs.items():
        own = ours[key] if isinstance(ours[key], str) else ours[key].numpy()
        if isinstance(value, str):
            if own != value:
                problems.append(f"{key}: {own!r}; LeRobot has {value!r}")
        elif (own.dtype, own.shape) != (value.dtype, value.shape):
            problems.append(f"{key}: {own.dtype} {own.shape}; LeRobot has {value.dtype} {value.shape}")
        elif not np.array_equal(own, value):
            problems.append(f"{key}: values differ by up to {np.abs(own.astype(float) - value.astype(float)).max()}")
    return problems


if __name__ == "__main__":
    sys.exit(main())
