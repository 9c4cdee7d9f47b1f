"""Graphs of work and the schedulers that run them: the only module that imports Dask, and only when a graph runs.

A graph is made of nodes. `Graph.map` makes one node for each batch of items; the result of a node is a list of outcomes. An item
that fails is an outcome too, so that the work of the other items is kept. Items that wait for a store run in several threads of
their node. `Graph.reduce` makes one node from the outcomes of others; it does not run if any of them failed. Batches follow the
order of the items and depend neither on the scheduler nor on the number of workers; the same holds for results.
"""

import traceback
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from episeek.errors import EpiseekError, ReadError
from episeek.stores.processes.workers import map_in_threads
from episeek_pipelines.jobs.progress import Phase, Progress, StartProgress

if TYPE_CHECKING:
    from dask.delayed import Delayed

T = TypeVar("T")

MAX_NODES_PER_MAP: Final = 2000
"""A scheduler needs about a millisecond for each node; a million files become this many nodes."""

ROUNDS_PER_NODE: Final = 4
"""Items of a node for each of its threads: at the end of a node some threads are idle."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An item that could not be processed."""

    label: str
    """The item's name for people: usually its file."""
    kind: str
    """Name of the error's class."""
    message: str
    trace: str = field(default="", repr=False)
    """Traceback of an unforeseen error; empty for errors of `episeek.errors`."""


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """An item that was processed."""

    value: T


@dataclass(frozen=True, slots=True)
class Blocked:
    """A reduction that did not run because something it needs failed."""

    failures: tuple[Failure, ...]


Outcome = Done[Any] | Failure


class _Constant:
    """A value that Dask does not search for nodes: it would walk lists and dataclasses of a hundred thousand files."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> tuple[type["_Constant"], tuple[Any]]:
        return _Constant, (self.value,)


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One call of a graph, and how many items it processes."""

    key: str
    item_count: int
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    """Nodes among them, and lists of nodes, stand for their results."""
    phase: str
    """Phase that the items count for; empty for none."""
    unit: str
    byte_count: int


