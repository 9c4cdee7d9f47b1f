"""A dataset of any number of episodes: the ten real ones of `tests/data/av1_multifile` repeated, rows, statistics and pictures.

Files that hold the same are one: every MP4 of a full file's episodes is a hard link. 100,000 episodes of three cameras take half a
minute and a few hundred megabytes.
"""

import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.build_index import DATA
from tests.support.large_video import EncodedEpisode, lerobot_episodes, write_large_video

SOURCE = DATA / "av1_multifile"
CAMERA, OTHER_CAMERA = "observation.images.top", "observation.images.wrist"
FPS = 30
CHUNK_FILES = 1000
META_GROUP_ROWS = 500
WRITERS = 2
MOVED_STATISTICS = ("min", "max", "mean", "q01", "q10", "q50", "q90", "q99")

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LargeDataset:
    """What was written."""

    root: Path
    episodes: int
    frames: int
    cameras: tuple[str, ...]
    data_files: int
    video_files: int


def write_large_dataset(
    folder: Path,
    episodes: int,
    *,
    cameras: int = 3,
    episodes_per_file: int = 500,
    episodes_per_meta_file: int = 5000,
    encoded: tuple[tuple[EncodedEpisode, ...], bytes] | None = None,
) -> LargeDataset:
    """Write a LeRobot v3.0 dataset with one row group per episode.

    Args:
        folder: Its root, to be made.
        episodes: A multiple of the ten that are repeated.
        cameras: How many; they show the same.
        episodes_per_file: Of data files and MP4 files, a multiple of ten as well.
        episodes_per_meta_file: Of the files of meta/episodes.
        encoded: The ten episodes and their sample entry; None for the real ones.
        episodes_per_meta_file: Of the files of meta/episodes.

    Raises:
        ValueError: A number of episodes that is no multiple.
    """
    rows = pq.read_table(SOURCE / "data").replace_schema_metadata(pq.read_schema(SOURCE / _data_path(0)).metadata)
    original = pq.read_table(SOURCE / "meta/episodes")
    count = len(original)
    if episodes % count or episodes_per_file % count:
        raise ValueError(f"{episodes} episodes, {episodes_per_file} a file; expected multiples of {count}")
    keys = tuple(f"observation.images.camera_{number}" for number in range(cameras))
    length = np.tile(original["length"].to_numpy(), episodes // count)
    _write_data(folder, rows, length, episodes_per_file)
    _write_videos(folder, keys, episodes, episodes_per_file, encoded or lerobot_episodes())
    table = _episode_table(original, length, keys, episodes_per_file)
    for number, start in enumerate(range(0, episodes, episodes_per_meta_file)):
        path = _made(folder / f"meta/episodes/chunk-000/file-{number:03d}.parquet")
        part = table.slice(start, episodes_per_meta_file)
        at = part.column_names.index("meta/episodes/file_index")
        part = part.set_column(at, "meta/episodes/file_index", pa.array(np.full(len(part), number)))
        pq.write_table(part, path, row_group_size=META_GROUP_ROWS)
    (folder / "meta/tasks.parquet").write_bytes((SOURCE / "meta/tasks.parquet").read_bytes())
    _write_documents(folder, keys, episodes, int(length.sum()))
    files = -(-episodes // episodes_per_file)
    return LargeDataset(folder, episodes, int(length.sum()), keys, files, files * cameras)


def _data_path(number: int) -> str:
    return f"data/chunk-{number // CHUNK_FILES:03d}/file-{number % CHUNK_FILES:03d}.parquet"


def _video_path(camera: str, number: int) -> str:
    return f"videos/{camera}/chunk-{number // CHUNK_FILES:03d}/file-{number % CHUNK_FILES:03d}.mp4"


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _write_data(folder: Path, rows: pa.Table, length: Int64Array, episodes_per_file: int) -> None:
    repeats = episodes_per_file // len(np.unique(rows["episode_index"].to_numpy()))
    full = pa.concat_tables([rows] * repeats).combine_chunks()
    start = np.concatenate([[0], np.cumsum(length)])

    def write(number: int) -> None:
        first = number * episodes_per_file
        held = length[first : first + episodes_per_file]
        table = full.slice(0, int(held.sum()))
        moved = {
            "episode_index": np.repeat(np.arange(first, first + len(held)), held),
            "index": np.arange(start[first], start[first + len(held)]),
        }
        for name, values in moved.items():
            table = table.set_column(table.column_names.index(name), table.schema.field(name), pa.array(values))
        with pq.ParquetWriter(_made(folder / _data_path(number)), table.schema) as writer:
            for begin, count in zip((start[first:][: len(held)] - start[first]).tolist(), held.tolist(), strict=True):
                writer.write_table(table.slice(begin, count), row_group_size=count)

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(-(-len(length) // episodes_per_file))))


def _write_videos(
    folder: Path,
    keys: tuple[str, ...],
    episodes: int,
    episodes_per_file: int,
    encoded: tuple[tuple[EncodedEpisode, ...], bytes],
) -> None:
    originals, entry = encoded
    written: dict[int, Path] = {}
    for number, first in enumerate(range(0, episodes, episodes_per_file)):
        held = min(episodes_per_file, episodes - first)
        size_bytes = sum(len(episode.payload) for episode in originals) * held // len(originals)
        for key in keys:
            path = _made(folder / _video_path(key, number))
            if held in written:
                os.link(written[held], path)
            else:
                video = write_large_video(path, originals, entry, size_bytes=size_bytes)
                assert len(video.episode_lengths) == held
                written[held] = path


def _episode_table(original: pa.Table, length: Int64Array, keys: tuple[str, ...], episodes_per_file: int) -> pa.Table:
    """All rows of meta/episodes."""
    number = np.arange(len(length))
    stop = np.cumsum(length)
    start, file = stop - length, number // episodes_per_file
    in_file = start - start[file * episodes_per_file]
    places: dict[str, npt.NDArray[Any]] = {
        "episode_index": number,
        "data/chunk_index": file // CHUNK_FILES,
        "data/file_index": file % CHUNK_FILES,
        "dataset_from_index": start,
        "dataset_to_index": stop,
        f"videos/{CAMERA}/chunk_index": file // CHUNK_FILES,
        f"videos/{CAMERA}/file_index": file % CHUNK_FILES,
        f"videos/{CAMERA}/from_timestamp": in_file / FPS,
        f"videos/{CAMERA}/to_timestamp": (in_file + length) / FPS,
    }
    first = number % len(original)
    shifts = {"episode_index": number - first, "index": start - start[first]}
    repeated = original.take(pa.array(first))
    columns: dict[str, Any] = {}
    for name, column in zip(repeated.column_names, repeated.columns, strict=True):
        if OTHER_CAMERA in name:
            continue
        _, feature, statistic = name.split("/") if name.startswith("stats/") else ("", "", "")
        if name in places:
            column = pa.array(places[name])
        elif feature in shifts and statistic in MOVED_STATISTICS:
            column = _moved(column, shifts[feature])
        for key in keys if CAMERA in name else ("",):
            columns[name.replace(CAMERA, key)] = column
    return pa.table(columns)


def _moved(column: pa.ChunkedArray, shift: Int64Array) -> pa.Array:
    """A column of lists of one number, with something added to each."""
    values = column.combine_chunks().flatten().to_numpy() + shift
    return pa.ListArray.from_arrays(
        np.arange(len(values) + 1, dtype=np.int32), pa.array(values, column.type.value_type)
    )


def _write_documents(folder: Path, keys: tuple[str, ...], episodes: int, frames: int) -> None:
    info = json.loads((SOURCE / "meta/info.json").read_text())
    repeats = episodes // info["total_episodes"]
    info |= {
        "total_episodes": episodes,
        "total_frames": frames,
        "splits": {"train": f"0:{episodes}"},
        "features": dict(_by_camera(info["features"], keys)),
    }
    statistics = dict(_by_camera(json.loads((SOURCE / "meta/stats.json").read_text()), keys))
    for entry in statistics.values():
        entry["count"] = [count * repeats for count in entry["count"]]
    for name, count in (("index", frames), ("episode_index", episodes)):
        quantiles = {f"q{percent:02d}": [(count - 1) * percent / 100] for percent in (1, 10, 50, 90, 99)}
        extremes = {"min": [0], "max": [count - 1], "mean": [(count - 1) / 2], "std": [count / 12**0.5]}
        statistics[name] |= extremes | quantiles
    (folder / "meta/info.json").write_text(json.dumps(info, indent=4))
    (folder / "meta/stats.json").write_text(json.dumps(statistics, indent=4))


def _by_camera(document: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """What is said of the one camera, for each of the others."""
    for name, value in document.items():
        for key in keys if name == CAMERA else () if name == OTHER_CAMERA else (name,):
            yield key, deepcopy(value)
