"""Publish one dataset of a batch onto the repository that it comes from, with the functions of `episeek_pipelines.publish`."""

from dataclasses import replace
from typing import Any

from episeek_pipelines.batch.errors import Problem
from episeek_pipelines.batch.ledger import LedgerRow
from episeek_pipelines.batch.results import with_findings, with_preparation
from episeek_pipelines.batch.survey import source_identity
from episeek_pipelines.jobs.graph import Execution
from episeek_pipelines.publish.errors import RefusedPublicationError
from episeek_pipelines.publish.hub.options import PublishOptions
from episeek_pipelines.publish.prepared import prepare_and_publish
from episeek_pipelines.verify import VerificationReport
from episeek_pipelines.words import counted

_HINT = "read the report of the dataset, and run `episeek rules CODE` for the remedy of each finding"


def published_row(
    row: LedgerRow, options: dict[str, Any], execution: Execution
) -> tuple[LedgerRow, VerificationReport | None]:
    """Prepare and publish a dataset, and return its row of the ledger (the record of states) and the report of its verification.

    A dataset with errors is not published, and its row gets the state `refused`. The report is None if nothing was verified.

    Raises:
        EpiseekError: The dataset could not be prepared or sent.
    """
    try:
        done = prepare_and_publish(
            row.source,
            max_episodes_per_file=options["max_episodes_per_file"],
            keyframes=options["keyframes"],
            options=PublishOptions(create_pr=options["create_pr"]),
            execution=execution,
        )
    except RefusedPublicationError as error:
        refused = replace(row, state="refused", problem=Problem.of(error))
        return with_findings(refused, error.verification), error.verification
    if done.preparation is not None:
        row = with_preparation(row, done.preparation)
    publication = done.publication
    if publication is None:
        report = None if done.preparation is None else done.preparation.verification
        errors = counted(0 if report is None else report.error_count, "error")
        problem = Problem("RefusedPublicationError", row.source, errors, "a result without errors", _HINT)
        return with_findings(replace(row, state="refused", problem=problem), report), report
    # The repository contains the published files now. The next run must not mistake them for a change of the source.
    after = source_identity(row.source)
    identities = sorted({*row.inputs["identities"], after})
    row = replace(
        row,
        state="done" if publication.is_new else "current",
        url=publication.pull_request or publication.url,
        inputs={**row.inputs, "identities": identities},
        seconds=publication.seconds,
    )
    return with_findings(row, publication.verification), publication.verification
