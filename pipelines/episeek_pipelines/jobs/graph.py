"""Build and run graphs of work: the nodes of a job and their dependencies.

`Graph.map` makes one node for each batch of items. `Graph.reduce` makes one node that needs the outcomes of other nodes, and does
not run if an item of these nodes failed. Batches and results follow the order of the items. They depend neither on the scheduler
nor on the number of workers.
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from episeek_pipelines.jobs.nodes import Blocked, Constant, Node, Outcome, run_batch, run_reduction
from episeek_pipelines.jobs.progress import Phase, Progress, StartProgress
from episeek_pipelines.jobs.schedulers import address_of_file, run_distributed, run_locally, run_serially

T = TypeVar("T")

MAX_NODES_PER_MAP: Final = 2000
"""Greatest number of nodes of one `map`. A scheduler needs about a millisecond for each node."""

ROUNDS_PER_NODE: Final = 4
"""Smallest number of items for each thread of a node. With fewer items, threads would be idle longer while the last items run."""


class Graph:
    """A graph under construction. Functions and items must be picklable, since a scheduler may run them in other processes."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        # a scheduler that several clients share treats equal keys as equal work
        self._token = uuid.uuid4().hex[:8]

    @property
    def item_count(self) -> int:
        """Return the number of items of all nodes."""
        return sum(node.item_count for node in self.nodes)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Return the phases of all nodes, each with its totals, in the order in which the phases were added."""
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
            shared: Further arguments, the same for every item. A node among them is replaced by its result.
            label: Returns the name under which an item is reported if it fails.
            phase: The phase of the job to which progress adds the items; empty if progress does not count them.
            unit: The word for one item in the progress display, such as "file".
            byte_count: Returns the size of an item in bytes, for progress; None if the sizes are not known.
            max_nodes: Greatest number of nodes.
            in_flight: Number of items of a node that run at the same time. More than 1 is for items that wait for a store.
        """
        size = max(1 if in_flight == 1 else ROUNDS_PER_NODE * in_flight, -(-len(items) // max_nodes))
        arguments = [argument if isinstance(argument, Node) else Constant(argument) for argument in shared]
        nodes = []
        for start in range(0, len(items), size):
            batch = items[start : start + size]
            node = Node(
                key=self._key(function),
                item_count=len(batch),
                function=run_batch,
                arguments=(function, Constant([(label(item), item) for item in batch]), arguments, in_flight),
                phase=phase,
                stage=phase,
                unit=unit,
                byte_count=0 if byte_count is None else sum(map(byte_count, batch)),
            )
            nodes.append(node)
            self.nodes.append(node)
        return nodes

    def reduce(self, function: Callable[..., T], nodes: Iterable[Node], *shared: Any, label: str) -> Node:
        """Add a node that calls `function(values, *shared)` with the values of all items of `nodes`, in order.

        If an item failed, the function is not called, and the result of the node is `Blocked`.
        """
        arguments = [argument if isinstance(argument, Node) else Constant(argument) for argument in shared]
        node = Node(
            key=self._key(function),
            item_count=1,
            function=run_reduction,
            arguments=(function, label, list(nodes), arguments),
            phase="",
            stage=label,
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
            wanted: The nodes whose results are returned.
            scheduler: "threads", "processes", "sync" (one node after the other, without Dask), or the address of a distributed
                scheduler, "tcp://host:port" or "tls://host:port".
            workers: Number of threads or processes; None for the number of cores. A distributed scheduler has its own workers.
            progress: Receives the finished items of each phase.
            connect_timeout_seconds: Seconds to wait for the answer of a distributed scheduler.

        Raises:
            DestinationError: A worker of the distributed scheduler does not share a directory to which the job writes.
            ReadError: The distributed scheduler cannot be reached or was lost, a worker has another version of episeek or does not
                see a dataset, or a local process died.
            ValueError: The name of the scheduler is unknown.
        """
        by_key = {node.key: node for node in self.nodes}

        def report(key: Any) -> None:
            node = by_key.get(key)
            if progress is not None and node is not None and node.phase:
                progress(node.phase, node.item_count, node.byte_count)

        if "://" in scheduler:
            return run_distributed(scheduler, self.nodes, wanted, report, connect_timeout_seconds)
        if scheduler == "sync":
            return run_serially(self.nodes, wanted, report)
        return run_locally(scheduler, self.nodes, wanted, report, workers)


@dataclass(frozen=True, slots=True)
class Execution:
    """The scheduler, the workers and the progress display with which a job runs its graphs."""

    scheduler: str = "threads"
    """"threads", "processes", "sync", or the address of a Dask scheduler, "tcp://host:port" or "tls://host:port"."""
    workers: int | None = None
    """Number of threads or processes; None for the number of cores."""
    progress: StartProgress | None = None
    """Starts the display of progress; None for no display."""

    @classmethod
    def by_file(cls, path: str, *, progress: StartProgress | None = None) -> "Execution":
        """Return the execution on the Dask scheduler whose address is in a scheduler file.

        Raises:
            ReadError: The file does not exist, or contains no address.
        """
        return cls(address_of_file(path), progress=progress)

    def compute(self, graph: Graph, wanted: Sequence[Node]) -> list[list[Outcome] | Outcome | Blocked]:
        """Run a graph and return the results of `wanted`. Raises the same errors as `Graph.compute`."""
        progress = None if self.progress is None else self.progress(graph.phases)
        return graph.compute(wanted, scheduler=self.scheduler, workers=self.workers, progress=progress)


DEFAULT_EXECUTION: Final = Execution()
