"""The nodes of a graph, the outcomes of their items, and the functions that run a node.

The result of a node is a list of outcomes. A failed item is an outcome, too, so that the work of the other items is kept. Items
that wait for a store run in several threads of their node.
"""

import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from episeek.errors import EpiseekError
from episeek.stores.processes.workers import map_in_threads

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """An item that could not be processed."""

    label: str
    """The name of the item in messages, usually its file."""
    kind: str
    """Name of the error's class."""
    message: str
    trace: str = field(default="", repr=False)
    """The traceback of an unforeseen error; empty for errors of `episeek.errors`."""


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """An item that was processed."""

    value: T
    seconds: float = field(default=0.0, compare=False)
    """Seconds that the item took in its worker."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """The result of a `Graph.reduce` node that did not run because an item that it needs failed."""

    failures: tuple[Failure, ...]


Outcome = Done[Any] | Failure


class Constant:
    """Wraps a value so that Dask does not search it for nodes, which takes long for lists of a hundred thousand files."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> tuple[type["Constant"], tuple[Any]]:
        return Constant, (self.value,)


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One function call in a graph, and the number of items that it processes."""

    key: str
    item_count: int
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    """The arguments of the call. Nodes and lists of nodes among them are replaced by their results."""
    phase: str
    """The phase of the job to which progress adds the items; empty if progress does not count them."""
    stage: str
    """The name of the stage in the run's record: the phase, or the label of a reduction."""
    unit: str
    byte_count: int


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


def seconds_by_stage(nodes: Iterable[Node], results: Iterable[list[Outcome] | Outcome | Blocked]) -> dict[str, float]:
    """Return the seconds of each stage, summed over its items, threads and processes, in the order of the nodes."""
    seconds: dict[str, float] = {}
    for node, result in zip(nodes, results, strict=True):
        outcomes = result if isinstance(result, list) else [result]
        spent = sum(outcome.seconds for outcome in outcomes if isinstance(outcome, Done))
        seconds[node.stage] = seconds.get(node.stage, 0.0) + spent
    return seconds


def run_batch(function: Callable[..., Any], items: Constant, shared: list[Any], in_flight: int) -> list[Outcome]:
    """Return the outcome of each item of a batch; an empty list if a shared argument is the result of a failed node."""
    if _failures_in(shared):
        # an argument is missing because another node failed, and the failure is reported for that node
        return []
    arguments = [argument.value if isinstance(argument, Done | Constant) else argument for argument in shared]

    def run(labelled: tuple[str, Any]) -> Outcome:
        return _attempt(labelled[0], function, labelled[1], *arguments)

    return map_in_threads(run, items.value, max_in_flight=in_flight)


def run_reduction(
    function: Callable[..., Any], label: str, batches: list[list[Outcome] | Outcome | Blocked], shared: list[Any]
) -> Outcome | Blocked:
    """Call `function` with the values of all batches, and return the outcome. Return `Blocked` if an item failed."""
    values, failures = values_and_failures(batches)
    failures += _failures_in(shared)
    if failures:
        return Blocked(tuple(failures))
    arguments = [argument.value if isinstance(argument, Done | Constant) else argument for argument in shared]
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
    started = time.perf_counter()
    try:
        value = function(*arguments)
        return Done(value, time.perf_counter() - started)
    except EpiseekError as error:
        return Failure(label, type(error).__name__, str(error))
    except Exception as error:
        # a defect that one file reveals is reported with its traceback, and must not lose the work of the other files
        return Failure(label, type(error).__name__, f"{label}: {type(error).__name__}: {error}", traceback.format_exc())
