"""Run the graph of a job in the staging, where its destination is built. Return the values, or raise one error for all failures."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from episeek_pipelines.dataset.sidecar_staging import SidecarStaging
from episeek_pipelines.dataset.staging import DatasetStaging
from episeek_pipelines.jobs.graph import Execution, Graph
from episeek_pipelines.jobs.nodes import Node, seconds_by_stage, values_and_failures
from episeek_pipelines.jobs.results import WorkFailedError

T = TypeVar("T")


def run_graph(
    graph: Graph, wanted: Sequence[Node], staging: DatasetStaging | SidecarStaging, execution: Execution
) -> tuple[list[Any], dict[str, float]]:
    """Run a graph, and return the values of `wanted`, in order, and the seconds of each stage.

    Raises:
        WorkFailedError: Items failed; the error lists all of them.
    """
    results = execution.compute(graph, wanted)
    values, failures = values_and_failures(results)
    if failures:
        kept = f"finished work is kept in {staging.root}" if staging.holds_work() else "nothing was written"
        hint = f"fix what failed and run the same command again; {kept}"
        raise WorkFailedError.of(failures, item_count=graph.item_count, where=staging.final.url, hint=hint)
    return values, seconds_by_stage(wanted, results)


def values_of(values: Sequence[Any], kind: type[T]) -> list[T]:
    """Return the values of one type, in order. Each kind of node returns values of its own type."""
    return [value for value in values if isinstance(value, kind)]


def added_up(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds of each stage, added up over two graphs: first the stages of the first graph, then all others."""
    return {stage: first.get(stage, 0.0) + second.get(stage, 0.0) for stage in {**first, **second}}
