"""meta/info.json, meta/episodes and the files they imply: INF and EPI."""

import hashlib
import json
import shutil
import unicodedata
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from episeek_schemas import lerobot
from tests.broken.case import AV1, H264, IMAGES, Case
from tests.support.broken_datasets import (
    EPISODES,
    TOP,
    WRIST,
    change_type,
    data,
    drop_column,
    edit_features,
    edit_info,
    edit_parquet,
    edit_statistics,
    restore,
    set_value,
    set_values,
    swap_rows,
    truncate,
    video,
)


def from_ts(camera: str) -> str:
    return lerobot.video_column(camera, "from_timestamp")


def to_ts(camera: str) -> str:
    return lerobot.video_column(camera, "to_timestamp")


def drop_info(root: Path, key: str) -> None:
    path = root / "meta/info.json"
    document = json.loads(path.read_text())
    del document[key]
    path.write_text(json.dumps(document))


def add_video_columns(root: Path) -> None:
    edit_parquet(
        root, EPISODES, lambda groups: [groups[0].append_column("videos/ghost/chunk_index", pa.array([0] * 10))]
    )


def recompute_rows_of_episodes(root: Path) -> None:
    """Recompute dataset_from_index and dataset_to_index from the lengths, in the order of the episodes."""

    def change(groups: list[pa.Table]) -> list[pa.Table]:
        [table] = groups
        stop = np.cumsum(table["length"].to_numpy())
        for name, values in (("dataset_from_index", stop - table["length"].to_numpy()), ("dataset_to_index", stop)):
            table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), pa.array(values))
        return [table]

    edit_parquet(root, EPISODES, change)


def two_shards(root: Path) -> str:
    """Move the second half of meta/episodes to a file of its own."""
    table = pq.read_table(root / EPISODES)
    second = EPISODES.replace("file-000", "file-001")
    pq.write_table(table.slice(5), root / second)
    pq.write_table(table.slice(0, 5), root / EPISODES)
    return second


def edit_feature(root: Path, name: str, spec: object) -> None:
    path = root / "meta/info.json"
    document = json.loads(path.read_text())
    document["features"][name] = spec
    path.write_text(json.dumps(document))


def exchange_data_files(root: Path) -> None:
    """Exchange the first data file and the last, and adapt meta/episodes."""
    shutil.move(root / data(0), root / "aside")
    shutil.move(root / data(2), root / data(0))
    shutil.move(root / "aside", root / data(2))
    files = pq.read_table(root / EPISODES)["data/file_index"].to_pylist()
    exchanged = {0: 2, 2: 0}
    set_values(root, EPISODES, {("data/file_index", row): exchanged.get(file, file) for row, file in enumerate(files)})


def leave_pointers(root: Path, *suffixes: str) -> None:
    """Replace files by Git LFS pointers, as in a clone without `git lfs pull`."""
    for file in (path for folder in ("data", "meta", "videos") for path in (root / folder).rglob("*")):
        if file.suffix in suffixes:
            oid, size = hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_size
            file.unlink()
            file.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n")


def leave_annex_pointers(root: Path) -> None:
    """Replace data files by pointers of git-annex, as in a clone without `git annex get`."""
    for file in (root / "data").rglob("*.parquet"):
        file.write_text(f"/annex/objects/SHA256E-s{file.stat().st_size}--{'0123456789abcdef' * 4}.parquet\n")


def leave_info_alone(root: Path, *further: str) -> None:
    """Leave what a tool has written before the first episode: meta/info.json, without the episodes that it will have."""
    edit_info(root, total_episodes=0, total_frames=0, total_tasks=0, splits={})
    for folder in ("meta/episodes", *further):
        shutil.rmtree(root / folder, ignore_errors=True)
    for path in ("meta/tasks.parquet", "meta/stats.json"):
        (root / path).unlink()


def backslashes(root: Path) -> None:
    document = json.loads((root / "meta/info.json").read_text())
    edit_info(root, **{key: document[key].replace("/", "\\") for key in ("data_path", "video_path")})


def slashes(root: Path) -> None:
    document = json.loads((root / "meta/info.json").read_text())
    edit_info(root, **{key: document[key].replace("\\", "/") for key in ("data_path", "video_path")})


def old_documents(root: Path) -> None:
    """Replace meta/episodes and the tasks by the documents of version 2.1."""
    shutil.rmtree(root / "meta/episodes")
    (root / "meta/tasks.parquet").unlink()
    for name in ("episodes", "tasks"):
        (root / f"meta/{name}.jsonl").write_text("{}\n")


