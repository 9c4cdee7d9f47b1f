"""Find the state of a batch, from its plan and its ledger (the record of each dataset's state)."""

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
    """One dataset of a batch: its entry in the plan, and its state according to the ledger."""

    planned: PlannedDataset
    row: LedgerRow | None
    """The row of the last attempt; None before the first attempt."""
    is_at_work: bool
    """Whether a process seems to work at the dataset now."""

    @property
    def destination(self) -> str:
        """Return the path of the dataset's result below the folder of the results."""
        return self.planned.destination

    @property
    def state(self) -> State:
        """Return the state of the last attempt; `planned` before the first one."""
        return "planned" if self.row is None else self.row.state

    @property
    def is_stopped(self) -> bool:
        """Return whether a process died while it worked at the dataset. The next run continues this work."""
        return self.state == "running" and not self.is_at_work


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """The state of every dataset of a batch."""

    out: str
    """Path or URL of the folder of the results."""
    datasets: tuple[DatasetState, ...]
    """The states, sorted by destination."""

    @property
    def counts(self) -> dict[State, int]:
        """Return the number of datasets in each state, in the order of `STATES`; states without a dataset are left out."""
        found = Counter(dataset.state for dataset in self.datasets)
        return {state: found[state] for state in STATES if found[state]}

    @property
    def is_done(self) -> bool:
        """Return whether every dataset is finished: its state is `done` or `current`."""
        return all(dataset.state in FINISHED for dataset in self.datasets)

    @property
    def is_failure(self) -> bool:
        """Return whether any dataset is not finished, or has errors."""
        return not self.is_done or any(row.error_count for row in self.rows)

    @property
    def rows(self) -> tuple[LedgerRow, ...]:
        """Return the ledger's rows of all datasets for which there was an attempt."""
        return tuple(dataset.row for dataset in self.datasets if dataset.row is not None)


def batch_status(out: str) -> BatchStatus:
    """Return the state of every dataset of the batch whose results are in a folder.

    Args:
        out: The folder of the results, or the prefix in a store.

    Raises:
        PlanError: The folder contains no plan, or the plan was changed.
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
