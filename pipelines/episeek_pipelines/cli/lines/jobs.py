"""Make the outcome of a job that writes a dataset, as lines for people or as JSON."""

import argparse
import json
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from episeek_pipelines.cli.outcome import Outcome

if TYPE_CHECKING:
    from episeek_pipelines.api import PrepareResult, VerificationReport


def result_outcome(result: "PrepareResult", options: argparse.Namespace) -> Outcome:
    """Return the outcome of a job that verifies nothing: `rewrite` or `index`."""
    from episeek_pipelines.cli.lines import summary

    if options.json:
        return Outcome((json.dumps(result_document(result), indent=2),))
    return Outcome(() if options.quiet else (*summary.prepare_lines(result), summary.done_line(result)))


def verified_outcome(result: "PrepareResult", options: argparse.Namespace) -> Outcome:
    """Return the outcome of a job that verifies its result: `prepare` or `upgrade`.

    The outcome is a failure if the verification found errors.
    """
    from episeek_pipelines.cli.lines import summary

    is_failure = result.verification is not None and result.verification.error_count > 0
    if options.json:
        return Outcome((json.dumps(verified_document(result), indent=2),), is_failure)
    lines = (*summary.prepare_lines(result), summary.done_line(result), *findings_lines(result.verification, options))
    if result.repairs is not None:
        from episeek_pipelines.cli.lines.repair import made_lines

        lines = (*made_lines(result.repairs, is_current=result.is_current), *lines)
    return Outcome(error_lines(result.verification, options) if options.quiet else lines, is_failure)


def findings_lines(report: "VerificationReport | None", options: argparse.Namespace) -> tuple[str, ...]:
    """Return an empty line and the findings of a job's verification as lines; return no lines if there was no verification."""
    from episeek_pipelines.api import format_findings, format_remarks
    from episeek_pipelines.cli.colour import paint_for

    if report is None:
        return ()
    paint = paint_for(sys.stdout)
    parts = (format_findings(report, max_findings=options.max_findings, paint=paint), format_remarks(report))
    return ("", *(part for part in parts if part))


def error_lines(report: "VerificationReport | None", options: argparse.Namespace) -> tuple[str, ...]:
    """Return the errors of a job's verification as lines, as `--quiet` shows them."""
    from episeek_pipelines.api import format_findings
    from episeek_pipelines.cli.colour import paint_for

    if report is None:
        return ()
    errors = replace(report, findings=tuple(each for each in report.findings if each.severity == "error"))
    text = format_findings(errors, max_findings=options.max_findings, paint=paint_for(sys.stdout))
    return (text,) if text else ()


def verified_document(result: "PrepareResult") -> dict[str, Any]:
    """Return the JSON document of a job's result, with its repairs and the findings of its verification."""
    from episeek_pipelines.api import format_json

    report = result.verification
    if result.repairs is not None:
        from episeek_pipelines.cli.lines.repair import made_document

        repairs = {"repairs": made_document(result.repairs)}
    else:
        repairs = {}
    return {
        **result_document(result),
        **repairs,
        "verification": None if report is None else json.loads(format_json(report)),
    }


def result_document(result: "PrepareResult") -> dict[str, Any]:
    """Return the JSON document of a job's result, without repairs and findings."""
    parts = {name: getattr(result, name) for name in ("rewrite", "packing", "index", "copies")}
    return {
        "destination": result.destination,
        "seconds": result.seconds,
        "is_resumed": result.is_resumed,
        "is_current": result.is_current,
        "copied_files": result.copied_files,
        "source_version": result.source_version,
        "skipped_episodes": list(result.skipped_episodes),
        "strays": list(result.strays),
        **{name: asdict(part) for name, part in parts.items() if part is not None},
    }