def name_pictures(root: Path, names: list[str] | None) -> None:
    edit_features(root, lambda features: features[TOP].update(names=names))


CAMERA: Final = unicodedata.normalize("NFC", "observation.images.caméra")


Form = Literal["NFC", "NFD"]


def rename_camera(root: Path, *, columns: Form, folder: Form) -> None:
    """Give a camera a name of other letters than ASCII, and its columns and its folder one in a Unicode form of their own."""
    edit_features(root, lambda features: features.update({CAMERA: features.pop(TOP)}))
    edit_statistics(root, lambda statistics: statistics.update({CAMERA: statistics.pop(TOP)}))
    name = unicodedata.normalize(columns, CAMERA)
    edit_parquet(root, EPISODES, lambda g: [g[0].rename_columns([c.replace(TOP, name) for c in g[0].column_names])])
    (root / "videos" / TOP).rename(root / "videos" / unicodedata.normalize(folder, CAMERA))


def declare_audio(root: Path) -> None:
    edit_feature(root, "observation.audio.mic", {"dtype": "audio", "shape": [1], "names": ["channels"]})


CASES: Final = [
    Case("backslashes in templates", AV1, "INF001", backslashes, "lerobot#647", remedied=slashes),
    Case("a header of version 3.0 over files of version 2.1", AV1, "INF001", old_documents, "lerobot#2652"),
    Case("pictures without names", AV1, "INF001", lambda r: name_pictures(r, None), "lerobot#3786",
         remedied=lambda r: name_pictures(r, ["height", "width", "channels"])),
    Case("a camera of other letters", AV1, "", lambda r: rename_camera(r, columns="NFC", folder="NFC")),
    Case("columns of a camera in another Unicode form", AV1, "EPI011 EPI013", lambda r: rename_camera(
        r, columns="NFD", folder="NFC")),
    Case("videos in a folder in another Unicode form", AV1, "INF004", lambda r: rename_camera(r, columns="NFC", folder="NFD")),
    Case("a dtype that nobody knows", AV1, "INF001", declare_audio, "lerobot#2824"),
    Case("a feature that is nothing", AV1, "INF001", lambda r: edit_feature(r, "action", None),
         remedied=lambda r: restore(r, AV1, "meta/info.json")),
    Case("a feature without a shape", AV1, "INF001", lambda r: edit_feature(r, "action", {"dtype": "float32"})),
    Case("data files in another order than their rows", AV1, "INF043", exchange_data_files,
         remedied=exchange_data_files),
    Case("a wrong pointer between files in order", AV1, "EPI012", lambda r: set_value(r, EPISODES, "data/file_index", 1, 2),
         remedied=lambda r: set_value(r, EPISODES, "data/file_index", 1, 0)),
    Case("episodes where LeRobot does not look", AV1, "INF043", lambda r: shutil.move(
        r / EPISODES, r / "meta/episodes/file-000.parquet"),
         remedied=lambda r: shutil.move(r / "meta/episodes/file-000.parquet", r / EPISODES)),
    Case("pointers instead of videos", H264, "INF040", lambda r: leave_pointers(r, ".mp4")),
    Case("pointers instead of tables and videos", AV1, "INF040", lambda r: leave_pointers(r, ".parquet", ".mp4"), indexed=True),
    Case("pointers instead of everything", AV1, "INF040", lambda r: leave_pointers(r, ".parquet", ".mp4", ".json")),
    Case("pointers of git-annex instead of data files", AV1, "INF040", leave_annex_pointers),
    Case("version 2.1", AV1, "INF001", lambda r: edit_info(r, codebase_version="v2.1"), "most public datasets"),
    Case("no fps", AV1, "INF001", lambda r: drop_info(r, "fps"),
         remedied=lambda r: edit_info(r, fps=30)),
    Case("a path without file_index", AV1, "INF001", lambda r: edit_info(r, data_path="data/chunk-{chunk_index:03d}.parquet")),
    Case("not JSON", AV1, "INF001", lambda r: truncate(r, "meta/info.json", 100)),
    Case("fps with a fraction", IMAGES, "INF002 ROW017", lambda r: edit_info(r, fps=29.97), "lerobot#4025", milder="INF002"),
    Case("data file missing", AV1, "INF004", lambda r: (r / data(1)).unlink(), "lerobot#2861",
         remedied=lambda r: restore(r, AV1, data(1))),
    Case("videos in a folder of a similar name", AV1, "INF004", lambda r: (r / "videos").rename(r / "video")),
    Case("data in a folder of another case", AV1, "INF004", lambda r: (r / "data").rename(r / "Data")),
    Case("a camera in a folder of another name", AV1, "INF004", lambda r: (r / "videos" / TOP).rename(r / "videos/top")),
    Case("an edit that was stopped before its data", AV1, "INF044", leave_info_alone, "LeRobot's delete_episodes"),
    Case("a dataset that was created and never recorded", IMAGES, "INF044", lambda r: leave_info_alone(r, "videos", "data"),
         "LeRobotDataset.create", milder="INF044"),
    Case("data file empty", AV1, "INF004", lambda r: truncate(r, data(1), 0)),
    Case("data file of nobody", AV1, "INF004W", lambda r: shutil.copyfile(r / data(1), r / data(7)), "lerobot/droid_1.0.1"),
    Case("video of nobody", AV1, "INF004W", lambda r: shutil.copyfile(r / video(TOP, 1), r / video(TOP, 7))),
    Case("more files in a chunk than chunks_size", AV1, "INF006", lambda r: edit_info(r, chunks_size=2),
         remedied=lambda r: edit_info(r, chunks_size=1000)),
    Case("total_episodes", H264, "INF009", lambda r: edit_info(r, total_episodes=7)),
    Case("total_frames", H264, "INF009", lambda r: edit_info(r, total_frames=233),
         remedied=lambda r: edit_info(r, total_frames=234)),
    Case("a split beyond the last episode", AV1, "INF009W", lambda r: edit_info(r, splits={"train": "0:8", "val": "8:12"}),
         remedied=lambda r: edit_info(r, splits={"train": "0:8", "val": "8:10"})),
    Case("a split that is no range", AV1, "", lambda r: edit_info(r, splits={"train": "all"})),
    Case("a shard without footer", AV1, "EPI005", lambda r: truncate(r, two_shards(r), 1000), "lerobot#2529, lerobot#3522"),
    Case("episodes swapped", H264, "EPI008", lambda r: edit_parquet(r, EPISODES, lambda g: [swap_rows(g[0], 2)]), "axol#158",
         remedied=lambda r: edit_parquet(r, EPISODES, lambda g: [g[0].sort_by("episode_index")])),
    Case("a gap in dataset_from_index", H264, "EPI010", lambda r: set_values(
        r, EPISODES, {("dataset_from_index", 3): 141, ("dataset_to_index", 3): 161, ("dataset_from_index", 4): 161,
                      ("dataset_to_index", 4): 194, ("dataset_from_index", 5): 194, ("dataset_to_index", 5): 235}),
         "lerobot#1919",
         remedied=recompute_rows_of_episodes),
    Case("dataset_to_index and length differ", H264, "EPI010", lambda r: set_value(r, EPISODES, "dataset_to_index", 5, 235),
         remedied=recompute_rows_of_episodes),
    Case("a null file_index", AV1, "EPI011", lambda r: set_value(r, EPISODES, "data/file_index", 4, None), "lerobot#2283",
         remedied=lambda r: restore(r, AV1, EPISODES)),
    Case("a null episode_index", AV1, "EPI011", lambda r: set_value(r, EPISODES, "episode_index", 4, None)),
    Case("a null length", AV1, "EPI011", lambda r: set_value(r, EPISODES, "length", 4, None)),
    Case("a NaN timestamp of a video", AV1, "EPI011", lambda r: set_value(r, EPISODES, from_ts(TOP), 4, float("nan")),
         "lerobot#2429"),
    Case("a negative chunk_index", AV1, "EPI011", lambda r: set_value(
        r, EPISODES, lerobot.video_column(WRIST, "chunk_index"), 9, -1)),
    Case("a column is missing", AV1, "EPI011", lambda r: drop_column(r, EPISODES, to_ts(WRIST))),
    Case("text instead of numbers", AV1, "EPI011", lambda r: change_type(r, EPISODES, "length", pa.string())),
    Case("pointer to the wrong data file", AV1, "EPI012", lambda r: set_value(r, EPISODES, "data/file_index", 3, 0),
         "lerobot#2401, lerobot/libero",
         remedied=lambda r: set_value(r, EPISODES, "data/file_index", 3, 1)),
    Case("pointer to no data file", AV1, "EPI012 INF004", lambda r: set_value(r, EPISODES, "data/file_index", 3, 9),
         remedied=lambda r: set_value(r, EPISODES, "data/file_index", 3, 1)),
    Case("columns of an unknown camera", AV1, "EPI013", add_video_columns),
]  # fmt: skip
