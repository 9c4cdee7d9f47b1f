"""`episeek verify` and `episeek rules`: their arguments, and what they do. Nothing here prints: `cli` does.

Exit codes of `verify`: 0 nothing counts as a failure, 1 something does (errors, unless `--fail-on` says otherwise), 2 it
could not be done. They are a contract: scripts and CI go by them.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from episeek.byte_source import is_local, local_path
from episeek.errors import DestinationError, MissingFileError
from episeek_pipelines.verify.configuration_keys import CONFIGURATION_FILE, PROJECT_FILE
from episeek_pipelines.verify.output_formats import FORMATS, parse_output
from episeek_pipelines.verify.rules import FAIL_ON, LEVELS
from episeek_schemas import layout

if TYPE_CHECKING:
    from episeek_pipelines.prepare import Execution
    from episeek_pipelines.verify.baseline import Baseline
    from episeek_pipelines.verify.configuration import Configuration
    from episeek_pipelines.verify.output_formats import Format
    from episeek_pipelines.verify.tasks import VerificationReport

_NAMES_OF_OTHERS = (layout.CARD_PATH, CONFIGURATION_FILE, PROJECT_FILE, ".gitattributes", ".gitignore", "LICENSE")
_DATASET_FOLDERS = ("data", "meta", "videos")

EPILOG = (
    "Exit codes: 0 nothing counts as a failure, 1 something does (errors; --fail-on says what), 2 it could not be done. "
    "Settings of a repository are in episeek.toml at the dataset root, or in [tool.episeek] of its pyproject.toml: the long "
    "options' names as keys, and per-path-ignores. `episeek rules` explains the codes."
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command has to say, and whether something counts as a failure."""

    lines: tuple[str, ...]
    is_failure: bool
    notes: tuple[str, ...] = ()
    """For stderr."""


def add_verify_arguments(command: argparse.ArgumentParser, positive: Callable[[str], int]) -> None:
    """The arguments of `verify` beside those that commands share."""
    command.description = (
        "Check a dataset: its metadata; the footers of its data files and the headers of its videos (level layout, the "
        "default: of a store, some kilobytes a file are read); its rows; its pictures."
    )
    command.epilog = EPILOG
    command.add_argument(
        "source", metavar="SRC", help="the dataset's folder, or its URL: hf://datasets/ORG/NAME, s3://..."
    )
    looked_at = command.add_argument_group("what is looked at")
    looked_at.add_argument(
        "--level",
        choices=LEVELS,
        help="meta: meta/ and a listing; layout: Parquet footers and video headers, too (default; rows with --against); "
        "rows: rows, too; decode: pictures, too",
    )
    looked_at.add_argument(
        "--against",
        metavar="DIR",
        help="also prove that SRC has the values of this dataset, which it was rewritten from",
    )
    looked_at.add_argument(
        "--prepared",
        action="store_true",
        default=None,
        help="one row group per episode is promised (so it is with --against)",
    )
    looked_at.add_argument(
        "--tolerance-seconds", type=float, metavar="S", help="by which times may be off (default: 1e-4, LeRobot's)"
    )
    looked_at.add_argument("--world-size", type=positive, metavar="N", help="ranks that training will run with")
    looked_at.add_argument("--num-workers", type=_count, metavar="M", help="data loading workers of each rank")
    looked_at.add_argument(
        "--decode-episodes",
        type=_episodes,
        default=...,
        metavar="N",
        help="of each camera, at level decode; or all (default: 8)",
    )
    looked_at.add_argument("--seed", type=_count, default=0, metavar="N", help="decides which these are (default: 0)")
    looked_at.add_argument(
        "--burned-in-bits",
        type=positive,
        metavar="N",
        help="frame numbers are burned into the pictures: N cells of 6x6 pixels from the top left, least significant first",
    )
    counted = command.add_argument_group("what counts")
    counted.add_argument(
        "--select", action="append", default=[], metavar="CODES", help="only these: VID024, or a family: VID"
    )
    counted.add_argument(
        "--ignore", action="append", default=[], metavar="CODES", help="nor these, beside those of the settings"
    )
    counted.add_argument("--severity", action="append", default=[], metavar="CODE=SEVERITY", help="error or warning")
    counted.add_argument("--fail-on", choices=FAIL_ON, help="what makes the exit code 1 (default: error)")
    settings = counted.add_mutually_exclusive_group()
    settings.add_argument("--config", metavar="FILE", help="settings, instead of those at the dataset root")
    settings.add_argument("--no-config", action="store_true", help="no settings but those given here")
    counted.add_argument("--baseline", metavar="FILE", help="findings that are accepted; new ones are not")
    counted.add_argument("--write-baseline", metavar="FILE", help="accept what is found now: write it, and exit with 0")
    told = command.add_argument_group("how it is told")
    told.add_argument("--format", choices=FORMATS, default="text", help="on standard output (default: text)")
    told.add_argument(
        "--output",
        action="append",
        default=[],
        metavar="[FORMAT:]FILE",
        help="also write a report; without FORMAT by its suffix: .txt .json .xml (JUnit) .sarif .md .html; may be repeated",
    )
    told.add_argument("--max-findings", type=positive, metavar="N", help="findings shown as text (default: 20)")
    mended = command.add_argument_group("mending (a local dataset, in place)")
    mended.add_argument(
        "--fix",
        action="store_true",
        help="mend what is safe: row groups, page index, stale sidecars; values stay as they are, nothing is deleted",
    )
    mended.add_argument(
        "--dry-run", action="store_true", help="with --fix: show what would be changed, and change nothing"
    )


