"""`episeek verify`: check a dataset, write reports, accept findings into a baseline, fix what is safe to fix.

Exit codes: 0 nothing counts as a failure, 1 something does (errors, unless `--fail-on` says otherwise), 2 it could not be
done. They are a contract: scripts and CI rely on them.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from episeek_pipelines.cli.commands.verify_arguments import add_arguments
from episeek_pipelines.cli.execution import execution_of
from episeek_pipelines.cli.outcome import Outcome
from episeek_pipelines.words import counted

if TYPE_CHECKING:
    from episeek_pipelines.api import VerificationReport
    from episeek_pipelines.verify.formats.names import Format
    from episeek_pipelines.verify.settings.baseline import Baseline
    from episeek_pipelines.verify.settings.configuration import Configuration

__all__ = ["add_arguments", "run"]


def run(options: argparse.Namespace) -> Outcome:
    """Run `episeek verify`.

    Raises:
        argparse.ArgumentTypeError: The arguments cannot be combined.
    """
    from episeek_pipelines.cli.report_files import report_target
    from episeek_pipelines.verify.settings.policy import apply_policy

    _check_arguments(options)
    configuration = _configured(options)
    baseline = _read_baseline(configuration.baseline_path)
    roots = (options.source, options.data_root, options.against)
    baseline_target = None if options.write_baseline is None else report_target(options.write_baseline, roots=roots)
    outputs = [(format, report_target(file, roots=roots)) for format, file in map(_output, options.output)]
    if len({target for _, target in outputs}) != len(outputs):
        raise argparse.ArgumentTypeError("--output: found the same file twice; expected a file for each report")

    report = _verified(options, configuration)
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
        report, shrinking = _accepted(report, baseline, configuration)
        notes += shrinking
    report = apply_policy(report, configuration.policy)
    _write_reports(report, outputs, configuration)
    if not options.quiet:
        notes += [f"wrote {target}" for _, target in outputs]
    return _outcome(report, options, configuration, notes=notes, fixes=fixes)


def _check_arguments(options: argparse.Namespace) -> None:
    from episeek.errors import DestinationError, NotADatasetError
    from episeek.stores.kinds import is_local, local_path

    if options.dry_run and not options.fix:
        raise argparse.ArgumentTypeError("--dry-run: found without --fix; expected both")
    if options.json and options.format not in (None, "json"):
        raise argparse.ArgumentTypeError(f"--json: found with --format {options.format}; expected one of them")
    if not options.source:
        raise argparse.ArgumentTypeError("SRC: found nothing; expected a path or a URL")
    if options.against is not None and is_local(options.against):
        # findings show paths of its files, and reports are read in other directories
        options.against = os.path.abspath(local_path(options.against))
    if is_local(options.source):
        if Path(local_path(options.source)).is_file():
            raise NotADatasetError(options.source, "a file", "the directory of a dataset")
    elif options.fix:
        hint = "run `episeek prepare SRC DST`, which writes a fixed dataset to DST"
        raise DestinationError(options.source, "a dataset in a store", "a local dataset with --fix", hint)


def _verified(options: argparse.Namespace, configuration: "Configuration") -> "VerificationReport":
    from episeek_pipelines import api

    report = api.verify(
        options.source,
        data_root=options.data_root,
        against=options.against,
        prepared=options.prepared,
        options=configuration.options,
        execution=execution_of(options),
    )
    return replace(report, date=datetime.now(UTC))


def _fixed(
    report: "VerificationReport", options: argparse.Namespace, configuration: "Configuration"
) -> tuple["VerificationReport", list[str]]:
    """Return the report after fixing, and lines about each fix."""
    from episeek_pipelines import api
    from episeek_pipelines.cli.lines.fix import result_lines
    from episeek_pipelines.verify.settings.policy import apply_policy

    considered = apply_policy(report, configuration.policy)
    result = api.fix(options.source, considered, dry_run=options.dry_run, execution=execution_of(options))
    if not result.plan.actions:
        return report, ["--fix: no finding can be fixed here; see the remedies"]
    return _verified(options, configuration) if result.done else report, list(result_lines(result))


def _configured(options: argparse.Namespace) -> "Configuration":
    from episeek_pipelines.api import Root
    from episeek_pipelines.verify.settings.configuration import configure

    configuration = configure(
        Root(options.source),
        config_path=os.devnull if options.no_config else options.config,
        level=options.level,
        select=options.select,
        ignore=options.ignore,
        severity=options.severity,
        fail_on=options.fail_on,
        tolerance_seconds=options.tolerance_seconds,
        world_size=options.world_size,
        num_workers=options.num_workers,
        decoded_episodes=options.decode_episodes,
        decoded_windows=options.decode_windows,
        baseline=options.baseline,
        max_findings=options.max_findings,
        is_compared=options.against is not None,
    )
    settings = replace(configuration.options, seed=options.seed, burned_in_bits=options.burned_in_bits)
    return replace(configuration, options=settings)


def _read_baseline(path: str | None) -> "Baseline | None":
    if path is None:
        return None
    from episeek.errors import MissingFileError
    from episeek.stores.kinds import is_local, local_path
    from episeek_pipelines.api import Root
    from episeek_pipelines.verify.settings.baseline import parse_baseline

    folder, _, name = (local_path(path) if is_local(path) else path).rpartition("/")
    try:
        data = Root(folder or ("/" if path.startswith("/") else ".")).read_bytes(name)
    except MissingFileError:
        hint = "run `episeek verify --write-baseline FILE` to write one"
        raise MissingFileError(path, "no such file", "a baseline", hint) from None
    return parse_baseline(data.decode("utf-8", "replace"), path)


def _accepted(
    report: "VerificationReport", baseline: "Baseline", configuration: "Configuration"
) -> tuple["VerificationReport", list[str]]:
    """Return the report without accepted findings, and a note when the baseline lists findings that no longer occur."""
    from episeek_pipelines.verify.settings.baseline import apply_baseline

    report, unused = apply_baseline(report, baseline)
    if not unused:
        return report, []
    entries = "1 entry no longer occurs" if len(unused) == 1 else f"{len(unused)} entries no longer occur"
    return report, [f"{configuration.baseline_path}: {entries}; --write-baseline removes what is not needed"]


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
            f"not accepted, as a check that did not run proves nothing: {never[0].location}: {never[0].message}"
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
        # standard output is the report alone
        document = render(report, format, max_findings=configuration.max_findings).removesuffix("\n")
        return Outcome((document,), is_failure, (*fixes, *notes))
    lines = [*fixes, ""] if fixes else []
    lines += _text_lines(report, configuration, is_quiet=options.quiet, is_failure=is_failure)
    return Outcome(tuple(lines), is_failure, tuple(notes))


def _text_lines(
    report: "VerificationReport", configuration: "Configuration", *, is_quiet: bool, is_failure: bool
) -> Iterator[str]:
    from episeek_pipelines.api import format_findings, format_text
    from episeek_pipelines.cli.colour import paint_for

    paint = paint_for(sys.stdout)
    if not is_quiet:
        yield format_text(report, max_findings=configuration.max_findings, paint=paint)
    elif is_failure or report.error_count:
        yield format_findings(report, max_findings=configuration.max_findings, paint=paint)


def _output(text: str) -> tuple["Format", str]:
    from episeek_pipelines.verify.formats.names import parse_output

    try:
        return parse_output(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"--{error}") from None
