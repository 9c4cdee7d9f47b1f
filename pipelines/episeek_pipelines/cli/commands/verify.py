"""`episeek verify`: check a dataset, write reports, accept findings into a baseline, and fix what is safe to fix.

Exit codes: 0 no finding counts as a failure; 1 at least one finding counts as a failure (an error, unless `--fail-on` sets another
severity); 2 the command could not be done. The codes must not change, because scripts and CI rely on them.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from episeek_pipelines.cli.commands.verify_arguments import add_arguments
from episeek_pipelines.cli.commands.verify_report import accepted, configured, read_baseline, report_targets, verified
from episeek_pipelines.cli.commands.verify_several import prepare_several, run_several
from episeek_pipelines.cli.execution import execution_of
from episeek_pipelines.cli.outcome import Outcome
from episeek_pipelines.words import counted

if TYPE_CHECKING:
    from episeek_pipelines.api import VerificationReport
    from episeek_pipelines.verify.formats.names import Format
    from episeek_pipelines.verify.settings.configuration import Configuration

__all__ = ["add_arguments", "notices", "run"]


def run(options: argparse.Namespace) -> Outcome:
    """Run `episeek verify` for one or several datasets, and return what to print.

    Raises:
        argparse.ArgumentTypeError: The arguments cannot be combined.
    """
    from episeek_pipelines.cli.report_files import report_target
    from episeek_pipelines.verify.settings.policy import apply_policy

    if not options.source:
        return run_several(options)
    check_arguments(options)
    configuration = configured(options)
    baseline = read_baseline(configuration.baseline_path)
    roots = (options.source, options.data_root, options.against)
    baseline_target = None if options.write_baseline is None else report_target(options.write_baseline, roots=roots)
    outputs = report_targets(options, roots=roots)
    report = verified(options, configuration)
    notes: list[str] = []
    fixes: list[str] = []
    if configuration.path is not None and not options.no_config:
        notes.append(f"settings are read from {configuration.path} (--no-config ignores them)")
    if options.fix:
        report, fixes = _fixed(report, options, configuration)
    if baseline_target is not None:
        unaccepted = apply_policy(report, configuration.policy)
        _write_reports(unaccepted, outputs, configuration)
        return _write_baseline(baseline_target, unaccepted, [*notes, *fixes])
    if baseline is not None:
        report, shrinking = accepted(report, baseline, configuration)
        notes += shrinking
    report = apply_policy(report, configuration.policy)
    _write_reports(report, outputs, configuration)
    if not options.quiet:
        notes += [f"wrote {target}" for _, target in outputs]
    return _outcome(report, options, configuration, notes=notes, fixes=fixes)


def notices(options: argparse.Namespace) -> tuple[str, ...]:
    """Find the datasets at the given paths and URLs, and return the lines to print before the verification.

    One dataset becomes `options.source`. Several datasets become `options.datasets`: one set of options for each.

    Raises:
        argparse.ArgumentTypeError: There are several datasets, and an option applies only to a single dataset.
        NotADatasetError: A given path does not exist.
    """
    if not all(options.sources):
        raise argparse.ArgumentTypeError("SRC: found nothing; expected a path or a URL")
    from episeek_pipelines.cli.sources import dataset_places

    places = dataset_places(options.sources)
    options.source = places[0] if len(places) == 1 else ""
    return () if options.source else prepare_several(options, places)


def check_arguments(options: argparse.Namespace) -> None:
    """Raise an error if options cannot be combined, if the source is a file, or if `--fix` is given for a dataset in a store."""
    from episeek.errors import DestinationError, NotADatasetError
    from episeek.stores.kinds import is_local, local_path

    if options.dry_run and not options.fix:
        raise argparse.ArgumentTypeError("--dry-run: found without --fix; expected both")
    if options.json and options.format not in (None, "json"):
        raise argparse.ArgumentTypeError(f"--json: found with --format {options.format}; expected one of them")
    if options.against is not None and is_local(options.against):
        # Findings contain paths of the files of this dataset, and a report may be read in another directory.
        options.against = os.path.abspath(local_path(options.against))
    if is_local(options.source):
        if Path(local_path(options.source)).is_file():
            raise NotADatasetError(options.source, "a file", "the directory of a dataset")
    elif options.fix:
        hint = "run `episeek prepare SRC DST`, which writes a fixed dataset to DST"
        raise DestinationError(options.source, "a dataset in a store", "a local dataset with --fix", hint)


def _fixed(
    report: "VerificationReport", options: argparse.Namespace, configuration: "Configuration"
) -> tuple["VerificationReport", list[str]]:
    """Fix the findings that are safe to fix, and return a report of the fixed dataset and the lines that show each fix."""
    from episeek_pipelines import api
    from episeek_pipelines.cli.lines.fix import result_lines
    from episeek_pipelines.verify.settings.policy import apply_policy

    considered = apply_policy(report, configuration.policy)
    result = api.fix(options.source, considered, dry_run=options.dry_run, execution=execution_of(options))
    if not result.plan.actions:
        return report, ["--fix: no finding can be fixed in place: read the remedies of the findings"]
    return verified(options, configuration) if result.done else report, list(result_lines(result))


def _write_baseline(target: str, report: "VerificationReport", notes: list[str]) -> Outcome:
    from episeek_pipelines.cli.report_files import write_report
    from episeek_pipelines.verify.settings.baseline import baseline_of, format_baseline
    from episeek_pipelines.verify.settings.rule_codes import ALWAYS_COUNTED

    baseline = baseline_of(report)
    write_report(target, format_baseline(baseline))
    accepted = sum(entry.count for entry in baseline.entries)
    never = [finding for finding in report.findings if finding.code in ALWAYS_COUNTED]
    if never:
        notes.append(
            f"{never[0].location}: {never[0].message}: not accepted, because a check that did not run proves nothing"
        )
    line = f"{target}: {counted(accepted, 'finding')} accepted"
    return Outcome((line,), bool(never), tuple(notes))


def _write_reports(
    report: "VerificationReport", outputs: "list[tuple[Format, str]]", configuration: "Configuration"
) -> None:
    from episeek_pipelines.api import render
    from episeek_pipelines.cli.report_files import write_report

    for format, target in outputs:
        write_report(target, render(report, format, max_findings=configuration.max_findings))


def _outcome(
    report: "VerificationReport",
    options: argparse.Namespace,
    configuration: "Configuration",
    *,
    notes: list[str],
    fixes: list[str],
) -> Outcome:
    from episeek_pipelines.api import render
    from episeek_pipelines.verify.settings.policy import fails

    is_failure = fails(report, configuration.policy)
    format: Format = "json" if options.json else options.format or "text"
    if format != "text":
        # Standard output contains only the report.
        document = render(report, format, max_findings=configuration.max_findings).removesuffix("\n")
        return Outcome((document,), is_failure, (*fixes, *notes))
    lines = [*fixes, ""] if fixes else []
    lines += _text_lines(report, configuration, is_quiet=options.quiet)
    return Outcome(tuple(lines), is_failure, tuple(notes))


def _text_lines(report: "VerificationReport", configuration: "Configuration", *, is_quiet: bool) -> Iterator[str]:
    from episeek_pipelines.api import format_findings, format_text
    from episeek_pipelines.cli.colour import paint_for
    from episeek_pipelines.verify.settings.policy import failing

    paint = paint_for(sys.stdout)
    if not is_quiet:
        yield format_text(report, max_findings=configuration.max_findings, paint=paint)
    elif shown := failing(report, configuration.policy):
        yield format_findings(replace(report, findings=shown), max_findings=configuration.max_findings, paint=paint)
