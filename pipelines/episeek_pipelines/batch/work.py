"""Work at one dataset of a batch: find out what is to be done, claim the dataset, prepare or publish it, and record the result.

An attempt records `begun` in the ledger before it writes anything. If the results are on this machine, it also records `prepared`,
with the finished row, when the dataset is complete but not yet renamed to its destination. So if an attempt is killed, the next
attempt can tell whether everything, some files or only the rename remains to be done.
"""

from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from episeek.errors import EpiseekError
from episeek_pipelines.batch.destination import place_aside, put_back, put_in_place
from episeek_pipelines.batch.errors import Problem
from episeek_pipelines.batch.job import Job
from episeek_pipelines.batch.ledger import FINISHED, Attempts, Claim, Ledger, LedgerRow, key_of
from episeek_pipelines.batch.manifest import ManifestRow
from episeek_pipelines.batch.publication import published_row
from episeek_pipelines.batch.results import failed_row, surveyed_row, with_findings, with_preparation
from episeek_pipelines.batch.survey import PlannedDataset, source_identity, survey_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.staging import has_unfinished_run
from episeek_pipelines.jobs.graph import Execution
from episeek_pipelines.jobs.prepare import prepare
from episeek_pipelines.jobs.reruns import finished_run
from episeek_pipelines.jobs.run_options import preparation_options
from episeek_pipelines.verify import VerificationReport
from episeek_pipelines.verify.formats import render
from episeek_schemas import layout
from episeek_schemas.batch import PAGES_DIR

MOST_LOST_WORKERS: Final = 2
"""A dataset counts as failed after this number of workers of one run have died while they worked at it."""