def add_rules_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of `rules`."""
    command.description = "List the rules of `episeek verify`, or explain some of them."
    command.add_argument("codes", nargs="*", metavar="CODE", help="VID024, or a family: VID")


def verify(options: argparse.Namespace, execution: "Execution") -> Outcome:
    """`episeek verify`."""
    from episeek_pipelines import fix, prepare
    from episeek_pipelines.verify.formats import render
    from episeek_pipelines.verify.policy import fails

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
    baseline_target = None if options.write_baseline is None else _target(options.write_baseline, options)
    outputs = [(kind, _target(file, options)) for kind, file in map(_output, options.output)]

    def verified() -> "VerificationReport":
        return prepare.verify(
            options.source,
            data_root=options.data_root,
            against=options.against,
            prepared=options.prepared,
            options=configuration.options,
            execution=execution,
        )

    if len({target for _, target in outputs}) != len(outputs):
        raise argparse.ArgumentTypeError("--output: found the same file twice; expected a file for each report")
    report = verified()
    lines: list[str] = []
    notes: list[str] = []
    if configuration.path is not None and not options.no_config:
        notes.append(f"settings of {configuration.path} decide what counts (--no-config leaves them aside)")
    if options.fix:
        result = fix.fix(options.source, _policed(report, configuration), dry_run=options.dry_run, execution=execution)
        lines += (
            [*fix.result_lines(result), ""]
            if result.plan.actions
            else ["nothing here that --fix mends: see the remedies", ""]
        )
        if result.done:
            report = verified()
    unaccepted = _policed(report, configuration)
    if baseline_target is not None:
        for kind, target in outputs:
            _write(target, render(unaccepted, kind, max_findings=configuration.max_findings))
        return _write_baseline(baseline_target, unaccepted, [*notes, *(line for line in lines if line)])
    report, gone = _accepted(report, baseline)
    if gone:
        entries = f"{len(gone)} entr{'y' if len(gone) == 1 else 'ies'}"
        notes.append(f"the baseline can shrink: {entries} of {configuration.baseline_path} no longer occur")
    report = _policed(report, configuration)
    for kind, target in outputs:
        _write(target, render(report, kind, max_findings=configuration.max_findings))
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
    from episeek_pipelines.verify.rule_pages import family_lines, rule_lines, rule_page, rules_json

    families = {code: family_lines(code) for code in options.codes}
    if options.json:
        chosen = {
            line.split()[0].rstrip(":") for code, lines in families.items() for line in lines or [rule_page(code)]
        }
        listed = [rule for rule in rules_json() if not options.codes or rule["code"] in chosen]
        return Outcome((json.dumps(listed, indent=2),), False)
    if not options.codes:
        return Outcome(tuple(rule_lines()), False)
    pages = ["\n".join(lines) or rule_page(code) for code, lines in families.items()]
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


def _configured(options: argparse.Namespace) -> "Configuration":
    from episeek_pipelines.storage import Root
    from episeek_pipelines.verify.configuration import configure
    from episeek_pipelines.verify.rules import includes

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
    from episeek_pipelines.verify.policy import apply_policy

    return apply_policy(report, configuration.policy)


def _read_baseline(path: str | None) -> "Baseline | None":
    from episeek_pipelines.storage import Root
    from episeek_pipelines.verify.baseline import parse_baseline

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
    from episeek_pipelines.verify.baseline import apply_baseline

    return (report, ()) if baseline is None else apply_baseline(report, baseline)


def _write_baseline(target: str, report: "VerificationReport", notes: list[str]) -> Outcome:
    from episeek_pipelines.verify.baseline import baseline_of, format_baseline
    from episeek_pipelines.verify.rule_codes import ALWAYS_COUNTED

    baseline = baseline_of(report)
    _write(target, format_baseline(baseline))
    count = sum(entry.count for entry in baseline.entries)
    never = [finding for finding in report.findings if finding.code in ALWAYS_COUNTED]
    if never:
        notes.append(
            f"not accepted, since what was not looked at proves nothing: {never[0].location}: {never[0].message}"
        )
    line = f"{target}: {count:,} finding{'' if count == 1 else 's'} accepted"
    return Outcome((line,), bool(never), tuple(notes))


def _text_lines(report: "VerificationReport", options: argparse.Namespace, max_findings: int) -> Iterator[str]:
    from episeek_pipelines.verify import format_findings, format_text

    if not options.quiet:
        yield format_text(report, max_findings=max_findings)
    elif report.error_count:
        yield format_findings(report, max_findings=max_findings)


def _target(file: str, options: argparse.Namespace) -> str:
    """Where a report goes: anywhere but among the files that are verified."""
    if not is_local(file):
        return file
    path = Path(local_path(file)).resolve()
    if path.name in _NAMES_OF_OTHERS and path.is_file():
        raise DestinationError(file, "a file that is no report", "an output of its own")
    for root in (options.source, options.data_root, options.against):
        if root is None or not is_local(root):
            continue
        base = Path(local_path(root)).resolve()
        if any(path.is_relative_to(base / folder) for folder in _DATASET_FOLDERS):
            raise DestinationError(
                file, "a place among the dataset's files", "an output apart from data/, meta/ and videos/"
            )
    if path.exists() and path.is_dir():
        raise DestinationError(file, "a directory", "a file to write")
    return str(path) if path.exists() and not path.is_file() else os.path.abspath(local_path(file))


def _write(target: str, text: str) -> None:
    from episeek_pipelines.storage import Root

    data = (text if text.endswith("\n") else f"{text}\n").encode("utf-8", "backslashreplace")
    if is_local(target) and Path(target).exists() and not Path(target).is_file():  # /dev/stdout, a pipe
        with open(target, "wb") as stream:
            stream.write(data)
        return
    folder, _, name = target.rpartition("/")
    Root(folder or "/").write_bytes(name, data)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a whole number, 0 or more")
    return int(text)


def _episodes(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a whole number, 1 or more, or all")
    return int(text)


def _output(text: str) -> tuple["Format", str]:
    try:
        return parse_output(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"--{error}") from None
