"""Run a batch: prepare or publish every dataset whose result is missing or out of date.

Small datasets share one graph of tasks, in which each dataset is one task. Large datasets are run one after the other, each with
its own graph. The results are the same bytes for every scheduler and number of ranks, except for the record of the run.
"""

import time
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import Final

from episeek_pipelines.batch.destination import require_out
from episeek_pipelines.batch.errors import PlanError, Problem
from episeek_pipelines.batch.job import Job
from episeek_pipelines.batch.ledger import LedgerRow
from episeek_pipelines.batch.manifest import read_manifest
from episeek_pipelines.batch.options import BatchOptions, work_versions
from episeek_pipelines.batch.plan import DEFAULT_OPTIONS, make_plan
from episeek_pipelines.batch.plan_file import BatchPlan, has_plan, read_plan, require_same, write_plan
from episeek_pipelines.batch.ranks import Rank, dealt
from episeek_pipelines.batch.survey import PlannedDataset
from episeek_pipelines.batch.work import RunOutcome, run_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.graph import DEFAULT_EXECUTION, Execution, Graph
from episeek_pipelines.jobs.nodes import Done, Failure
from episeek_schemas.batch import PLAN_PATH

LARGE_FILES: Final = 64
"""Greatest number of data and video files of a dataset that is prepared as a single task. A larger dataset gets its own graph."""

LARGE_BYTES: Final = 256 * 2**20
"""Greatest number of bytes to read for a dataset that is prepared as a single task. A larger dataset gets its own graph."""

PREPARING: Final = "preparing"
ONE_RANK: Final = Rank()


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The result of a run of a batch: the outcome of each dataset that this process (its rank) was responsible for."""

    out: str
    """Path or URL of the folder of the results."""
    rank: Rank
    outcomes: tuple[RunOutcome, ...]
    """The outcomes, sorted by destination."""
    seconds: float
    """Duration of the run in seconds."""

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of datasets with each outcome.

        The outcome is the new state of a dataset if the run worked at it, and `RunOutcome.kind` if not.
        """
        kinds = (
            outcome.row.state if outcome.kind == "worked" and outcome.row else outcome.kind for outcome in self.outcomes
        )
        return dict(sorted(Counter(kinds).items()))

    @property
    def is_failure(self) -> bool:
        """Return whether any dataset was refused, failed, has errors, was not begun, or could not be recorded."""
        return any(
            outcome.kind == "left"
            or (outcome.row is not None and (outcome.row.problem is not None or outcome.row.error_count > 0))
            for outcome in self.outcomes
        )


def batch_run(
    manifest: str,
    out: str,
    *,
    options: BatchOptions = DEFAULT_OPTIONS,
    rank: Rank = ONE_RANK,
    max_failures: int | None = None,
    execution: Execution = DEFAULT_EXECUTION,
) -> BatchResult:
    """Prepare or publish every dataset of a manifest whose result is missing or out of date, and return the outcomes.

    If there is no plan below `out`, the batch is planned first. Several ranks need a plan that exists before they start.

    Args:
        manifest: The datasets: a text, CSV or Parquet file, a folder of datasets, or `hf://datasets/ORG`.
        out: The folder for the results, or the prefix in a store.
        options: The options, which have to be the same as in the plan.
        rank: The part of the plan that this process works at.
        max_failures: Begin no further dataset after more failures than this; None for no limit. Refused datasets do not count.
        execution: Scheduler, workers and progress.

    Raises:
        ManifestError: The manifest cannot be read.
        PlanError: The plan was changed, was made for another manifest or other options, or is missing although there are several
            ranks.
        EpiseekError: `out` cannot contain the results of a batch, or a store does not answer.
    """
    started = time.perf_counter()
    where = Root(out)
    require_out(where)
    plan = _plan(manifest, where, options, rank, execution)
    mine = dealt(plan.datasets, rank)
    job = Job(where, uuid.uuid4().hex[:16], plan.versions, max_failures)
    try:
        outcomes = _run_small([dataset for dataset in mine if not is_large(dataset)], job, execution)
        outcomes += [_run_one(dataset, job, execution) for dataset in mine if is_large(dataset)]
    except BaseException:
        job.interrupt()
        raise
    finally:
        job.close()
    outcomes.sort(key=lambda outcome: outcome.destination)
    return BatchResult(where.url, rank, tuple(outcomes), time.perf_counter() - started)


def is_large(dataset: PlannedDataset) -> bool:
    """Return whether a dataset is so large that it is run with its own graph, in which each file is a task."""
    return dataset.data_files + dataset.video_files > LARGE_FILES or dataset.read_bytes > LARGE_BYTES


def _plan(manifest: str, out: Root, options: BatchOptions, rank: Rank, execution: Execution) -> BatchPlan:
    listed = read_manifest(manifest, out.url, options)
    if has_plan(out):
        plan = read_plan(out)
        require_same(
            plan,
            manifest_digest=listed.digest,
            options=options,
            versions=work_versions(),
            where=out.join(PLAN_PATH),
        )
        return plan
    if rank.of > 1:
        hint = "run `episeek batch plan MANIFEST OUT` once, before you start the ranks"
        raise PlanError(str(out), "no plan", "the plan that the ranks share", hint)
    plan = make_plan(listed, out, options, execution)
    write_plan(plan, out)
    return plan


def _run_small(datasets: list[PlannedDataset], job: Job, execution: Execution) -> list[RunOutcome]:
    """Run small datasets as the tasks of one graph, and return their outcomes."""
    graph = Graph()
    nodes = graph.map(
        _run_unit,
        datasets,
        job,
        # Because of this argument, the graph checks that the workers of a cluster can see the folder.
        job.out,
        label=lambda dataset: dataset.destination,
        phase=PREPARING,
        unit="dataset",
        byte_count=lambda dataset: dataset.read_bytes,
        # Every dataset is a separate node, so that a worker claims a dataset only when it begins to work at it.
        max_nodes=max(1, len(datasets)),
    )
    outcomes = []
    results = execution.compute(graph, nodes) if nodes else []
    for dataset, result in zip(datasets, (each for part in results for each in _listed(part)), strict=True):
        outcomes.append(result.value if isinstance(result, Done) else _unrecorded(dataset, _lost(dataset, result)))
    return outcomes


def _run_unit(dataset: PlannedDataset, job: Job, _: Root) -> RunOutcome:
    return _run_one(dataset, job, Execution("sync", progress=job.progress))


def _run_one(dataset: PlannedDataset, job: Job, execution: Execution) -> RunOutcome:
    try:
        return run_dataset(dataset, job, execution)
    # An error of one dataset does not stop the others.
    except Exception as error:
        return _unrecorded(dataset, Problem.of(error))


def _lost(dataset: PlannedDataset, failure: object) -> Problem:
    """Return the problem of a dataset whose worker returned no outcome."""
    if isinstance(failure, Failure):
        return Problem(failure.kind, dataset.source, failure.message, "", "")
    return Problem("EpiseekError", dataset.source, "no outcome from the worker of this dataset", "", "")


def _unrecorded(dataset: PlannedDataset, problem: Problem) -> RunOutcome:
    """Return the outcome of a dataset whose row in the ledger (the record of states) could not be read or written."""
    row = LedgerRow(dataset.destination, dataset.source, "failed", problem=problem)
    return RunOutcome(dataset.destination, "unrecorded", row)


def _listed(part: object) -> list[object]:
    return part if isinstance(part, list) else [part]