Kind = Literal["worked", "unchanged", "elsewhere", "left", "unrecorded"]
"""The outcome of one dataset in a run of a batch. `worked`: the run made an attempt; `unchanged`: there was nothing to do;
`elsewhere`: another process works at the dataset; `left`: the run was stopped before it began the dataset; `unrecorded`: the ledger
could not be read or written."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """The outcome of one dataset in a run of a batch."""

    destination: str
    kind: Kind
    row: LedgerRow | None
    """The last row of the dataset in the ledger, or None if there was no attempt. If the outcome is `unrecorded`, a row that
    contains the error and is not in the ledger.
    """


def run_dataset(planned: PlannedDataset, job: Job, execution: Execution) -> RunOutcome:
    """Prepare or publish one dataset if its result is missing or out of date, and return the outcome.

    An error of the dataset is recorded in its row and not raised.

    Args:
        planned: The dataset, as the plan of the batch describes it.
        job: The run of the batch.
        execution: The scheduler and the workers that run the dataset's graph of tasks.

    Raises:
        EpiseekError: The ledger (the record of each dataset's state) cannot be read or written.
    """
    ledger, name = Ledger(job.out), planned.destination
    attempts = ledger.attempts_at(name)
    last = ledger.row(name, attempts)
    if job.is_stopped():
        return RunOutcome(name, "left", last)
    # A scheduler gives a dataset to a second worker of the same run only after it has lost the first worker.
    if last is not None and last.state == "running" and last.run != job.run and ledger.is_at_work(last):
        return RunOutcome(name, "elsewhere", last)
    if last is not None and last.state in FINISHED and _is_up_to_date(last, planned, job):
        return RunOutcome(name, "unchanged", last)
    is_ours = attempts.has_written(is_local=job.out.is_local)
    surveyed = survey_dataset(ManifestRow(planned.source, name, planned.options), job.out, is_ours)
    inputs = _inputs(surveyed.identity, planned, job)
    row = surveyed_row(surveyed, inputs, job.run)
    if last is not None and last.state == "refused" and (last.problem, last.inputs) == (row.problem, inputs):
        return RunOutcome(name, "unchanged", last)
    claim = ledger.claim(row, attempts.last + 1)
    if claim is None:
        return RunOutcome(name, "elsewhere", ledger.row(name))
    with claim.beating():
        ended = claim.end(_Attempt(ledger, claim, attempts, row, job, execution).result())
    if ended.state == "failed":
        job.add_failure(name)
    return RunOutcome(name, "worked", ended)


def _inputs(identity: str, planned: PlannedDataset, job: Job) -> dict[str, Any]:
    return {"identities": [identity], "options": planned.options.as_dict(), **job.versions}


def _is_up_to_date(last: LedgerRow, planned: PlannedDataset, job: Job) -> bool:
    """Return whether the result of a finished dataset exists, and the source, the options and the versions are unchanged."""
    wanted = {**_inputs("", planned, job), "identities": last.inputs["identities"]}
    if last.inputs != wanted or last.source != planned.source:
        return False
    if not planned.options.publish and not Root(job.out.join(planned.destination)).exists(layout.INFO_PATH):
        return False
    try:
        return source_identity(planned.source) in last.inputs["identities"]
    except EpiseekError:
        # The source cannot be listed. The survey that follows reports the error.
        return False


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt to prepare or publish a dataset."""

    ledger: Ledger
    claim: Claim
    before: Attempts
    """The earlier attempts at the dataset."""
    row: LedgerRow
    """The row of the dataset before any work, made from its survey."""
    job: Job
    execution: Execution

    def result(self) -> LedgerRow:
        """Prepare or publish the dataset, and return its row with the final state of the attempt."""
        if self.row.problem is not None:
            return self.row
        if self._lost_workers() >= MOST_LOST_WORKERS:
            found = f"{MOST_LOST_WORKERS} workers that died while they worked at this dataset"
            hint = "run this dataset alone, or give workers more memory"
            problem = Problem("LostWorkersError", self.row.source, found, "workers that stay alive", hint)
            return replace(self.row, state="failed", problem=problem)
        try:
            if self.row.inputs["options"]["publish"]:
                row, report = published_row(self.row, self._options, self.execution)
                return self._with_page(row, report)
            return self._prepared() if self.job.out.is_local else self._prepared_in_store()
        # Any error, even a defect of episeek, is recorded in the row of this dataset, and the run continues with the others.
        except Exception as error:
            return failed_row(self.row, error)

    @property
    def _options(self) -> dict[str, Any]:
        return dict(self.row.inputs["options"])

    @property
    def _final(self) -> Root:
        return Root(self.job.out.join(self.row.destination))

    def _prepared(self) -> LedgerRow:
        """Prepare the dataset on this machine in the work folder, and rename it to its destination when it is complete."""
        aside = place_aside(self.job.out, key_of(self.row.destination))
        complete = self._complete_before()
        if complete is None:
            if (touched := self._touched()) is not None:
                return touched
            self.claim.note(self.row, "begun")
            put_back(aside, self._final)
            # An earlier attempt may have been killed after it completed the dataset and before it recorded `prepared`.
            aside.remove("")
            if not self._goes_on():
                Root(f"{aside.url}.partial").remove("")
            complete = self._prepare(aside)
            self.claim.note(complete, "prepared")
        put_in_place(aside, self._final)
        return complete

    def _prepared_in_store(self) -> LedgerRow:
        """Prepare the dataset directly at its destination in a store.

        Files that an older attempt has written there are removed first if this attempt cannot use them.
        """
        is_unfinished = has_unfinished_run(self._final)
        if self.before.has("begun") and not (is_unfinished and self._goes_on()):
            self._final.remove("")
        self.claim.note(self.row, "begun")
        return self._prepare(self._final)

    def _prepare(self, place: Root) -> LedgerRow:
        options = self._options
        result = prepare(
            self.row.source,
            place.url,
            max_episodes_per_file=options["max_episodes_per_file"],
            videos=options["videos"],
            video_file_size_mb=options["video_file_size_mb"],
            keyframes=options["keyframes"],
            skip_episodes=options["skip_episodes"],
            execution=self.execution,
        )
        if result.is_current:
            # The dataset was complete before this attempt, so there are no bytes, requests or findings to record.
            return replace(self.row, state="current", url=self._final.url)
        row = replace(with_preparation(self.row, result), state="done", url=self._final.url)
        return self._with_page(with_findings(row, result.verification), result.verification)

    def _with_page(self, row: LedgerRow, report: VerificationReport | None) -> LedgerRow:
        """Write the report page of a dataset if there is a report, and return its row, which records whether the page exists."""
        if report is None:
            return row
        page = render(replace(report, root=row.url or row.source), "html")
        path = f"{PAGES_DIR}/{key_of(row.destination)}.html"
        self.job.out.write_bytes(path, page.encode("utf-8", "backslashreplace"))
        return replace(row, has_page=True)

    # --- earlier attempts ---

    def _complete_before(self) -> LedgerRow | None:
        """Return the recorded row of the dataset if the dataset only has to be renamed to its destination, otherwise None.

        Only the rename remains if an earlier attempt completed the dataset from the same inputs, and was killed before the rename.
        """
        for number in sorted(self.before.files, reverse=True):
            kinds = self.before.files[number]
            if "prepared" in kinds and kinds.isdisjoint(FINISHED):
                row = self.ledger.read(self.row.destination, number, "prepared")
                return row if row is not None and row.inputs == self.row.inputs else None
            # A later attempt has begun to write again, or the dataset was renamed already.
            if "begun" in kinds or not kinds.isdisjoint(FINISHED):
                return None
        return None

    def _touched(self) -> LedgerRow | None:
        """Return the row of the dataset with the state `current` if the source's files have other identities but the same contents.

        For example, the files of a copy of the source may have other modification times. Return None if the dataset is not
        finished or its source has other contents.
        """
        finished = self.before.finished()
        if finished is None:
            return None
        row = self.ledger.read(self.row.destination, *finished)
        if row is None or _without_identities(row) != _without_identities(self.row):
            return None
        options = self._options
        plan = preparation_options(
            self.row.source,
            max_episodes_per_file=options["max_episodes_per_file"],
            videos=options["videos"],
            video_file_size_mb=options["video_file_size_mb"],
            keyframes=options["keyframes"],
            skip_episodes=options["skip_episodes"],
        )
        before = finished_run(Root(self.row.source).pinned(), self._final, plan)
        is_current = before is not None and before.is_current
        return replace(row, state="current", inputs=self.row.inputs) if is_current else None

    def _goes_on(self) -> bool:
        """Return whether this attempt can use the files of the last attempt that began to write files.

        The source, the options and the versions of both attempts have to be the same.
        """
        for number in sorted(self.before.files, reverse=True):
            if "begun" in self.before.files[number]:
                row = self.ledger.read(self.row.destination, number, "begun")
                return row is not None and _without_identities(row) == _without_identities(self.row)
        return False

    def _lost_workers(self) -> int:
        """Return how many attempts at the dataset in a row, counted back from the last one, ended with the death of a worker.

        Only attempts of this run count. A worker has died if its attempt has not recorded a final state.
        """
        lost = 0
        for number in sorted(self.before.files, reverse=True):
            kinds = self.before.files[number]
            row = self.ledger.read(self.row.destination, number, "running")
            if (
                row is None
                or row.run != self.job.run
                or not kinds.isdisjoint({"planned", "failed", "refused", *FINISHED})
            ):
                break
            lost += 1
        return lost


def _without_identities(row: LedgerRow) -> tuple[str, dict[str, Any]]:
    return row.source, {**row.inputs, "identities": []}
