"""Benchmark of indexing: files a second, and requests and bytes a file, of local videos and of videos behind a latency.

Of a file in a store the header is read, and a few of its keyframes or all of them; of a local file all of them.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from episeek.stores.processes.workers import map_in_threads
from episeek_pipelines.dataset.metadata import Dataset, open_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.file_rows import index_file
from episeek_pipelines.index.units import list_units
from episeek_pipelines.video.decoding_starts.keyframe_choice import KeyframeChoice
from tests.servers.range_server import RangeServerProcess

DATA = Path(__file__).parents[1] / "data"
DATASETS = ("av1_multifile", "h264_bframes", "hevc", "edited")
LATENCY_SECONDS = 0.02
FILES_IN_FLIGHT = 16
ROUNDS = 3
CONDITIONS: tuple[tuple[str, KeyframeChoice], ...] = (("local", "auto"), ("20 ms", "auto"), ("20 ms", "all"))
"""Where the videos are, and which keyframes are looked at."""


def bench_index(workdir: Path) -> Iterator[str]:
    """Index the videos of the sample datasets and yield a line for each dataset and condition."""
    with RangeServerProcess(DATA, latency_seconds=LATENCY_SECONDS) as server:
        for name in DATASETS:
            dataset = open_dataset(str(DATA / name))
            for place, keyframes in CONDITIONS:
                root = Root(str(DATA / name) if place == "local" else f"{server.url}/{name}")
                yield f"index: {name}, {place}, --keyframes {keyframes}: {_measured(dataset, root, keyframes)}"


def _measured(dataset: Dataset, root: Root, keyframes: KeyframeChoice) -> str:
    """Index all files of a dataset several times, and say what one file takes."""
    units, _ = list_units(dataset, dataset.root)
    source = root.source()
    units = [replace(unit, keyframes=keyframes, identity=source.identity(unit.path)) for unit in units]
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        counted = map_in_threads(
            lambda unit: index_file(root, unit, fps=dataset.info.fps)[2], units, max_in_flight=FILES_IN_FLIGHT
        )
        seconds.append(time.perf_counter() - started)
    requests = "" if root.is_local else f"{sum(each.request_count for each in counted) / len(units):.1f} requests and "
    size = sum(each.byte_count for each in counted) / len(units)
    return f"{requests}{size / 1000:.1f} kB a file, {len(units) / min(seconds):.0f} files/s"
