"""Make rows of the ledger (the record of each dataset's state) from the results and the errors of jobs."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from episeek.version import __version__
from episeek_pipelines.batch.errors import Problem
from episeek_pipelines.batch.ledger import LedgerRow
from episeek_pipelines.batch.survey import PlannedDataset
from episeek_pipelines.jobs.results import PrepareResult, WorkFailedError
from episeek_pipelines.verify import VerificationReport
from episeek_pipelines.verify.findings.findings import Finding
from episeek_schemas import sidecars


def surveyed_row(surveyed: PlannedDataset, inputs: dict[str, Any], run: str) -> LedgerRow:
    """Return the row of a dataset before any work, with the state, the counts and the problem that its survey found."""
    names = ("episodes", "frames", "cameras", "files", "data_files", "video_files")
    versions: dict[str, str] = {"episeek": __version__, "format": str(sidecars.FORMAT_VERSION)}
    if surveyed.version:
        versions["codebase"] = surveyed.version
    return LedgerRow(
        surveyed.destination,
        surveyed.source,
        "refused" if surveyed.refusal is not None else "planned",
        inputs=inputs,
        versions=versions,
        counts={} if surveyed.refusal is not None else {name: getattr(surveyed, name) for name in names},
        problem=surveyed.refusal,
        run=run,
    )


def with_preparation(row: LedgerRow, result: PrepareResult) -> LedgerRow:
    """Return a copy of a row with the counts, bytes, requests and seconds of a preparation."""
    read = written = requests = 0
    counts = dict(row.counts)
    if result.rewrite is not None:
        read += result.rewrite.source_bytes
        written += result.rewrite.written_bytes
        requests += result.rewrite.request_count
        counts["row_groups"] = result.rewrite.row_groups
    if result.index is not None:
        read += result.index.bytes_read
        written += result.index.sidecar_bytes
        requests += result.index.request_count
    return replace(
        row, counts=counts, bytes={"read": read, "written": written}, requests=requests, seconds=result.seconds
    )


def with_findings(row: LedgerRow, report: VerificationReport | None) -> LedgerRow:
    """Return a copy of a row with the findings of a verification, counted by rule code. Without a report, return the row itself."""
    return row if report is None else replace(row, findings=_by_code(report.findings))


def failed_row(row: LedgerRow, error: Exception) -> LedgerRow:
    """Return a copy of `row` with the state `failed`, and with the error as the problem of its dataset."""
    problem = Problem.of(error)
    if isinstance(error, WorkFailedError):
        # `where` is a path in the work folder, which users do not know. `found` already says what the first failure expected.
        hint = "correct the cause of the failure and run the batch again; finished work is kept"
        problem = replace(problem, where=row.source, expected="", hint=hint)
    return replace(row, state="failed", problem=problem)


def _by_code(findings: Iterable[Finding]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for finding in findings:
        entry = found.setdefault(finding.code, {"severity": finding.severity, "count": 0})
        entry["count"] += 1 + finding.more
        if finding.severity == "error":
            entry["severity"] = "error"
    return dict(sorted(found.items()))
