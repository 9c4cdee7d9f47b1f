"""The state of a batch: its plan and its ledger together."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from episeek.stores.processes.workers import map_in_threads
from episeek_pipelines.batch.ledger import FINISHED, STATES, Ledger, LedgerRow, State
from episeek_pipelines.batch.plan_file import read_plan
from episeek_pipelines.batch.survey import PlannedDataset
from episeek_pipelines.dataset.root import Root

_READS_IN_FLIGHT: Final = 16


@dataclass(frozen=True, slots=True)
class DatasetState:
    """One dataset of a batch: what was planned, and what became of it."""

    planned: PlannedDataset
    row: LedgerRow | None
    """None before the first attempt."""
    is_at_work: bool
    """Whether a process is at work on it now, as far as can be known."""

    @property
    def destination(self) -> str:
        """Return the dataset's place below OUT."""
        return self.planned.destination

    @property
    def state(self) -> State:
        """Return the state of the last attempt; `planned` before the first one."""
        return "planned" if self.row is None else self.row.state

    @property
    def is_stopped(self) -> bool:
        """Return whether a process died while it worked at the dataset: the next run goes on from there."""
        return self.state == "running" and not self.is_at_work


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """The state of every dataset of a batch, sorted by destination."""

    out: str
    datasets: tuple[DatasetState, ...]

    @property
    def counts(self) -> dict[State, int]:
        """Return how many datasets are in each state, in the order of `STATES`."""
        found = Counter(dataset.state for dataset in self.datasets)
        return {state: found[state] for state in STATES if found[state]}

    @property
    def is_done(self) -> bool:
        """Return whether every dataset is done."""
        return all(dataset.state in FINISHED for dataset in self.datasets)

    @property
    def is_failure(self) -> bool:
        """Return whether a dataset is not done, or has errors."""
        return not self.is_done or any(row.error_count for row in self.rows)

    @property
    def rows(self) -> tuple[LedgerRow, ...]:
        """Return the rows of the ledger that there are."""
        return tuple(dataset.row for dataset in self.datasets if dataset.row is not None)


def batch_status(out: str) -> BatchStatus:
    """Return what became of each dataset of the plan below OUT.

    Raises:
        PlanError: There is no plan, or it was changed.
        ReadError: A store does not answer.
    """
    where = Root(out)
    plan = read_plan(where)
    ledger = Ledger(where)
    rows = ledger.rows()

    def state_of(planned: PlannedDataset) -> DatasetState:
        row = rows.get(planned.destination)
        return DatasetState(planned, row, row is not None and ledger.is_at_work(row))

    datasets = map_in_threads(state_of, plan.datasets, max_in_flight=1 if where.is_local else _READS_IN_FLIGHT)
    return BatchStatus(where.url, tuple(datasets))
