"""Benchmark of opening sidecars: mapping 10 million keyframe rows against reading them with plain pyarrow."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from episeek.sidecars.mapped_table import open_buffer, open_table
from episeek_schemas import sidecars
from tests.bench.timing import best_interleaved
from tests.support.large_index import write_keyframes

ROW_COUNT = 10_000_000
ROUNDS = 25


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
