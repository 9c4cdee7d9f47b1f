"""Make the report of one dataset for `episeek verify`: read its settings, verify it, and apply its baseline.

A baseline is a file that lists accepted findings, so that only other findings count.
"""

import argparse
import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from episeek_pipelines.cli.execution import execution_of

if TYPE_CHECKING:
    from episeek_pipelines.api import VerificationReport
    from episeek_pipelines.verify.formats.names import Format
    from episeek_pipelines.verify.settings.baseline import Baseline
    from episeek_pipelines.verify.settings.configuration import Configuration


def verified(options: argparse.Namespace, configuration: "Configuration") -> "VerificationReport":
    """Verify the dataset `options.source`, and return its report, which is dated with the current time."""
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


def configured(options: argparse.Namespace) -> "Configuration":
    """Return the settings for the dataset `options.source`, from the command line and from the dataset's settings file."""
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


def read_baseline(path: str | None) -> "Baseline | None":
    """Read a baseline from a file, and return it; return None if `path` is None.

    Raises:
        MissingFileError: The file does not exist.
    """
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
        hint = "run `episeek verify --write-baseline FILE` to write a baseline"
        raise MissingFileError(path, "no such file", "a baseline", hint) from None
    return parse_baseline(data.decode("utf-8", "replace"), path)


def accepted(
    report: "VerificationReport", baseline: "Baseline", configuration: "Configuration"
) -> tuple["VerificationReport", list[str]]:
    """Return the report without the findings that the baseline accepts, and a list of notes about the baseline.

    The list has one note if the baseline lists findings that no longer occur. Otherwise it is empty.
    """
    from episeek_pipelines.verify.settings.baseline import apply_baseline

    report, unused = apply_baseline(report, baseline)
    if not unused:
        return report, []
    entries = "1 entry no longer occurs" if len(unused) == 1 else f"{len(unused)} entries no longer occur"
    return report, [f"{configuration.baseline_path}: {entries}; --write-baseline writes a new file without them"]


def report_targets(options: argparse.Namespace, *, roots: Iterable[str | None]) -> "list[tuple[Format, str]]":
    """Return the format and the path or URL of each report that `--output` asks for.

    Raises:
        argparse.ArgumentTypeError: Two reports have the same path, or the format of a report is unknown.
        DestinationError: A report would replace a file that is no report, or would be among the files of a dataset.
    """
    from episeek_pipelines.cli.report_files import report_target

    places = list(roots)
    outputs = [(format, report_target(file, roots=places)) for format, file in map(_output_of, options.output)]
    if len({target for _, target in outputs}) != len(outputs):
        raise argparse.ArgumentTypeError(
            "--output: found the same file twice; expected a separate file for each report"
        )
    return outputs


def _output_of(text: str) -> tuple["Format", str]:
    from episeek_pipelines.verify.formats.names import parse_output

    try:
        return parse_output(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"--{error}") from None
