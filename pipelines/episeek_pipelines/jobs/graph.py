"""The one module that knows Dask: batches of items as tasks, reductions over them, and the schedulers that run both.

A graph is made of nodes. `Graph.map` makes one node for each batch of items; a node's result is a list of outcomes, and
an item that fails is an outcome too, so that the other items' work is kept. Items that wait for a store are run many at
once, in threads of their task. `Graph.reduce` makes one node from the outcomes of others; when any of them failed, it is
not run. Batches follow the order of the items and do not depend on the scheduler or the number of workers, and neither do
results.
"""

import traceback
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar

from dask.callbacks import Callback
from dask.delayed import Delayed, delayed
from dask.local import get_sync
from dask.multiprocessing import get as processes_get
from dask.system import CPU_COUNT
from dask.threaded import get as threads_get

from episeek.errors import EpiseekError, ReadError
from episeek.stores.processes.workers import map_in_threads

T = TypeVar("T")

MAX_TASKS_PER_MAP = 2000
"""A scheduler's own cost is about a millisecond a task; a million files become this many tasks."""

ROUNDS_PER_TASK = 4
"""Times as many items in a task as it has in flight: at its end, some of its threads have nothing to do."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An item that could not be done."""

    label: str
    """What it was, for people: usually the file."""
    kind: str
    """Name of the error's class."""
    message: str
    trace: str = field(default="", repr=False)
    """For errors that nobody foresaw."""


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """An item that was done."""

    value: T


@dataclass(frozen=True, slots=True)
class Blocked:
    """A reduction that was not run, since something it needs failed."""

    failures: tuple[Failure, ...]


Outcome = Done[Any] | Failure


class Progress(Protocol):
    """What is told that items are finished."""

    def __call__(self, item_count: int, /) -> None:
        """`item_count` more are finished."""


@dataclass(frozen=True, slots=True)
class Node:
    """One task, and how many items it stands for."""

    key: str
    task: Delayed
    item_count: int


