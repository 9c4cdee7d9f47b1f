"""Benchmarks of opening sidecars: mapping 10 million keyframe rows against reading them with plain pyarrow, and 100 million
samples on a server.
"""

import os
import shutil
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow.parquet as pq

import episeek
from episeek.sidecars.mapped_table import open_buffer, open_table
from episeek_schemas import sidecars
from tests.bench.timing import best_interleaved
from tests.servers.range_server import RangeServerProcess
from tests.support.build_index import CAMERAS, DATA, build_index
from tests.support.large_index import write_keyframes
from tests.support.sparse_table import write_sparse_sidecars

ROW_COUNT = 10_000_000
ROUNDS = 25

REMOTE_SAMPLES = 100_000_000
REMOTE_EPISODES = 170_000
LATENCY_SECONDS = 0.02


def bench_open(workdir: Path) -> list[str]:
    """Open one table both ways, from the page cache, up to the last value of each column; returns lines to print."""
    path = workdir / "keyframes.parquet"
    write_keyframes(path, ROW_COUNT, {sidecars.FORMAT_VERSION_KEY: str(sidecars.FORMAT_VERSION)})

    def mapped() -> list[int]:
        table = open_table(open_buffer(str(path)), sidecars.KEYFRAMES, name="keyframes", where=str(path))
        if not table.is_mapped:
            raise AssertionError("the table was not mapped")
        return [int(column.value(ROW_COUNT - 1)) for column in table.columns.values()]

    def read() -> list[int]:
        table = pq.read_table(path, memory_map=True)
        return [int(column[ROW_COUNT - 1].as_py()) for column in table.columns]

    if mapped() != read():
        raise AssertionError("the two ways differ")
    map_seconds, read_seconds = best_interleaved(mapped, read, rounds=ROUNDS)
    row_bytes = sum(np.dtype(field.type.to_pandas_dtype()).itemsize for field in sidecars.KEYFRAMES)
    path.unlink()
    return [
        f"sidecar open: {read_seconds / map_seconds:.0f} times as fast as pq.read_table(memory_map=True) (aim: 100 or more); "
        f"{ROW_COUNT} keyframes, {ROW_COUNT * row_bytes / 1e6:.0f} MB, in {map_seconds * 1000:.2f} ms "
        f"against {read_seconds * 1000:.0f} ms"
    ]


def bench_open_remote(workdir: Path) -> list[str]:
    """Open sidecars of 100 million samples on a server 20 ms away, and read a clip; returns lines to print."""
    root = workdir / "dataset"
    shutil.copytree(DATA / "hevc", root)
    build_index(root, workdir / "work", root)
    groups = -(-REMOTE_SAMPLES // sidecars.ROW_GROUP_ROWS)
    write_sparse_sidecars(root, samples_groups=groups, keyframe_groups=groups // 2, episode_count=REMOTE_EPISODES)
    size = sum((root / path).stat().st_size for path, _ in sidecars.TABLES.values())
    with (
        patch.dict(os.environ, {"EPISEEK_CACHE": str(workdir / "cache")}),
        RangeServerProcess(root, latency_seconds=LATENCY_SECONDS) as server,
    ):
        steps = []

        def step(name: str, started: float) -> None:
            seconds = time.perf_counter() - started
            exchanges = server.exchanges()
            server.clear()
            sent = sum(exchange.sent_bytes for exchange in exchanges)
            steps.append(f"{name} {seconds * 1000:.0f} ms, {len(exchanges)} requests, {sent / 1e6:.2f} MB")

        started = time.perf_counter()
        index = episeek.open(server.url, verify="size")
        step("the first time on a machine", started)
        for name in ("the first clip", "the next clip"):
            started = time.perf_counter()
            index.clip(0, CAMERAS[0], 0, 1).read()
            step(name, started)
        started = time.perf_counter()
        episeek.open(server.url, verify="size")
        step("opening again", started)
    return [
        f"sidecars of {REMOTE_SAMPLES / 1e6:.0f} million samples ({size / 1e6:.0f} MB) {LATENCY_SECONDS * 1000:.0f} ms away "
        f"(aim: 6 requests and 5% of the bytes, or fewer): {'; '.join(steps)}"
    ]
