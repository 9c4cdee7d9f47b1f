"""What the episodes of a small dataset hold, read with pyarrow and PyAV alone: values of rows, and packets of videos."""

import json
import struct
from pathlib import Path
from typing import Any

import av
import pyarrow.parquet as pq

Contents = dict[int, dict[str, list[Any]]]


def contents_of(root: Path) -> Contents:
    """The columns and the packets of each camera, by episode; numbers count from the episode, and tasks are texts."""
    info = json.loads((root / "meta/info.json").read_text())
    tasks = pq.read_table(root / "meta/tasks.parquet").to_pandas()["task_index"].to_dict()
    text_of = {number: text for text, number in tasks.items()}
    episodes = [
        row for path in sorted((root / "meta/episodes").rglob("*.parquet")) for row in pq.read_table(path).to_pylist()
    ]
    found: Contents = {row["episode_index"]: {} for row in episodes}
    for path in sorted((root / "data").rglob("*.parquet")):
        for row in pq.read_table(path, partitioning=None).to_pylist():
            episode = found[row["episode_index"]]
            place = next(each for each in episodes if each["episode_index"] == row["episode_index"])
            row["index"] -= place["dataset_from_index"]
            row["task_index"] = text_of[row["task_index"]]
            for name, value in row.items():
                if name != "episode_index":
                    episode.setdefault(name, []).append(_exact(value))
    for camera in (key for key, feature in info["features"].items() if feature["dtype"] == "video"):
        for row in episodes:
            place = {field: row[f"videos/{camera}/{field}"] for field in ("chunk_index", "file_index")}
            path = root / info["video_path"].format(video_key=camera, **place)
            begin, end = (row[f"videos/{camera}/{field}"] for field in ("from_timestamp", "to_timestamp"))
            found[row["episode_index"]][camera] = _packets(path, begin - 0.5 / info["fps"], end - 0.5 / info["fps"])
    return found


def differences(a: dict[str, list[Any]], b: dict[str, list[Any]]) -> dict[str, tuple[int, int]]:
    """The columns and cameras in which two episodes of one length differ: how many rows or packets, and the first of them."""
    found = {}
    for name in a:
        places = [place for place, (one, other) in enumerate(zip(a[name], b[name], strict=True)) if one != other]
        if places:
            found[name] = (len(places), places[0])
    return found


def _packets(path: Path, begin: float, end: float) -> list[bytes]:
    with av.open(path.as_posix()) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        return [
            bytes(packet)
            for packet in container.demux(stream)
            if packet.size and packet.pts is not None and begin <= float(packet.pts * stream.time_base) < end
        ]


def _exact(value: Any) -> Any:
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, list):
        return [_exact(item) for item in value]
    return {key: _exact(item) for key, item in value.items()} if isinstance(value, dict) else value
