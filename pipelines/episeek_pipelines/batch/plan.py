"""Plan a batch: survey every dataset, and write the plan into OUT, the folder of the batch's results."""

from dataclasses import dataclass
from typing import Final

from episeek.stores.kinds import is_local
from episeek_pipelines.batch.destination import require_out
from episeek_pipelines.batch.ledger import Ledger
from episeek_pipelines.batch.manifest import Manifest, ManifestRow, read_manifest
from episeek_pipelines.batch.measurement import Measurement, measure
from episeek_pipelines.batch.options import BatchOptions, work_versions
from episeek_pipelines.batch.plan_file import BatchPlan, write_plan
from episeek_pipelines.batch.survey import PlannedDataset, survey_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.graph import DEFAULT_EXECUTION, Execution, Graph
from episeek_pipelines.jobs.nodes import values_and_failures
from episeek_pipelines.jobs.results import WorkFailedError

PLANNING: Final = "planning"
_SURVEYS_IN_FLIGHT: Final = 8

DEFAULT_OPTIONS: Final = BatchOptions()


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """The plan of a batch, and the measurement with which its costs are converted to seconds on this machine."""

    out: str
    """Path or URL of OUT, the folder of the results."""
    plan: BatchPlan
    measurement: Measurement | None
    """None if no measurement was requested, no dataset was small enough, or the chosen dataset could not be prepared."""
    is_written: bool
    """Whether the plan was written below OUT; False for a dry run."""

    @property
    def core_seconds(self) -> float:
        """Return the estimated seconds that one core needs to prepare all datasets that will not be refused."""
        factor = 1.0 if self.measurement is None else self.measurement.factor
        return factor * sum(dataset.cost_seconds for dataset in self.plan.runnable)


def batch_plan(
    manifest: str,
    out: str,
    *,
    options: BatchOptions = DEFAULT_OPTIONS,
    is_measured: bool = True,
    dry_run: bool = False,
    execution: Execution = DEFAULT_EXECUTION,
) -> PlannedBatch:
    """Survey every dataset of a manifest, write the plan below `out`, and return it; an earlier plan is replaced.

    Args:
        manifest: The datasets: a text, CSV or Parquet file, a folder of datasets, or `hf://datasets/ORG`.
        out: The folder for the results, or the prefix in a store.
        options: The options of every dataset. The manifest may change some of them for one dataset.
        is_measured: Whether to prepare one small dataset into a temporary folder, to estimate the time of the whole batch.
        dry_run: Whether to return the plan without writing it below `out`.
        execution: Scheduler, workers and progress.

    Raises:
        ManifestError: The manifest cannot be read, or two of its datasets have the same destination.
        DestinationError: `out` cannot contain the results of a batch, for example because it is a dataset.
        EpiseekError: A store or the Hub does not answer.
    """
    where = Root(out)
    require_out(where)
    listed = read_manifest(manifest, out, options)
    plan = make_plan(listed, where, options, execution)
    if not dry_run:
        write_plan(plan, where)
    measurement = measure(plan.datasets) if is_measured else None
    return PlannedBatch(where.url, plan, measurement, is_written=not dry_run)


def make_plan(listed: Manifest, out: Root, options: BatchOptions, execution: Execution) -> BatchPlan:
    """Survey the datasets of a manifest, and return their plan, which is the same for every scheduler."""
    ours = Ledger(out).written()
    graph = Graph()
    nodes = graph.map(
        _survey,
        [(row, row.destination in ours) for row in listed.rows],
        out,
        label=lambda item: item[0].destination,
        phase=PLANNING,
        unit="dataset",
        in_flight=1 if all(is_local(row.source) for row in listed.rows) else _SURVEYS_IN_FLIGHT,
    )
    values, failures = values_and_failures(execution.compute(graph, nodes))
    if failures:
        raise WorkFailedError.of(failures, item_count=graph.item_count, where=listed.name)
    datasets: tuple[PlannedDataset, ...] = tuple(values)
    return BatchPlan(listed.name, listed.digest, options, work_versions(), datasets, listed.left_out)


def _survey(item: tuple[ManifestRow, bool], out: Root) -> PlannedDataset:
    row, is_ours = item
    return survey_dataset(row, out, is_ours)
