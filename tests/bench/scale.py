"""Scale: `prepare` of up to 100,000 episodes on a cluster of worker processes, one worker against two, and indexing over HTTP.

python -m tests.bench.scale [--episodes N ...] [--folder DIR] [--only prepare|workers|http] [--quick]
"""

import argparse
import json
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from episeek.stores.processes.workers import map_in_threads
from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.file_rows import index_file
from episeek_pipelines.index.units import list_units
from tests.bench.large_dataset import LargeDataset, write_large_dataset
from tests.servers.range_server import RangeServerProcess

CAMERAS = 3
EPISODES = (1_000, 10_000, 100_000)
WORKERS = 2
SCALED_EPISODES, SCALED_ROUNDS = 2_000, 3
LATENCY_SECONDS, FILES_IN_FLIGHT, HTTP_EPISODES = 0.02, 16, 3_000
AIM_RATIO, AIM_BYTES, AIM_SPEED_UP = 1.1, 600e6, 1.7


@dataclass(frozen=True, slots=True)
class Cost:
    """What one `prepare` took."""

    seconds: float
    cpu_seconds: float
    """Of this process, with the scheduler, and of all workers."""
    client_bytes: int
    """Largest resident set of the process that starts the job; the scheduler is in it."""
    worker_bytes: int
    """Largest resident set of a worker."""