class Graph:
    """Nodes under construction. Functions and items must pickle: a scheduler may run them in other processes."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        # a scheduler that is shared with others takes equal keys for equal work
        self._token = uuid.uuid4().hex[:8]

    @property
    def item_count(self) -> int:
        """Return the number of items of all nodes."""
        return sum(node.item_count for node in self.nodes)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Return the phases of all nodes with their totals, in the order in which they were added."""
        members: dict[str, list[Node]] = {}
        for node in self.nodes:
            if node.phase:
                members.setdefault(node.phase, []).append(node)
        return tuple(
            Phase(
                name,
                sum(node.item_count for node in nodes),
                nodes[0].unit,
                sum(node.byte_count for node in nodes),
            )
            for name, nodes in members.items()
        )

    def map(
        self,
        function: Callable[..., Any],
        items: Sequence[Any],
        *shared: Any,
        label: Callable[[Any], str],
        phase: str = "",
        unit: str = "file",
        byte_count: Callable[[Any], int] | None = None,
        max_nodes: int = MAX_NODES_PER_MAP,
        in_flight: int = 1,
    ) -> list[Node]:
        """Add nodes that call `function(item, *shared)` for every item, in batches.

        Args:
            function: Called in a worker.
            items: Ordered; the results keep the order.
            shared: Further arguments, the same for every item. A node among them stands for its result.
            label: Returns the name under which an item is reported if it fails.
            phase: Phase of the job that the items count for; empty for none.
            unit: Singular noun of an item, for progress.
            byte_count: Returns the bytes of an item, for progress; None where they are not known.
            max_nodes: Upper bound for the number of nodes.
            in_flight: Items of a node that run at the same time; more than 1 for items that wait for a store.
        """
        size = max(1 if in_flight == 1 else ROUNDS_PER_NODE * in_flight, -(-len(items) // max_nodes))
        arguments = [argument if isinstance(argument, Node) else _Constant(argument) for argument in shared]
        nodes = []
        for start in range(0, len(items), size):
            batch = items[start : start + size]
            node = Node(
                key=self._key(function),
                item_count=len(batch),
                function=_run_batch,
                arguments=(function, _Constant([(label(item), item) for item in batch]), arguments, in_flight),
                phase=phase,
                unit=unit,
                byte_count=0 if byte_count is None else sum(map(byte_count, batch)),
            )
            nodes.append(node)
            self.nodes.append(node)
        return nodes

    def reduce(self, function: Callable[..., T], nodes: Iterable[Node], *shared: Any, label: str) -> Node:
        """Add a node that calls `function(values, *shared)` with the values of all items of `nodes`, in order.

        The node is blocked if an item failed.
        """
        arguments = [argument if isinstance(argument, Node) else _Constant(argument) for argument in shared]
        node = Node(
            key=self._key(function),
            item_count=1,
            function=_run_reduction,
            arguments=(function, label, list(nodes), arguments),
            phase="",
            unit="",
            byte_count=0,
        )
        self.nodes.append(node)
        return node

    def _key(self, function: Callable[..., Any]) -> str:
        return f"{getattr(function, '__name__', 'node').strip('_')}-{self._token}-{len(self.nodes):06d}"

    def compute(
        self,
        wanted: Sequence[Node],
        *,
        scheduler: str = "threads",
        workers: int | None = None,
        progress: Progress | None = None,
        connect_timeout_seconds: float = 10.0,
    ) -> list[list[Outcome] | Outcome | Blocked]:
        """Run the graph and return the results of `wanted`, in order.

        Args:
            wanted: Nodes whose results are needed.
            scheduler: "threads", "processes", "sync" (one node after the other, without Dask), or the address of a distributed
                scheduler, "tcp://host:port".
            workers: Threads or processes; None is the number of cores. A distributed scheduler has its own workers.
            progress: Receives finished items of phases.
            connect_timeout_seconds: How long to wait for a distributed scheduler to answer.

        Raises:
            ReadError: The distributed scheduler cannot be reached, or a worker died.
            ValueError: There is no such scheduler.
        """
        by_key = {node.key: node for node in self.nodes}

        def report(key: Any) -> None:
            node = by_key.get(key)
            if progress is not None and node is not None and node.phase:
                progress(node.phase, node.item_count, node.byte_count)

        if "://" in scheduler:
            return _compute_distributed(scheduler, self.nodes, wanted, report, connect_timeout_seconds)
        if scheduler == "sync":
            return _compute_serially(self.nodes, wanted, report)
        return _compute_locally(scheduler, self.nodes, wanted, report, workers)


@dataclass(frozen=True, slots=True)
class Execution:
    """Where and how the graph of a job runs."""

    scheduler: str = "threads"
    """"threads", "processes", "sync", or the address of a Dask scheduler, "tcp://host:port"."""
    workers: int | None = None
    """Threads or processes; None is the number of cores."""
    progress: StartProgress | None = None
    """Displays progress; None for no display."""

    def compute(self, graph: Graph, wanted: Sequence[Node]) -> list[list[Outcome] | Outcome | Blocked]:
        """Run a graph and return the results of `wanted`. Raises as `Graph.compute`."""
        progress = None if self.progress is None else self.progress(graph.phases)
        return graph.compute(wanted, scheduler=self.scheduler, workers=self.workers, progress=progress)


DEFAULT_EXECUTION: Final = Execution()


def values_and_failures(results: Iterable[list[Outcome] | Outcome | Blocked]) -> tuple[list[Any], list[Failure]]:
    """Return the values of the items that were processed, and the failures, each in order."""
    values: list[Any] = []
    failures: list[Failure] = []
    for result in results:
        for outcome in result if isinstance(result, list) else [result]:
            if isinstance(outcome, Done):
                values.append(outcome.value)
            elif isinstance(outcome, Failure):
                failures.append(outcome)
            else:
                failures.extend(outcome.failures)
    return values, failures


def _run_batch(function: Callable[..., Any], items: _Constant, shared: list[Any], in_flight: int) -> list[Outcome]:
    if _failures_in(shared):
        # what the items need was not made; the failure is reported where it happened
        return []
    arguments = [argument.value if isinstance(argument, Done | _Constant) else argument for argument in shared]

    def run(labelled: tuple[str, Any]) -> Outcome:
        return _attempt(labelled[0], function, labelled[1], *arguments)

    return map_in_threads(run, items.value, max_in_flight=in_flight)


def _run_reduction(
    function: Callable[..., Any], label: str, batches: list[list[Outcome] | Outcome | Blocked], shared: list[Any]
) -> Outcome | Blocked:
    values, failures = values_and_failures(batches)
    failures += _failures_in(shared)
    if failures:
        return Blocked(tuple(failures))
    arguments = [argument.value if isinstance(argument, Done | _Constant) else argument for argument in shared]
    return _attempt(label, function, values, *arguments)


def _failures_in(arguments: list[Any]) -> list[Failure]:
    found: list[Failure] = []
    for argument in arguments:
        if isinstance(argument, Failure):
            found.append(argument)
        elif isinstance(argument, Blocked):
            found.extend(argument.failures)
    return found


def _attempt(label: str, function: Callable[..., Any], *arguments: Any) -> Outcome:
    try:
        return Done(function(*arguments))
    except EpiseekError as error:
        return Failure(label, type(error).__name__, str(error))
    except Exception as error:
        # a defect that one file brings to light must not lose the work of the others; it is reported with its traceback
        return Failure(label, type(error).__name__, f"{label}: {type(error).__name__}: {error}", traceback.format_exc())


def _delayed(nodes: Sequence[Node]) -> "dict[str, Delayed]":
    """Return the nodes as values of `dask.delayed`, by key. `nodes` are in order: a node follows those it needs."""
    from dask.delayed import delayed

    made: dict[str, Delayed] = {}

    def argument_of(argument: Any) -> Any:
        if isinstance(argument, Node):
            return made[argument.key]
        return [argument_of(item) for item in argument] if isinstance(argument, list) else argument

    for node in nodes:
        call = delayed(node.function, pure=False)
        made[node.key] = call(*map(argument_of, node.arguments), dask_key_name=node.key)
    return made


def _compute_serially(
    nodes: Sequence[Node], wanted: Sequence[Node], report: Callable[[Any], None]
) -> list[list[Outcome] | Outcome | Blocked]:
    """Run the nodes one after the other in this thread, without Dask."""
    results: dict[str, Any] = {}

    def value_of(argument: Any) -> Any:
        if isinstance(argument, Node):
            return results[argument.key]
        return [value_of(item) for item in argument] if isinstance(argument, list) else argument

    for node in nodes:
        results[node.key] = node.function(*map(value_of, node.arguments))
        report(node.key)
    return [results[node.key] for node in wanted]


def _compute_locally(
    scheduler: str, nodes: Sequence[Node], wanted: Sequence[Node], report: Callable[[Any], None], workers: int | None
) -> list[list[Outcome] | Outcome | Blocked]:
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
    # as the container or the affinity allows
    options: dict[str, Any] = {"num_workers": workers or CPU_COUNT}
    if scheduler == "processes":
        # nodes are large: six of them in one chunk would leave the other processes idle
        options["chunksize"] = 1
        # fused nodes have other keys, and progress would miss them
        options["optimize_graph"] = False
    dask_graph: dict[Any, Any] = {}
    for made in _delayed(nodes).values():
        dask_graph.update(made.dask)
    with _lost_workers(scheduler), Callback(posttask=lambda key, *_: report(key)):
        return list(getters[scheduler](dask_graph, [node.key for node in wanted], **options))


def _compute_distributed(
    address: str,
    nodes: Sequence[Node],
    wanted: Sequence[Node],
    report: Callable[[Any], None],
    timeout_seconds: float,
) -> list[list[Outcome] | Outcome | Blocked]:
    from distributed import Client, as_completed

    try:
        client = Client(address, timeout=timeout_seconds, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        found = f"no scheduler ({type(error).__name__})"
        raise ReadError(address, found, "the address of a running Dask scheduler") from None
    with _lost_workers(address), client, client.as_current():
        futures = client.compute(list(_delayed(nodes).values()), optimize_graph=False)
        for future in as_completed(futures):
            report(future.key)
        by_key = {node.key: future for node, future in zip(nodes, futures, strict=True)}
        return list(client.gather([by_key[node.key] for node in wanted]))


@contextmanager
def _lost_workers(scheduler: str) -> Iterator[None]:
    """Raise ReadError for a worker that died, for example killed for its memory: its node has no outcome."""
    try:
        yield
    except Exception as error:
        if type(error).__name__ not in ("BrokenProcessPool", "KilledWorker", "CommClosedError", "FutureCancelledError"):
            raise
        found = f"a worker that died ({type(error).__name__})"
        hint = "use fewer workers if memory is short; finished work is kept"
        if scheduler == "processes":
            hint += '; in a script, call this under `if __name__ == "__main__":`'
        raise ReadError(f"scheduler {scheduler}", found, "workers that stay alive", hint) from error
