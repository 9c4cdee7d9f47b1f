"""Run the nodes of a graph on a scheduler. Only this module imports Dask, and only when Dask runs a graph."""

import json
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from episeek.errors import ReadError, first_line
from episeek_pipelines.jobs.cluster_checks import (
    answer_probes,
    answer_versions,
    placed_probes,
    require_probes,
    require_versions,
    roots_of,
)
from episeek_pipelines.jobs.cluster_run import ClusterRun, require_worker
from episeek_pipelines.jobs.nodes import Blocked, Node, Outcome

if TYPE_CHECKING:
    from dask.delayed import Delayed
    from distributed import Client


def _delayed(nodes: Sequence[Node]) -> "dict[str, Delayed]":
    """Return the nodes as values of `dask.delayed`, by key. Each node has to come after the nodes that it needs."""
    from dask.delayed import delayed

    made: dict[str, Delayed] = {}
    for node in nodes:
        call = delayed(node.function, pure=False)
        arguments = _with_nodes(node.arguments, lambda needed: made[needed.key])
        made[node.key] = call(*arguments, dask_key_name=node.key)
    return made


def _with_nodes(arguments: Iterable[Any], replacement: Callable[[Node], Any]) -> list[Any]:
    """Return the arguments with every node replaced, also within lists."""

    def replaced(argument: Any) -> Any:
        if isinstance(argument, Node):
            return replacement(argument)
        return list(map(replaced, argument)) if isinstance(argument, list) else argument

    return list(map(replaced, arguments))


def run_serially(
    nodes: Sequence[Node], wanted: Sequence[Node], report: Callable[[Any], None]
) -> list[list[Outcome] | Outcome | Blocked]:
    """Run the nodes one after the other in this thread, without Dask."""
    results: dict[str, Any] = {}
    for node in nodes:
        results[node.key] = node.function(*_with_nodes(node.arguments, lambda needed: results[needed.key]))
        report(node.key)
    return [results[node.key] for node in wanted]


def run_locally(
    scheduler: str, nodes: Sequence[Node], wanted: Sequence[Node], report: Callable[[Any], None], workers: int | None
) -> list[list[Outcome] | Outcome | Blocked]:
    """Run the nodes in threads or processes of this machine.

    Raises:
        ReadError: A process died.
        ValueError: The name of the scheduler is unknown.
    """
    from dask.callbacks import Callback
    from dask.multiprocessing import get as get_in_processes
    from dask.system import CPU_COUNT
    from dask.threaded import get as get_in_threads

    getters: dict[str, Callable[..., Any]] = {
        "threads": get_in_threads,
        "processes": get_in_processes,
    }
    if scheduler not in getters:
        raise ValueError(f"scheduler: found {scheduler!r}; expected threads, processes, sync or tcp://host:port")
    # the number of cores that the container or the affinity allows
    options: dict[str, Any] = {"num_workers": workers or CPU_COUNT}
    if scheduler == "processes":
        # nodes are large: with the default of six nodes in a chunk, some processes would be idle
        options["chunksize"] = 1
        # fused nodes have other keys, and progress would miss them
        options["optimize_graph"] = False
        options["initializer"] = _end_by_interrupts
    dask_graph = {node.key: (node.function, *_with_nodes(node.arguments, lambda needed: needed.key)) for node in nodes}
    with _lost_workers(scheduler), Callback(posttask=lambda key, *_: report(key)):
        return list(getters[scheduler](dask_graph, [node.key for node in wanted], **options))


def _end_by_interrupts() -> None:
    """Let an interrupt, which the terminal sends to all processes, end a worker process without a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_distributed(
    address: str,
    nodes: Sequence[Node],
    wanted: Sequence[Node],
    report: Callable[[Any], None],
    timeout_seconds: float,
) -> list[list[Outcome] | Outcome | Blocked]:
    """Run the nodes on the workers of a distributed scheduler, after checking the workers (`cluster_checks`).

    Raises:
        DestinationError: A worker does not share a directory to which the job writes.
        ReadError: The scheduler cannot be reached or was lost, or a worker has another version of episeek or does not see a
            dataset.
    """
    from distributed import Client

    try:
        client = Client(address, timeout=timeout_seconds, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        found = f"no scheduler ({type(error).__name__})"
        raise ReadError(address, found, "the address of a running Dask scheduler") from None
    with _lost_workers(address), client, client.as_current():
        _check_workers(client, address, nodes)
        futures = client.compute(list(_delayed(nodes).values()), optimize_graph=False)
        by_key = {node.key: future for node, future in zip(nodes, futures, strict=True)}
        # the run replaces futures, and a second reference would keep unneeded results in memory
        del futures
        return ClusterRun(client, address, by_key, nodes, report).results(wanted)


def address_of_file(path: str) -> str:
    """Return the address of a scheduler from a file that `dask scheduler --scheduler-file` has written.

    Raises:
        ReadError: The file does not exist, or contains no address.
    """
    expected = "the file that `dask scheduler --scheduler-file` writes"
    try:
        address = json.loads(Path(path).read_text())["address"]
    except OSError as error:
        raise ReadError(path, first_line(error), expected) from None
    except (ValueError, KeyError, TypeError):
        raise ReadError(path, "no address of a scheduler", expected) from None
    if not isinstance(address, str) or "://" not in address:
        raise ReadError(path, f"address {address!r}", expected)
    return address


def _check_workers(client: "Client", address: str, nodes: Sequence[Node]) -> None:
    """Check all workers before any node runs. Raises the same errors as `run_distributed`."""
    require_worker(client, address)
    require_versions(client.run(answer_versions, on_error="return"), address)
    with placed_probes(roots_of(nodes)) as probes:
        require_probes(client.run(answer_probes, probes, on_error="return"), probes, address)


@contextmanager
def _lost_workers(scheduler: str) -> Iterator[None]:
    """Convert the death of a worker process, which may have been killed for its memory use, into ReadError."""
    try:
        yield
    except Exception as error:
        names = {kind.__name__ for kind in type(error).__mro__}
        if names.isdisjoint(("BrokenProcessPool", "KilledWorker", "CommClosedError", "CancelledError")):
            raise
        found = f"a worker that died ({type(error).__name__})"
        hint = "use fewer workers if memory is short; finished work is kept"
        if scheduler == "processes":
            hint += '; in a script, put the call under `if __name__ == "__main__":`'
        raise ReadError(f"scheduler {scheduler}", found, "workers that stay alive", hint) from error
