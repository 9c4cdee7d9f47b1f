"""Run a graph on a cluster, and survive workers that die, files that kill workers, and the loss of the scheduler.

If a worker dies, Dask runs its node on another worker. Dask gives a node up if several workers died while they ran it. Such a node
is run again one item at a time, while nothing else runs. An item that kills workers again is reported as a failure under its name,
and the other items are finished. In this way the graph always ends. Nodes that need a failed item are `Blocked`, as after any other
failure.
"""

import queue
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Protocol

from episeek.errors import ReadError
from episeek_pipelines.jobs.nodes import Blocked, Constant, Failure, Node, Outcome, run_batch

WORKERLESS_SECONDS: Final = 300.0
"""Seconds that a run waits for a worker while the scheduler has no workers. A batch system may start workers late."""

_LOOK_SECONDS: Final = 1.0
"""Seconds between two checks of the scheduler while no node finishes."""

_HINT: Final = "start the scheduler and its workers and run the same command again; finished work is kept"


class Future(Protocol):
    """The methods of `distributed.Future` that a run uses."""

    key: Any
    status: str

    def exception(self) -> BaseException | None:
        """Wait until the task has finished, and return its error, or None if it succeeded."""

    def add_done_callback(self, call: Callable[["Future"], None], /) -> None:
        """Call a function in another thread when the task has finished, with or without an error."""

    def result(self, timeout: float) -> Any:
        """Wait until the task has finished, and return its result."""


class Client(Protocol):
    """The methods of `distributed.Client` that a run uses."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, pure: bool) -> Any:
        """Submit a call and return its future. Futures among the arguments are replaced by their results."""

    def gather(self, futures: Any) -> Any:
        """Return the results of futures."""

    def nthreads(self) -> Any:
        """Return the number of threads of each worker, by the worker's address."""


Result = list[Outcome] | Outcome | Blocked


