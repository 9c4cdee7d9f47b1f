"""Write the items of a LeRobotDataset into files. The Python of LeRobot's environment runs it."""

import json
import pickle
import sys
import traceback
from pathlib import Path


def main() -> None:
    """Read the request from stdin: root, delta_timestamps, episodes, and the folder for an item of each index."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset  # type: ignore[import-not-found]  # in the other environment

    request = json.load(sys.stdin)
    dataset = LeRobotDataset(
        "local/peer",
        root=request["root"],
        delta_timestamps=request["delta_timestamps"],
        episodes=request["episodes"],
        tolerance_s=request["tolerance_s"],
    )
    folder = Path(request["folder"])
    for number in range(len(dataset)):
        try:
            item = {key: value if isinstance(value, str) else value.numpy() for key, value in dataset[number].items()}
        except Exception:
            item = {"error": traceback.format_exc(limit=1)}
        (folder / f"{number}.pickle").write_bytes(pickle.dumps(item))
    print(len(dataset))


if __name__ == "__main__":
    main()
