"""Benchmark of recomputing statistics: CPU time against reading the same rows with plain pyarrow in the same run, and memory."""

import gc
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from episeek_pipelines.parquet.episode_runs import READ_OPTIONS
from episeek_pipelines.statistics.scan import measure_file
from tests.bench.rewrite import EPISODES, ROWS, write_collapsed_dataset

ROUNDS = 15


def bench_statistics(workdir: Path) -> list[str]:
    """Recompute the statistics of 1,000 episodes of 300 rows; returns lines to print."""
    table = write_collapsed_dataset(workdir / "statistics", EPISODES)
    lines = []
    for name, group_rows in (
        ("one row group an episode, as LeRobot records", ROWS),
        ("one row group", EPISODES * ROWS),
    ):
        path = workdir / "rows.parquet"
        pq.write_table(table, path, row_group_size=group_rows)
        ours, theirs = _shortest(partial(measure, path), partial(read, path))
        tracemalloc.start()
        measure(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        lines.append(
            f"statistics of {EPISODES} episodes x {ROWS} rows, {name}: {theirs / ours:.2f} of the speed of reading the row groups "
            f"with plain pyarrow (aim: 0.50 or more); {EPISODES / ours:.0f} episodes/s, {peak / 1e6:.0f} MB of numpy"
        )
    return lines


def measure(path: Path) -> None:
    """The statistics of all columns of numbers."""
    with pq.ParquetFile(path, **READ_OPTIONS) as file:
        measure_file(file, file.schema_arrow.names, str(path))


def read(path: Path) -> None:
    """All rows, one row group at a time."""
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            file.read_row_group(number, use_threads=False)


def _shortest(*ways: Callable[[], object]) -> list[float]:
    """The shortest CPU time of each, measured in turn, seconds."""
    best = [float("inf")] * len(ways)
    gc.collect()
    for _ in range(ROUNDS):
        for position, run in enumerate(ways):
            start = time.process_time()
            run()
            best[position] = min(best[position], time.process_time() - start)
    return best
