"""`episeek verify` of several datasets: verify each, and make one report in each format and one exit code for all of them."""

import argparse
import copy
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from episeek.errors import EpiseekError
from episeek_pipelines.cli.commands.verify_report import accepted, configured, read_baseline, report_targets, verified
from episeek_pipelines.cli.outcome import Outcome

if TYPE_CHECKING:
    from episeek_pipelines.api import VerificationReport
    from episeek_pipelines.verify.formats.names import Format

_FOR_ONE = {
    "--data-root": "data_root",
    "--against": "against",
    "--fix": "fix",
    "--baseline": "baseline",
    "--write-baseline": "write_baseline",
}
"""Options that apply to a single dataset and are refused for several."""


def prepare_several(options: argparse.Namespace, places: Sequence[str]) -> tuple[str, ...]:
    """Set `options.datasets` to the options of each dataset, and return the lines to print before the verification.

    Raises:
        argparse.ArgumentTypeError: An option is given that applies only to a single dataset.
        MissingFileError: The source that an overlay (a prepared dataset without its videos) records no longer exists.
    """
    from episeek_pipelines.cli.sources import use_recorded_source

    for flag, name in _FOR_ONE.items():
        if getattr(options, name):
            raise argparse.ArgumentTypeError(f"{flag}: found with {len(places)} datasets; expected one dataset")
    notices: list[str] = []
    options.datasets = []
    for place in places:
        each = copy.copy(options)
        each.source = place
        notices += use_recorded_source(each)
        options.datasets.append(each)
    return tuple(notices)


def run_several(options: argparse.Namespace) -> Outcome:
    """Verify each dataset, write the reports about all of them, and return what to print.

    A dataset that cannot be verified is reported as a finding (VER001).

    Raises:
        argparse.ArgumentTypeError: The arguments cannot be combined.
    """
    from episeek_pipelines.cli.report_files import write_report
    from episeek_pipelines.verify.formats import render_all

    if options.dry_run:
        raise argparse.ArgumentTypeError("--dry-run: found without --fix; expected both")
    if options.json and options.format not in (None, "json"):
        raise argparse.ArgumentTypeError(f"--json: found with --format {options.format}; expected one of them")
    outputs = report_targets(options, roots=[each.source for each in options.datasets])
    reports, notes, failures, shown = [], list[str](), 0, options.max_findings or 0
    for each in options.datasets:
        report, is_failure, its_notes, max_findings = _reported(each)
        shown = max(shown, max_findings)
        reports.append(report)
        notes += its_notes
        failures += is_failure
    for format, target in outputs:
        write_report(target, render_all(reports, format, max_findings=shown))
    if not options.quiet:
        notes += [f"wrote {target}" for _, target in outputs]
    chosen: Format = "json" if options.json else options.format or "text"
    if chosen != "text":
        document = render_all(reports, chosen, max_findings=shown).removesuffix("\n")
        return Outcome((document,), failures > 0, tuple(notes))
    lines = tuple(_text_lines(reports, shown, is_quiet=options.quiet))
    return Outcome(lines, failures > 0, tuple(notes))


def _reported(options: argparse.Namespace) -> "tuple[VerificationReport, bool, list[str], int]":
    """Verify one dataset, and return its report, whether the report fails the command, notes, and how many findings to show."""
    from episeek_pipelines.verify.settings.policy import apply_policy, fails

    notes = []
    try:
        configuration = configured(options)
        baseline = read_baseline(configuration.baseline_path)
        report = verified(options, configuration)
    except EpiseekError as error:
        return _unreadable(options.source, error), True, [], 0
    if configuration.path is not None and not options.no_config:
        notes.append(f"settings are read from {configuration.path} (--no-config ignores them)")
    if baseline is not None:
        report, shrinking = accepted(report, baseline, configuration)
        notes += shrinking
    report = apply_policy(report, configuration.policy)
    return report, fails(report, configuration.policy), notes, configuration.max_findings


def _unreadable(source: str, error: EpiseekError) -> "VerificationReport":
    """Return a report with one finding (VER001) for a dataset that could not be verified."""
    from episeek_pipelines.api import Finding, Location, VerificationReport

    where = "" if error.where == source else f"{error.where}: "
    found = Finding("VER001", "error", f"{where}{error.found}", error.expected, Location(), remedy=error.hint)
    report = VerificationReport(source, (found,), 0, 0, 0, 0, 0, 0.0)
    return replace(report, date=datetime.now(UTC))


def _text_lines(reports: "Sequence[VerificationReport]", max_findings: int, *, is_quiet: bool) -> Iterator[str]:
    from episeek_pipelines.cli.colour import paint_for
    from episeek_pipelines.verify.formats import format_findings, format_texts

    paint = paint_for(sys.stdout)
    if not is_quiet:
        yield format_texts(reports, max_findings=max_findings, paint=paint)
        return
    for report in reports:
        errors = tuple(found for found in report.findings if found.severity == "error")
        if errors:
            yield f"{report.root}:"
            yield format_findings(replace(report, findings=errors), max_findings=max_findings, paint=paint)
