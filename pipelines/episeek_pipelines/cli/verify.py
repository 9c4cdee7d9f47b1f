"""`episeek verify` and `episeek rules`: what they do. Nothing here prints: `cli` does.

Exit codes of `verify`: 0 nothing counts as a failure, 1 something does (errors, unless `--fail-on` says otherwise), 2 it
could not be done. They are a contract: scripts and CI go by them.
"""

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from episeek.errors import DestinationError, EpiseekError, MissingFileError
from episeek.stores.kinds import is_local, local_path
from episeek_pipelines.cli.report_files import report_target, write_report
from episeek_pipelines.cli.verify_arguments import add_rules_arguments, add_verify_arguments
from episeek_pipelines.verify.formats.names import parse_output

if TYPE_CHECKING:
    from episeek_pipelines.api import (
        Execution,
        VerificationReport,
    )
    from episeek_pipelines.verify.formats.names import Format
    from episeek_pipelines.verify.settings.baseline import Baseline
    from episeek_pipelines.verify.settings.configuration import Configuration

__all__ = ["Outcome", "add_rules_arguments", "add_verify_arguments", "rules", "verify"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command has to say, and whether something counts as a failure."""

    lines: tuple[str, ...]
    is_failure: bool
    notes: tuple[str, ...] = ()
    """For stderr."""


def verify(options: argparse.Namespace, execution: "Execution") -> Outcome:
    """`episeek verify`."""
    from episeek_pipelines import api
    from episeek_pipelines.cli.lines.fix import result_lines
    from episeek_pipelines.verify.formats import render
    from episeek_pipelines.verify.settings.policy import fails

    if options.dry_run and not options.fix:
        raise argparse.ArgumentTypeError("--dry-run: found without --fix; expected both")
    if not options.source:
        raise argparse.ArgumentTypeError("SRC: found nothing; expected a path or a URL")
    if options.against is not None and is_local(options.against):
        # findings name its files, and are read from elsewhere
        options.against = os.path.abspath(local_path(options.against))
    _require_folder(options)
    configuration = _configured(options)
    baseline = _read_baseline(configuration.baseline_path)
    roots = (options.source, options.data_root, options.against)
    baseline_target = None if options.write_baseline is None else report_target(options.write_baseline, roots=roots)
    outputs = [(kind, report_target(file, roots=roots)) for kind, file in map(_output, options.output)]

    def verified() -> "VerificationReport":
        report = api.verify(
            options.source,
            data_root=options.data_root,
            against=options.against,
            prepared=options.prepared,
            options=configuration.options,
            execution=execution,
        )
        return replace(report, date=datetime.now(UTC), revision=_revision(report.root))

    if len({target for _, target in outputs}) != len(outputs):
        raise argparse.ArgumentTypeError("--output: found the same file twice; expected a file for each report")
    report = verified()
    lines: list[str] = []
    notes: list[str] = []
    if configuration.path is not None and not options.no_config:
        notes.append(f"settings of {configuration.path} decide what counts (--no-config leaves them aside)")
    if options.fix:
        result = api.fix(options.source, _policed(report, configuration), dry_run=options.dry_run, execution=execution)
        lines += (
            [*result_lines(result), ""]
            if result.plan.actions
            else ["nothing here that --fix mends: see the remedies", ""]
        )
        if result.done:
            report = verified()
    unaccepted = _policed(report, configuration)
    if baseline_target is not None:
        for kind, target in outputs:
            write_report(target, render(unaccepted, kind, max_findings=configuration.max_findings))
        return _write_baseline(baseline_target, unaccepted, [*notes, *(line for line in lines if line)])
    report, gone = _accepted(report, baseline)
    if gone:
        entries = f"{len(gone)} entr{'y' if len(gone) == 1 else 'ies'}"
        notes.append(f"the baseline can shrink: {entries} of {configuration.baseline_path} no longer occur")
    report = _policed(report, configuration)
    for kind, target in outputs:
        write_report(target, render(report, kind, max_findings=configuration.max_findings))
        if not options.quiet:
            notes.append(f"wrote {target}")
    told_as: Format = "json" if options.json else options.format
    if told_as != "text":
        notes = [*(line for line in lines if line), *notes]  # of --fix: standard output is the report alone
        lines = [render(report, told_as, max_findings=configuration.max_findings).removesuffix("\n")]
    else:
        lines += _text_lines(report, options, configuration.max_findings)
    return Outcome(tuple(lines), fails(report, configuration.policy), tuple(notes))


def rules(options: argparse.Namespace) -> Outcome:
    """`episeek rules`."""
    from episeek_pipelines.cli.lines.rules import family_lines, rule_lines, rule_page, rules_json

    if options.json:
        return Outcome((json.dumps(rules_json(options.codes), indent=2),), False)
    if not options.codes:
        return Outcome(tuple(rule_lines()), False)
    pages = ["\n".join(family_lines(code)) or rule_page(code) for code in options.codes]
    return Outcome(tuple("\n\n".join(pages).split("\n")), False)


def _require_folder(options: argparse.Namespace) -> None:
    """What is no place of a dataset, or of one that can be mended, before anything is asked of it."""
    from episeek.errors import NotADatasetError

    where = options.source
    if is_local(where):
        if Path(local_path(where)).is_file():
            raise NotADatasetError(where, "a file", "the folder of a dataset")
    elif options.fix:
        expected = "a dataset on this machine; `episeek prepare SRC DST` writes a mended one"
        raise DestinationError(where, "--fix of a dataset in a store", expected)


def _revision(url: str) -> str | None:
    """Return the commit of a dataset; None where it is not known."""
    from episeek_pipelines.dataset.provenance import source_commit
    from episeek_pipelines.dataset.root import Root

    # A damaged record of the source is no reason to report nothing.
    with suppress(EpiseekError):
        return source_commit(Root(url))
    return None


def _configured(options: argparse.Namespace) -> "Configuration":
    from episeek_pipelines.api import Root
    from episeek_pipelines.verify.rules import includes
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
        baseline=options.baseline,
        max_findings=options.max_findings,
    )
    level = configuration.options.level
    if options.against is not None and options.level is None and not includes(level, "rows"):
        level = "rows"  # a comparison without the values proves nothing
    settings = replace(configuration.options, level=level, seed=options.seed, burned_in_bits=options.burned_in_bits)
    return replace(configuration, options=settings)


def _policed(report: "VerificationReport", configuration: "Configuration") -> "VerificationReport":
    from episeek_pipelines.verify.settings.policy import apply_policy

    return apply_policy(report, configuration.policy)


def _read_baseline(path: str | None) -> "Baseline | None":
    from episeek_pipelines.api import Root
    from episeek_pipelines.verify.settings.baseline import parse_baseline

    if path is None:
        return None
    folder, _, name = (local_path(path) if is_local(path) else path).rpartition("/")
    try:
        data = Root(folder or ("/" if path.startswith("/") else ".")).read_bytes(name)
    except MissingFileError:
        expected = "a baseline: `episeek verify --write-baseline FILE` writes one"
        raise MissingFileError(path, "no such file", expected) from None
    return parse_baseline(data.decode("utf-8", "replace"), path)


def _accepted(
    report: "VerificationReport", baseline: "Baseline | None"
) -> tuple["VerificationReport", tuple[Any, ...]]:
    from episeek_pipelines.verify.settings.baseline import apply_baseline

    return (report, ()) if baseline is None else apply_baseline(report, baseline)


def _write_baseline(target: str, report: "VerificationReport", notes: list[str]) -> Outcome:
    from episeek_pipelines.verify.settings.baseline import baseline_of, format_baseline
    from episeek_pipelines.verify.settings.rule_codes import ALWAYS_COUNTED

    baseline = baseline_of(report)
    write_report(target, format_baseline(baseline))
    count = sum(entry.count for entry in baseline.entries)
    never = [finding for finding in report.findings if finding.code in ALWAYS_COUNTED]
    if never:
        notes.append(
            f"not accepted, since what was not looked at proves nothing: {never[0].location}: {never[0].message}"
        )
    line = f"{target}: {count:,} finding{'' if count == 1 else 's'} accepted"
    return Outcome((line,), bool(never), tuple(notes))


def _text_lines(report: "VerificationReport", options: argparse.Namespace, max_findings: int) -> Iterator[str]:
    from episeek_pipelines.api import format_findings, format_text

    if not options.quiet:
        yield format_text(report, max_findings=max_findings)
    elif report.error_count:
        yield format_findings(report, max_findings=max_findings)


def _output(text: str) -> tuple["Format", str]:
    try:
        return parse_output(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"--{error}") from None
