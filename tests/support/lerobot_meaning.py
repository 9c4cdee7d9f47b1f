"""What LeRobot reads of a dataset, by plain pyarrow: rows in the order of the data files, tasks by the pandas index, and for each
episode the video file and the seconds of its frames.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def rows_meaning(root: Path) -> dict[str, Any]:
    """The rate, and all values of the rows with the texts of their tasks."""
    info = json.loads((root / "meta/info.json").read_text())
    tables = [pq.read_table(path) for path in sorted(root.glob("data/*/*.parquet"))]
    rows = pa.concat_tables(table.replace_schema_metadata() for table in tables).to_pydict()
    tasks = pq.read_table(root / "meta/tasks.parquet")
    [index] = json.loads(tasks.schema.metadata[b"pandas"])["index_columns"]
    texts = tasks[index].to_pylist()
    rows["task"] = [texts[number] for number in rows["task_index"]]
    return {"fps": info["fps"], "rows": rows}


def frames_meaning(root: Path) -> list[tuple[Any, ...]]:
    """The episode, camera, digest of the file, start in it and length of the frames of each episode."""
    info = json.loads((root / "meta/info.json").read_text())
    shards = (pq.read_table(path) for path in sorted(root.glob("meta/episodes/*/*.parquet")))
    frames = []
    for episode in pa.concat_tables(shards).to_pylist():
        for camera in (key for key, spec in info["features"].items() if spec["dtype"] == "video"):
            chunk, file, start = (
                episode[f"videos/{camera}/{name}"] for name in ("chunk_index", "file_index", "from_timestamp")
            )
            path = root / info["video_path"].format(video_key=camera, chunk_index=chunk, file_index=file)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            frames.append((episode["episode_index"], camera, digest, round(start, 6), episode["length"]))
    return frames
