"""`episeek index`: write the sidecars of a dataset, or report which of their rows are stale."""

import argparse
import json
from dataclasses import asdict

from episeek_pipelines.cli.arguments import add_data_root, add_execution, add_keyframes, add_output, with_examples
from episeek_pipelines.cli.execution import execution_of, header_progress_of
from episeek_pipelines.cli.lines.jobs import result_outcome
from episeek_pipelines.cli.outcome import Outcome

DESCRIPTION = (
    "Read the header of every MP4 and write the sidecars (the index) below meta/byte_index/. If sidecars exist and the store gives "
    "files an identity (LFS or Xet hash, ETag), only files that have changed are read, with the same result."
)
NOTES = "Exit codes: 0 done (--check: the sidecars are current); 1 --check found stale sidecars; 2 the command could not be done."


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `index`."""
    add_output(command)
    add_execution(command)
    add_data_root(command)
    command.description = DESCRIPTION
    command.epilog = with_examples(
        ("index a local dataset in place", "episeek index data/pusht"),
        (
            "index a dataset of the Hub; its videos are not downloaded",
            "episeek index hf://datasets/lerobot/pusht --output out/pusht",
        ),
        ("report in CI whether the index is current", "episeek index data/pusht --check"),
        notes=NOTES,
    )
    command.add_argument(
        "source",
        metavar="SRC",
        help="the dataset: a path or a URL; an hf:// URL needs --output, because each file written to the Hub would be a commit",
    )
    command.add_argument("--output", metavar="DIR", help="write DIR/meta/byte_index/ instead of SRC/meta/byte_index/")
    add_keyframes(command)
    command.add_argument(
        "--check",
        action="store_true",
        help="write nothing; report the videos whose size, identity, header or episodes have changed since they were indexed",
    )


def run(options: argparse.Namespace) -> Outcome:
    """Run `episeek index`, and return what to print."""
    if options.check:
        return _check(options)
    from episeek_pipelines import api

    result = api.index(
        options.source,
        output=options.output,
        data_root=options.data_root,
        keyframes=options.keyframes,
        execution=execution_of(options),
    )
    return result_outcome(result, options)


def _check(options: argparse.Namespace) -> Outcome:
    from episeek_pipelines.api import check_index
    from episeek_pipelines.cli.lines import summary

    check = check_index(
        options.source, output=options.output, data_root=options.data_root, progress=header_progress_of(options)
    )
    if options.json:
        return Outcome((json.dumps(asdict(check), indent=2),), bool(check.stale))
    closing = () if options.quiet else (summary.check_line(check),)
    return Outcome((*summary.stale_lines(check), *closing), bool(check.stale))
