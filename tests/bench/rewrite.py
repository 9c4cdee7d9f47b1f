"""Benchmark of the rewrite step: speed against plain pyarrow in the same run, sizes, memory."""

import json
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.rewrite.encodings import writer_options
from episeek_pipelines.rewrite.rewrite import RewriteUnit, plan_rewrite, rewrite_file

EPISODES = 1000
ROWS = 300
DIMENSIONS = 14
ROUNDS = 5
DATA_PATH = "data/chunk-000/file-000.parquet"


def bench_rewrite(workdir: Path) -> list[str]:
    """Rewrite a collapsed file of 1,000 episodes of 300 rows; returns lines to print."""
    source = Root(str(workdir / "rewrite-source"))
    table = write_collapsed_dataset(Path(source.url), EPISODES)
    naive = workdir / "naive.parquet"
    pq.write_table(table, naive, row_group_size=ROWS)

    start = time.perf_counter()
    plan = plan_rewrite(open_dataset(source), max_episodes_per_file=EPISODES)
    plan_seconds = time.perf_counter() - start
    (unit,) = plan.units
    default_cap = plan_rewrite(open_dataset(source)).max_episodes_per_file
    destination = Root(str(workdir / "rewrite-destination"))
    options = writer_options(table.schema, unit.encodings, row_bytes=table.nbytes / table.num_rows)
    rewritten_bytes = rewrite_file(source, destination, unit).outputs[0].size_bytes
    del table

    def plain() -> None:
        rows = pq.read_table(source.join(DATA_PATH))
        pq.write_table(rows, workdir / "plain.parquet", row_group_size=ROWS, **options)

    ours, theirs = _interleaved(lambda: rewrite_file(source, destination, unit), plain)
    collapsed_bytes, naive_bytes = source.size(DATA_PATH), naive.stat().st_size
    write_collapsed_dataset(workdir / "rewrite-large", 4 * EPISODES)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        source_bytes, pool_bytes, resident_bytes = pool.apply(_measure_memory, (workdir / "rewrite-large",))
    mb = 1e6
    return [
        f"rewrite speed: {theirs / ours:.2f} of plain pyarrow read + write with the same options (aim: 0.80 or more); "
        f"{collapsed_bytes / mb / ours:.0f} MB/s, {EPISODES / ours:.0f} episodes/s, plan {plan_seconds * 1000:.0f} ms",
        f"rewrite size: {rewritten_bytes / collapsed_bytes:.2f} of the collapsed original (aim: 1.00 or less): "
        f"collapsed {collapsed_bytes / mb:.1f} MB, rewritten {rewritten_bytes / mb:.1f} MB, "
        f"one row group per episode as LeRobot writes it {naive_bytes / mb:.1f} MB",
        f"rewrite memory: {pool_bytes / source_bytes:.2f} of the source in Arrow's pool: a row group of {source_bytes / mb:.0f} MB "
        f"took {pool_bytes / mb:.0f} MB, and the process grew by {resident_bytes / mb:.0f} MB "
        f"(default cap of this dataset: {default_cap} episodes per file)",
    ]


def write_collapsed_dataset(root: Path, episode_count: int) -> pa.Table:
    """A dataset of one data file as LeRobot's edits leave it: snappy, a dictionary on every column, one row group."""
    rng = np.random.default_rng(0)
    rows = episode_count * ROWS
    state = np.cumsum(rng.normal(0, 0.01, (rows, DIMENSIONS)), axis=0).astype(np.float32)
    action = (state + rng.normal(0, 0.001, state.shape)).astype(np.float32)
    frame = np.tile(np.arange(ROWS), episode_count)
    table = pa.table(
        {
            "observation.state": pa.FixedSizeListArray.from_arrays(pa.array(state.reshape(-1)), DIMENSIONS),
            "action": pa.FixedSizeListArray.from_arrays(pa.array(action.reshape(-1)), DIMENSIONS),
            "timestamp": (frame / 30).astype(np.float32),
            "frame_index": frame,
            "episode_index": np.repeat(np.arange(episode_count), ROWS),
            "index": np.arange(rows),
            "task_index": np.zeros(rows, np.int64),
        }
    )
    starts = np.arange(episode_count) * ROWS
    zeros = np.zeros(episode_count, np.int64)
    episodes = {
        "episode_index": np.arange(episode_count),
        "length": np.full(episode_count, ROWS),
        "data/chunk_index": zeros,
        "data/file_index": zeros,
        "dataset_from_index": starts,
        "dataset_to_index": starts + ROWS,
    }
    for path, rows_of_file in ((DATA_PATH, table), ("meta/episodes/chunk-000/file-000.parquet", pa.table(episodes))):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows_of_file, root / path, row_group_size=rows_of_file.num_rows)
    info = {
        "codebase_version": "v3.0",
        "fps": 30,
        "total_episodes": episode_count,
        "total_frames": rows,
        "features": {},
    }
    (root / "meta/info.json").write_text(json.dumps(info))
    return table


def _interleaved(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    """Best of some rounds each, in turns, so that a busy moment of the machine hits both."""
    best = [float("inf"), float("inf")]
    for _ in range(ROUNDS):
        for number, function in enumerate((ours, theirs)):
            start = time.perf_counter()
            function()
            best[number] = min(best[number], time.perf_counter() - start)
    return best[0], best[1]


def _measure_memory(folder: Path) -> tuple[int, int, int]:
    """(source bytes, peak of Arrow's pool, growth of the resident set) of one rewrite; for a process of its own."""
    source, destination = Root(str(folder)), Root(str(folder) + "-out")
    plan = plan_rewrite(open_dataset(source))
    unit: RewriteUnit = plan.units[0]
    before = _resident_bytes("VmRSS")
    result = rewrite_file(source, destination, unit)
    return result.source_bytes, int(pa.default_memory_pool().max_memory()), _resident_bytes("VmHWM") - before


def _resident_bytes(key: str) -> int:
    """A line of /proc/self/status; `getrusage` would give a spawned process the peak of its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))