class _Constant:
    """A value that Dask does not look into: it would walk every list and dataclass for tasks, a hundred thousand files long."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> tuple[type["_Constant"], tuple[Any]]:
        return _Constant, (self.value,)


class Graph:
    """Nodes under construction. Functions and items have to pickle: a scheduler may run them elsewhere."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._token = uuid.uuid4().hex[:8]  # a scheduler that others use too takes equal keys for equal tasks

    @property
    def item_count(self) -> int:
        """Items of all nodes, for progress."""
        return sum(node.item_count for node in self.nodes)

    def map(
        self,
        function: Callable[..., Any],
        items: Sequence[Any],
        *shared: Any,
        label: Callable[[Any], str],
        max_tasks: int = MAX_TASKS_PER_MAP,
        in_flight: int = 1,
    ) -> list[Node]:
        """`function(item, *shared)` for every item, batched.

        Args:
            function: Called in a worker.
            items: In order; the results keep it.
            shared: Further arguments, the same for every item. A node among them stands for its result.
            label: What an item is called when it fails.
            max_tasks: Upper bound for the number of nodes.
            in_flight: Items of a task that are run at the same time; more than 1 for those that wait for a store.
        """
        size = max(1 if in_flight == 1 else ROUNDS_PER_TASK * in_flight, -(-len(items) // max_tasks))
        batches = [items[start : start + size] for start in range(0, len(items), size)]
        arguments = [argument.task if isinstance(argument, Node) else _Constant(argument) for argument in shared]
        nodes = []
        for batch in batches:
            labelled = _Constant([(label(item), item) for item in batch])
            key = self._key(function)
            task = delayed(_run_batch, pure=False)(function, labelled, arguments, in_flight, dask_key_name=key)
            node = Node(key, task, len(batch))
            nodes.append(node)
            self.nodes.append(node)
        return nodes

    def reduce(self, function: Callable[..., T], nodes: Iterable[Node], *shared: Any, label: str) -> Node:
        """`function(values, *shared)` over the values of all items of `nodes`, in order; blocked when an item
        failed.
        """
        key = self._key(function)
        arguments = [argument.task if isinstance(argument, Node) else _Constant(argument) for argument in shared]
        task = delayed(_run_reduction, pure=False)(
            function, label, [node.task for node in nodes], arguments, dask_key_name=key
        )
        node = Node(key, task, 1)
        self.nodes.append(node)
        return node

    def _key(self, function: Callable[..., Any]) -> str:
        return f"{getattr(function, '__name__', 'task').strip('_')}-{self._token}-{len(self.nodes):06d}"

    def compute(
        self,
        wanted: Sequence[Node],
        *,
        scheduler: str = "threads",
        workers: int | None = None,
        progress: Progress | None = None,
        connect_timeout_seconds: float = 10.0,
    ) -> list[list[Outcome] | Outcome | Blocked]:
        """Run the graph; returns the results of `wanted`, in order.

        Args:
            wanted: Nodes whose results are needed.
            scheduler: "threads", "processes", "sync", or the address of a distributed scheduler, "tcp://host:port".
            workers: Threads or processes; None is the number of cores. A distributed scheduler has its own.
            progress: Told of finished items.
            connect_timeout_seconds: How long to wait for a distributed scheduler to answer.

        Raises:
            ReadError: The distributed scheduler cannot be reached.
            ValueError: There is no such scheduler.
        """
        report = progress or _ignore
        if "://" in scheduler:
            return _compute_distributed(scheduler, self.nodes, wanted, report, connect_timeout_seconds)
        options: dict[str, Any] = {}
        if scheduler != "sync":
            options["num_workers"] = workers or CPU_COUNT  # as the container or the affinity allows
        if scheduler == "processes":
            options["chunksize"] = 1  # tasks are large; six of them to a process would leave the others without work
            options["optimize_graph"] = False  # fused tasks have other keys, and progress would miss them
        getters: dict[str, Callable[..., Any]] = {"threads": threads_get, "processes": processes_get, "sync": get_sync}
        if scheduler not in getters:
            raise ValueError(f"scheduler: found {scheduler!r}; expected threads, processes, sync or tcp://host:port")
        tasks: dict[Any, Any] = {}
        for node in self.nodes:
            tasks.update(node.task.dask)
        weights = {node.key: node.item_count for node in self.nodes}
        with (
            _lost_workers(scheduler),
            Callback(posttask=lambda key, *_: report(weights[key]) if key in weights else None),
        ):
            return list(getters[scheduler](tasks, [node.key for node in wanted], **options))


def values_and_failures(results: Iterable[list[Outcome] | Outcome | Blocked]) -> tuple[list[Any], list[Failure]]:
    """The values of the items that were done, and the failures, each in order."""
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
    blocked = _failures_in(shared)
    if blocked:  # what it works on was not made; that has been reported where it failed
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
    except Exception as error:  # one file's surprise may not lose the others' work; it is reported with its trace
        return Failure(label, type(error).__name__, f"{label}: {type(error).__name__}: {error}", traceback.format_exc())


def _compute_distributed(
    address: str, nodes: list[Node], wanted: Sequence[Node], report: Progress, timeout_seconds: float
) -> list[list[Outcome] | Outcome | Blocked]:
    from distributed import Client, as_completed

    try:
        client = Client(address, timeout=timeout_seconds, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ReadError(
            address, f"no scheduler ({type(error).__name__})", "the address of a running Dask scheduler"
        ) from None
    with _lost_workers(address), client, client.as_current():
        futures = client.compute([node.task for node in nodes], optimize_graph=False)
        weights = {future.key: node.item_count for future, node in zip(futures, nodes, strict=True)}
        for future in as_completed(futures):
            report(weights[future.key])
        by_key = {node.key: future for node, future in zip(nodes, futures, strict=True)}
        return list(client.gather([by_key[node.key] for node in wanted]))


@contextmanager
def _lost_workers(scheduler: str) -> Iterator[None]:
    """Name what happens when a worker dies, killed for its memory, say: its task has no outcome."""
    try:
        yield
    except Exception as error:
        if type(error).__name__ not in ("BrokenProcessPool", "KilledWorker", "CommClosedError", "FutureCancelledError"):
            raise
        found = f"a worker that died ({type(error).__name__})"
        expected = "workers that stay alive: fewer of them when memory is short; finished work is kept"
        if scheduler == "processes":
            expected += '; in a script, call this under `if __name__ == "__main__":`'
        raise ReadError(f"scheduler {scheduler}", found, expected) from error


def _ignore(item_count: int, /) -> None:
    """No progress is wanted."""


@dataclass(frozen=True, slots=True)
class Execution:
    """Where and how a graph runs."""

    scheduler: str = "threads"
    workers: int | None = None
    progress: Callable[[int], Progress] | None = None
    """Called once with the number of items; gives what is told of finished ones."""


DEFAULT_EXECUTION: Final = Execution()
