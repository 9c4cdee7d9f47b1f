"""Datasets to rewrite, made by hand, and what has to be the same afterwards."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.rewrite.rewrite import Output, RewriteUnit, plan_rewrite, rewrite_file, write_metadata

FILE = "data/chunk-000/file-000.parquet"
UNIT = RewriteUnit(FILE, (Output(FILE, 0, 1_000_000),))


def rewrite(source: Path, destination: Path, **options):
    """The whole step, as the graph runs it."""
    plan = plan_rewrite(open_dataset(str(source)), **options)
    results = [rewrite_file(Root(str(source)), Root(str(destination)), unit) for unit in plan.units]
    written = [output for result in results for output in result.outputs]
    write_metadata(Root(str(source)), Root(str(destination)), plan, written)
    return plan, results


def write_dataset(
    root: Path, files: list[pa.Table], *, chunks_size=1000, shard_rows=None, codec="snappy", **options
) -> Path:
    """A dataset whose data files hold `files`; `meta/episodes` says what is in them, with nested statistics."""
    rows, start = [], 0
    for number, table in enumerate(files):
        chunk, file = divmod(number, chunks_size)
        path = root / f"data/chunk-{chunk:03d}/file-{file:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, **options)
        for episode, length in zip(*np.unique(table["episode_index"].to_numpy(), return_counts=True), strict=True):
            rows.append((int(episode), int(length), chunk, file, start, start + int(length)))
            start += int(length)
    names = ("episode_index", "length", "data/chunk_index", "data/file_index", "dataset_from_index", "dataset_to_index")
    columns = {name: pa.array([row[i] for row in rows], pa.int64()) for i, name in enumerate(names)}
    images = [None if k % 7 == 3 else [[[k / 3]], [[float("nan")]], [[-0.0]]] for k in range(len(rows))]
    columns["stats/image/mean"] = pa.array(images, pa.list_(pa.list_(pa.list_(pa.float64()))))
    columns["tasks"] = pa.array([["a", None, f"task {k}"] for k in range(len(rows))], pa.list_(pa.string()))
    episodes = pa.table(columns).replace_schema_metadata({"huggingface": "{}", "other": "kept"})
    for shard, first in enumerate(range(0, len(rows), shard_rows or max(1, len(rows)))):
        path = root / f"meta/episodes/chunk-000/file-{shard:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(episodes.slice(first, shard_rows or len(rows)), path, compression=codec, row_group_size=3)
    info = {
        "codebase_version": "v3.0",
        "fps": 30,
        "total_episodes": len(rows),
        "total_frames": start,
        "chunks_size": chunks_size,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": None,
        "features": {},
    }
    (root / "meta").mkdir(exist_ok=True)
    (root / "meta/info.json").write_text(json.dumps(info))
    return root


def episodes_table(lengths, *, first=0, seed=0, **columns) -> pa.Table:
    """Rows of consecutive episodes; `columns` are added."""
    rng = np.random.default_rng(seed)
    rows = int(sum(lengths))
    walk = np.cumsum(rng.normal(0, 0.01, (rows, 3)), axis=0).astype(np.float32)
    return pa.table(
        {
            "action": pa.FixedSizeListArray.from_arrays(pa.array(walk.reshape(-1)), 3),
            "episode_index": pa.array(np.repeat(np.arange(first, first + len(lengths)), lengths), pa.int64()),
            "index": pa.array(np.arange(rows), pa.int64()),
            **columns,
        }
    ).replace_schema_metadata({"huggingface": '{"info": {}}', "other": "kept"})


def assert_same_rows(source: Path, destination: Path) -> None:
    """Plain pyarrow finds the same schema, metadata, types and values in both files."""
    before, after = pq.read_table(source), pq.read_table(destination)
    assert pq.read_schema(destination).equals(pq.read_schema(source), check_metadata=True)
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after.num_rows == before.num_rows
    for name in before.column_names:
        if pa.types.is_dictionary(before[name].type):  # every row group has its own numbering of the categories
            assert (
                after[name]
                .unify_dictionaries()
                .chunk(0)
                .dictionary.equals(before[name].unify_dictionaries().chunk(0).dictionary)
            )
            assert (
                after[name].cast(before[name].type.value_type).equals(before[name].cast(before[name].type.value_type))
            )
        else:
            assert after[name].equals(before[name])


def assert_one_episode_per_row_group(path: Path) -> list[int]:
    """Row group k holds the k-th episode, whole; returns the episodes."""
    episodes = []
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            episodes += file.read_row_group(group, columns=["episode_index"])["episode_index"].unique().to_pylist()
            assert len(episodes) == group + 1, f"row group {group} holds several episodes"
        assert len(set(episodes)) == len(episodes), "an episode in several row groups"
        assert episodes == file.read(columns=["episode_index"])["episode_index"].unique().to_pylist()
    return episodes


def collapse(source: Path, destination: Path) -> Path:
    """What LeRobot's edits leave behind: all rows in one file of one row group."""
    files = sorted((source / "data").rglob("*.parquet"))
    (destination / "data/chunk-000").mkdir(parents=True)
    rows = pa.concat_tables([pq.read_table(file) for file in files])
    pq.write_table(rows, destination / FILE, row_group_size=max(1, rows.num_rows))
    shutil.copytree(source / "meta", destination / "meta")
    for path in (destination / "meta/episodes").rglob("*.parquet"):
        table = pq.read_table(path)
        for name in ("data/chunk_index", "data/file_index"):
            number = table.schema.get_field_index(name)
            table = table.set_column(number, table.schema.field(number), pa.array(np.zeros(len(table), np.int64)))
        pq.write_table(table, path)
    return destination


def lerobot_like(episode_count: int, rows: int) -> pa.Table:
    """Rows as LeRobot writes them: two features of 14 floats and the default columns."""
    count = episode_count * rows
    rng = np.random.default_rng(7)
    state = np.cumsum(rng.normal(0, 0.01, (count, 14)), axis=0).astype(np.float32)
    action = (state + rng.normal(0, 0.001, state.shape)).astype(np.float32)
    frame = np.tile(np.arange(rows), episode_count)
    return pa.table(
        {
            "observation.state": pa.FixedSizeListArray.from_arrays(pa.array(state.reshape(-1)), 14),
            "action": pa.FixedSizeListArray.from_arrays(pa.array(action.reshape(-1)), 14),
            "timestamp": (frame / 30).astype(np.float32),
            "frame_index": frame,
            "episode_index": np.repeat(np.arange(episode_count), rows),
            "index": np.arange(count),
            "task_index": np.zeros(count, np.int64),
        }
    )