def main() -> None:
    """Run the benchmark, and print a line for each number with its aim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--episodes", type=int, nargs="+", default=EPISODES, help="sizes of the datasets, multiples of 10"
    )
    parser.add_argument("--folder", type=Path, help="where datasets are kept between runs (default: a temporary one)")
    parser.add_argument("--only", choices=("prepare", "workers", "http"))
    parser.add_argument("--quick", action="store_true", help="small sizes: only whether it runs")
    options = parser.parse_args()
    sizes = (100, 200) if options.quick else tuple(options.episodes)
    with tempfile.TemporaryDirectory(prefix="episeek-bench-") as temporary:
        folder = options.folder or Path(temporary)
        parts = {
            "prepare": lambda: bench_prepare(folder, sizes),
            "workers": lambda: bench_workers(folder, 200 if options.quick else SCALED_EPISODES),
            "http": lambda: bench_http(folder, 100 if options.quick else HTTP_EPISODES),
        }
        for name, part in parts.items():
            if options.only in (None, name):
                for line in part():
                    print(line, flush=True)


def bench_prepare(folder: Path, sizes: tuple[int, ...]) -> Iterator[str]:
    """Prepare datasets of several sizes with two workers; yield CPU time and memory of each, and how they grow."""
    costs: dict[int, Cost] = {}
    for size in sizes:
        dataset = _dataset(folder, size, episodes_per_file=min(500, size))
        costs[size] = cost = _prepared(dataset, WORKERS)
        yield (
            f"prepare: {size:,} episodes x {CAMERAS} cameras, {dataset.frames:,} frames, {dataset.video_files} videos: "
            f"{cost.seconds:.0f} s, {cost.cpu_seconds:.0f} s of CPU, {1e3 * cost.cpu_seconds / size:.2f} ms an episode; "
            f"peak memory: client and scheduler {cost.client_bytes / 1e6:.0f} MB, worker {cost.worker_bytes / 1e6:.0f} MB "
            f"(aim: at most {AIM_BYTES / 1e6:.0f})"
        )
    for few, more in pairwise(sizes):
        ratio = costs[more].cpu_seconds / more * few / costs[few].cpu_seconds
        slopes = [
            (getattr(costs[more], name) - getattr(costs[few], name)) / (more - few)
            for name in ("client_bytes", "worker_bytes")
        ]
        yield (
            f"prepare: {ratio:.2f} of the CPU time per episode with {more:,} episodes, against {few:,} (aim from 10,000 to "
            f"100,000: at most {AIM_RATIO}); {slopes[0]:.0f} bytes an episode more in the client, {slopes[1]:.0f} in a worker"
        )
        if more == sizes[-1]:
            for count in (10**6, 10**7):
                beyond = [
                    (getattr(costs[more], name) + slope * (count - more)) / 1e6
                    for name, slope in zip(("client_bytes", "worker_bytes"), slopes, strict=True)
                ]
                hours = costs[more].cpu_seconds / more * count / 3600
                yield (
                    f"prepare: by these slopes, {count:,} episodes take {hours:.1f} h of CPU, {beyond[0]:,.0f} MB in the client "
                    f"and {beyond[1]:,.0f} MB in a worker"
                )


def bench_workers(folder: Path, size: int) -> Iterator[str]:
    """Prepare a dataset with one worker process and with two, in turn; yield how much faster two are."""
    dataset = _dataset(folder, size, episodes_per_file=max(10, size // 20))
    best = {1: float("inf"), 2: float("inf")}
    for _ in range(SCALED_ROUNDS):
        for workers in best:
            best[workers] = min(best[workers], _prepared(dataset, workers).seconds)
    yield (
        f"workers: {size:,} episodes in {best[1]:.1f} s with one worker process and in {best[2]:.1f} s with two: "
        f"{best[1] / best[2]:.2f} times as fast (aim: {AIM_SPEED_UP})"
    )


def bench_http(folder: Path, size: int) -> Iterator[str]:
    """Index the videos of a dataset locally, and over HTTP with latency; yield what one file takes."""
    dataset = _dataset(folder, size, episodes_per_file=50)
    opened = open_dataset(str(dataset.root))
    units, _ = list_units(opened, opened.root)
    with RangeServerProcess(dataset.root, latency_seconds=LATENCY_SECONDS) as server:
        for place, root in (("local", opened.root), ("HTTP, 20 ms", Root(server.url))):
            source = root.source()
            listed = [replace(unit, identity=source.identity(unit.path)) for unit in units]
            started = time.perf_counter()
            in_flight = 1 if root.is_local else FILES_IN_FLIGHT
            sources = map_in_threads(
                lambda unit, root=root: index_file(root, unit, fps=opened.info.fps)[2],  # type: ignore[misc]
                listed,
                max_in_flight=in_flight,
            )
            seconds = time.perf_counter() - started
            requests = "no" if root.is_local else f"{sum(each.request_count for each in sources) / len(units):.1f}"
            size_bytes = sum(each.byte_count for each in sources) / len(units)
            mean_bytes = sum((dataset.root / unit.path).stat().st_size for unit in units) / len(units)
            yield (
                f"index: {place}, {in_flight} in flight: {len(units) / seconds:.0f} files/s, {requests} requests/file, "
                f"{size_bytes / 1e3:.1f} kB/file of {mean_bytes / 1e3:.0f} kB with 50 episodes"
            )


def _dataset(folder: Path, size: int, *, episodes_per_file: int) -> LargeDataset:
    """Write a dataset, or take the one that an earlier run has left in the folder."""
    root = folder / f"{size}-episodes-{episodes_per_file}"
    note = root.with_suffix(".json")
    if note.exists():
        stored: dict[str, Any] = json.loads(note.read_text())
        return LargeDataset(**{**stored, "root": root, "cameras": tuple(stored["cameras"])})
    dataset = write_large_dataset(root, size, cameras=CAMERAS, episodes_per_file=episodes_per_file)
    names = ("episodes", "frames", "cameras", "data_files", "video_files")
    note.write_text(json.dumps({name: getattr(dataset, name) for name in names}))
    return dataset


def _prepared(dataset: LargeDataset, workers: int) -> Cost:
    """Prepare a dataset in a process of its own, with workers of their own."""
    target = dataset.root.with_name(f"{dataset.root.name}-prepared")
    shutil.rmtree(target, ignore_errors=True)
    # the workers are children of that process, which a daemon may not have
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(str(dataset.root), str(target), workers, sender))
    process.start()
    sender.close()
    try:
        cost: Cost = receiver.recv()
    finally:
        process.join()
        shutil.rmtree(target, ignore_errors=True)
    return cost


def _measure(source: str, target: str, workers: int, sender: Any) -> None:
    from distributed import Client, LocalCluster

    from episeek_pipelines.jobs.graph import Execution
    from episeek_pipelines.jobs.prepare import prepare

    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, memory_limit=0, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        before = time.process_time() + sum(client.run(time.process_time).values())
        started = time.perf_counter()
        result = prepare(source, target, execution=Execution(cluster.scheduler_address))
        seconds = time.perf_counter() - started
        used = time.process_time() + sum(client.run(time.process_time).values()) - before
        if result.verification is None or result.verification.findings:
            raise AssertionError(f"{source}: findings")
        sender.send(Cost(seconds, used, _peak_bytes(), max(client.run(_peak_bytes).values())))


def _peak_bytes() -> int:
    """Return VmHWM; `getrusage` would give a spawned process the peak of its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main()
