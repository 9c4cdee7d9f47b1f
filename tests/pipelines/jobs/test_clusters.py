"""A real cluster of processes whose workers and scheduler die: the same bytes as without, or a failure with its name."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster
from distributed.diagnostics.plugin import WorkerPlugin

from episeek.errors import DestinationError, ReadError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index import fragments
from episeek_pipelines.jobs import node_functions
from episeek_pipelines.jobs.graph import Execution, Graph
from episeek_pipelines.jobs.nodes import Blocked, values_and_failures
from episeek_pipelines.jobs.prepare import prepare
from episeek_pipelines.jobs.progress import Phase
from episeek_pipelines.jobs.results import WorkFailedError
from tests.bench.large_dataset import write_large_dataset
from tests.pipelines.conftest import DATA, digests
from tests.support.amount import IS_FULL, amount

KILLED = 5
full_run = pytest.mark.skipif(not IS_FULL, reason="starts many processes: make test-all")


@contextmanager
def started() -> Iterator[str]:
    """The address of a scheduler with two workers, which gives a task up as soon as a worker dies with it."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(
            n_workers=2, threads_per_worker=1, memory_limit="1GiB", dashboard_address="127.0.0.1:0"
        ) as running,
    ):
        yield running.scheduler_address


@pytest.fixture(scope="module")
def fragile() -> Iterator[str]:
    with started() as address:
        yield address


def label(number: int) -> str:
    return f"file {number}"


def kill_or_double(number: int) -> int:
    if number == KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def fill_or_double(number: int) -> int:
    if number == KILLED:
        held = []
        while True:
            held.append(bytearray(os.urandom(1 << 20)) * 8)
    return 2 * number


@pytest.mark.parametrize("function", [kill_or_double, pytest.param(fill_or_double, marks=full_run)])
@full_run
def test_an_item_that_kills_workers_is_named_and_the_others_are_done(fragile, function):
    """By a signal, and by the memory limit of the worker. Items of the same node, and nodes that ran beside it, are done."""
    numbers = list(range(amount(200, 12)))
    graph = Graph()
    nodes = graph.map(function, numbers, label=label, phase="doubling", max_nodes=amount(70, 4))
    total = graph.reduce(sum, nodes, label="total")
    others = graph.reduce(len, nodes[3:], label="others")
    after = graph.map(kill_or_double, [1], total, label=label)
    seen: list[int] = []
    results = graph.compute(
        [*nodes, total, others, *after], scheduler=fragile, progress=lambda phase, count, size: seen.append(count)
    )
    values, failures = values_and_failures(results[: len(nodes)])
    assert values == [2 * number for number in numbers if number != KILLED]
    assert [failure.label for failure in failures] == [label(KILLED)]
    assert "killed every worker" in failures[0].message
    blocked, counted, waiting = results[len(nodes) :]
    assert blocked == Blocked(tuple(failures))
    assert values_and_failures([counted])[0] == [len(numbers) - sum(node.item_count for node in nodes[:3])]
    assert waiting == []
    assert sum(seen) == len(numbers)


class KillingProgress:
    """Kills a process when so many items have finished."""

    def __init__(self, after: int, kill) -> None:
        self.left, self.kill = after, kill

    def __call__(self, phases: Sequence[Phase]) -> "KillingProgress":
        return self

    def add(self, count: int) -> None:
        before, self.left = self.left, self.left - count
        if before > 0 >= self.left:
            self.kill()


def start(progress: KillingProgress):
    return lambda phases: lambda phase, count, size: progress.add(count)


@full_run
@pytest.mark.parametrize("seed", range(6))
def test_a_worker_that_is_killed_at_a_random_moment(seed, tmp_path):
    prepare(str(DATA / "av1_multifile"), str(tmp_path / "undisturbed"))
    chosen = random.Random(seed)
    killed = []
    with started() as address, Client(address, set_as_default=False) as client:
        client.wait_for_workers(2)

        def kill() -> None:
            pid = chosen.choice(sorted(client.run(os.getpid).values()))
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

        progress = KillingProgress(chosen.randint(1, 12), kill)
        prepare(
            str(DATA / "av1_multifile"), str(tmp_path / "out"), execution=Execution(address, progress=start(progress))
        )
    print(f"seed {seed}: killed {len(killed)} worker; the same bytes")
    assert killed
    assert digests(tmp_path / "out") == digests(tmp_path / "undisturbed")


class Poison(WorkerPlugin):
    """Kills each worker that indexes a file, also the workers that are started in place of killed ones."""

    name = "poison"

    def __init__(self, path: str) -> None:
        self.path = path

    def setup(self, worker) -> None:
        original = fragments.index_to_fragment

        def index(data_root, work, fragment, unit, **options):
            if unit.path == self.path:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(data_root, work, fragment, unit, **options)

        node_functions.__dict__["index_to_fragment"] = index


@full_run
def test_a_poisoned_video_among_200(tmp_path):
    dataset = write_large_dataset(tmp_path / "source", 700, episodes_per_file=10)
    assert dataset.video_files >= 200
    prepare(str(dataset.root), str(tmp_path / "undisturbed"))
    path = f"videos/{dataset.cameras[1]}/chunk-000/file-033.mp4"
    with started() as address, Client(address, set_as_default=False) as client:
        client.register_plugin(Poison(path))
        with pytest.raises(WorkFailedError) as caught:
            prepare(str(dataset.root), str(tmp_path / "out"), execution=Execution(address))
    assert [failure.label for failure in caught.value.failures] == [path]
    print(f"{dataset.video_files} videos: one named, the others done")
    result = prepare(str(dataset.root), str(tmp_path / "out"))
    assert result.index is not None
    assert result.index.reused_files == dataset.video_files - 1
    assert digests(tmp_path / "out") == digests(tmp_path / "undisturbed")


@full_run
def test_a_scheduler_that_goes_away(tmp_path):
    prepare(str(DATA / "av1_multifile"), str(tmp_path / "undisturbed"))
    file = tmp_path / "scheduler.json"
    dask_command = [sys.executable, "-m", "dask"]
    options = ["--scheduler-file", str(file)]
    scheduler = subprocess.Popen([*dask_command, "scheduler", "--port", "0", "--dashboard-address", ":0", *options])
    worker = subprocess.Popen([*dask_command, "worker", "--nthreads", "1", "--no-dashboard", *options])
    try:
        with Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(1)
            address = client.scheduler.address
        progress = KillingProgress(5, scheduler.kill)
        with pytest.raises(ReadError, match="found a scheduler that was lost") as caught:
            prepare(
                str(DATA / "av1_multifile"),
                str(tmp_path / "out"),
                execution=Execution(address, progress=start(progress)),
            )
        assert "finished work is kept" in caught.value.hint
    finally:
        for process in (scheduler, worker):
            process.terminate()
        for process in (scheduler, worker):
            process.wait()
    result = prepare(str(DATA / "av1_multifile"), str(tmp_path / "out"))
    assert result.is_resumed
    assert digests(tmp_path / "out") == digests(tmp_path / "undisturbed")


def test_a_worker_that_sees_other_paths_is_refused_before_work(fragile, tmp_path):
    """The workers have another working directory than this process, and the graph names a relative one."""
    (tmp_path / "here").mkdir()
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        graph = Graph()
        nodes = graph.map(max, [1], Root("here"), label=label)
        with pytest.raises(DestinationError, match=r"worker tcp.* no such file at here/"):
            graph.compute(nodes, scheduler=fragile)
    finally:
        os.chdir(before)