class ClusterRun:
    """Runs the nodes of a graph through a connected client of a Dask scheduler.

    Args:
        client: The client.
        scheduler: The address of the scheduler, for messages.
        futures: The futures of a graph that is already running, by the key of their node.
        nodes: All nodes, each after the nodes that it needs.
        report: Receives the key of each finished node.
    """

    def __init__(
        self,
        client: Client,
        scheduler: str,
        futures: dict[str, Future],
        nodes: Sequence[Node],
        report: Callable[[Any], None],
    ) -> None:
        self._client = client
        self._scheduler = scheduler
        self._nodes = nodes
        self._reported: set[str] = set()
        self._report_key = report
        self._futures = futures
        self._node_of = {node.key: node.key for node in nodes}
        """The keys of nodes, by the keys of their futures."""
        self._settled: dict[str, Result] = {}
        """Results of the nodes that were run again while nothing else ran, by the key of the node."""

    def results(self, wanted: Sequence[Node]) -> list[Result]:
        """Wait until all nodes have finished, and return the results of the nodes `wanted`, in order.

        Raises:
            ReadError: The scheduler was lost, or had no workers for too long.
        """
        unfinished = list(self._nodes)
        while unfinished:
            self._wait([self._futures[node.key] for node in unfinished])
            unfinished = [node for node in self._nodes if not self._is_finished(node)]
            for node in unfinished:
                self._require_killed(self._futures[node.key])
            for node in [node for node in unfinished if all(map(self._is_finished, _needed(node)))]:
                self._settled[node.key] = self._run_alone(node)
                self._report(node.key)
            unfinished = [node for node in unfinished if node.key not in self._settled]
            for node in unfinished:
                self._futures[node.key] = future = self._submit(node.function, node.arguments)
                self._node_of[str(future.key)] = node.key
        held = [self._futures[node.key] for node in wanted if node.key not in self._settled]
        gathered = iter(self._client.gather(held))
        return [self._settled[node.key] if node.key in self._settled else next(gathered) for node in wanted]

    def _report(self, key: str) -> None:
        """Report a finished node once. A node whose result was lost with a worker finishes twice."""
        if key not in self._reported:
            self._reported.add(key)
            self._report_key(key)

    def _is_finished(self, node: Node) -> bool:
        return node.key in self._settled or self._futures[node.key].status == "finished"

    def _run_alone(self, node: Node) -> Result:
        """Repeat a node that has killed workers, one item at a time and while nothing else runs, and return its result."""
        if node.function is not run_batch:
            return self._attempt(node.arguments[1], node.function, node.arguments)
        function, items, shared, _ = node.arguments
        outcomes: list[Outcome] = []
        for label, item in items.value:
            result = self._attempt(label, run_batch, (function, Constant([(label, item)]), shared, 1))
            outcomes += result if isinstance(result, list) else _failures(result)
        return outcomes

    def _attempt(self, label: str, function: Callable[..., Any], arguments: Sequence[Any]) -> Result:
        future = self._submit(function, arguments)
        self._wait([future])
        if future.status == "finished":
            result: Result = self._client.gather(future)
            return result
        self._require_killed(future)
        error = ReadError(
            label,
            "an item that killed every worker that processed it, even while nothing else ran",
            "workers that stay alive",
            "check the file and the logs of the workers; if memory was short, give each worker more",
        )
        return Failure(label, type(error).__name__, str(error))

    def _submit(self, function: Callable[..., Any], arguments: Iterable[Any]) -> Future:
        submitted: Future = self._client.submit(function, *map(self._with_results, arguments), pure=False)
        return submitted

    def _with_results(self, argument: Any) -> Any:
        if isinstance(argument, Node):
            return self._settled.get(argument.key, self._futures[argument.key])
        return list(map(self._with_results, argument)) if isinstance(argument, list) else argument

    def _require_killed(self, future: Future) -> None:
        """Raise the error of a future that failed, unless it failed because its workers died."""
        error = future.exception()
        if error is not None and type(error).__name__ != "KilledWorker":
            raise error

    def _wait(self, futures: Sequence[Future]) -> None:
        """Wait until all futures have finished, with or without an error. Raises the same errors as `results`."""
        finished: queue.SimpleQueue[Future] = queue.SimpleQueue()
        for future in futures:
            future.add_done_callback(finished.put)
        without_workers = None
        left = len(futures)
        while left:
            try:
                future = finished.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                without_workers = self._look(without_workers)
                continue
            left -= 1
            if future.status in ("cancelled", "lost"):
                raise self._lost()
            node = self._node_of.get(str(future.key))
            if future.status == "finished" and node is not None:
                self._report(node)

    def _look(self, since: float | None) -> float | None:
        """Return the time since which the scheduler has had no workers, or None if it has workers.

        Args:
            since: The result of the previous call; None for the first call.

        Raises:
            ReadError: The scheduler was lost, or has had no workers for `WORKERLESS_SECONDS`.
        """
        try:
            is_empty = not self._client.nthreads()
        except Exception as error:
            raise self._lost() from error
        if not is_empty:
            return None
        since = time.monotonic() if since is None else since
        if time.monotonic() - since > WORKERLESS_SECONDS:
            found = f"no worker for {WORKERLESS_SECONDS:.0f} seconds"
            raise ReadError(f"scheduler {self._scheduler}", found, "workers", _HINT)
        return since

    def _lost(self) -> ReadError:
        return ReadError(f"scheduler {self._scheduler}", "a scheduler that was lost", "a scheduler that answers", _HINT)


def require_worker(client: Client, scheduler: str) -> None:
    """Wait for the first worker. An adaptive cluster starts workers only when there is work.

    Raises:
        ReadError: No worker appeared within `WORKERLESS_SECONDS`.
    """
    first = client.submit(int, pure=False)
    try:
        first.result(timeout=WORKERLESS_SECONDS)
    except TimeoutError:
        found = f"no worker for {WORKERLESS_SECONDS:.0f} seconds"
        raise ReadError(f"scheduler {scheduler}", found, "one worker or more", "start workers") from None


def _failures(result: Outcome | Blocked) -> list[Outcome]:
    return list(result.failures) if isinstance(result, Blocked) else [result]


def _needed(node: Node) -> Iterator[Node]:
    """Yield the nodes whose results a node needs."""
    waiting: list[Any] = list(node.arguments)
    while waiting:
        argument = waiting.pop()
        if isinstance(argument, Node):
            yield argument
        elif isinstance(argument, list):
            waiting.extend(argument)
