"""`episeek diff`: show the differences between two datasets.

The exit codes are the same as those of the program `diff`: 0 the datasets are equal, 1 they differ, 2 the comparison
could not be done or decided.
"""

import argparse
from typing import TYPE_CHECKING

from episeek_pipelines.cli.arguments import add_execution, add_output, positive, with_examples
from episeek_pipelines.cli.execution import execution_of
from episeek_pipelines.cli.outcome import Outcome

if TYPE_CHECKING:
    from episeek_pipelines.api import DiffFormat

DESCRIPTION = (
    "Compare two datasets: metadata, tasks, statistics, and the episodes that were added, removed, renumbered or changed. Rows are "
    "compared by column, and videos by coded samples. Nothing is decoded. Differences of the layout (row groups, packed files, "
    "sidecars and versions) do not count, so a dataset and the result of `episeek prepare` are equal."
)
NOTES = (
    "A and B are paths or URLs of datasets of v3.0 or v2.x; a revision on the Hub is hf://datasets/ORG/NAME@REVISION. Two files "
    "are not read if their stores report the same digest for both.\n\n"
    "Exit codes: 0 the datasets are equal; 1 they differ; 2 a dataset cannot be read, or a defect in it leaves the answer "
    "undecided."
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `diff`."""
    from episeek_pipelines.api import DIFF_FORMATS, DIFF_LEVELS

    add_output(command)
    add_execution(command)
    command.description = DESCRIPTION
    command.epilog = with_examples(
        ("show what an edit changed", "episeek diff data/pusht edited/pusht"),
        (
            "compare two revisions on the Hub",
            "episeek diff hf://datasets/lerobot/pusht@v2.1 hf://datasets/lerobot/pusht@main",
        ),
        ("write the differences as an HTML page", "episeek diff data/pusht edited/pusht --output changes.html"),
        notes=NOTES,
    )
    command.add_argument("first", metavar="A", help="the first dataset, or a prepared overlay of it")
    command.add_argument("second", metavar="B", help="the second dataset; differences are shown as changes from A to B")
    command.add_argument(
        "--level",
        choices=DIFF_LEVELS,
        default="videos",
        help="what is compared. meta: metadata and listings; layout: also Parquet footers and video headers, with the sizes of all "
        "samples; rows: also rows; videos (default): also the bytes of samples, unless digests prove that the samples are equal",
    )
    command.add_argument("--layout", action="store_true", help="also count differences of the layout")
    command.add_argument(
        "--data-root",
        metavar="DIR",
        help="the dataset that contains the videos, if A or B is an overlay (prepared without videos) that does not record "
        "its source",
    )
    command.add_argument("--format", choices=DIFF_FORMATS, help="format of standard output (default: text)")
    command.add_argument(
        "--output",
        action="append",
        default=[],
        metavar="[FORMAT:]FILE",
        help="also write the comparison to FILE, in FORMAT or in the format of FILE's suffix: .txt .json .html; may be repeated",
    )
    command.add_argument(
        "--max-lines",
        type=positive,
        metavar="N",
        default=20,
        help="number of lines of each section that the text format shows (default: 20)",
    )


def run(options: argparse.Namespace) -> Outcome:
    """Run `episeek diff`, and return what to print.

    Raises:
        argparse.ArgumentTypeError: The arguments cannot be combined.
    """
    from episeek_pipelines import api
    from episeek_pipelines.cli.report_files import report_target, write_report

    if options.json and options.format not in (None, "json"):
        raise argparse.ArgumentTypeError(f"--json: found with --format {options.format}; expected one of them")
    roots = (options.first, options.second, options.data_root)
    outputs = [(format, report_target(file, roots=roots)) for format, file in map(_output_of, options.output)]
    comparison = api.diff(
        options.first,
        options.second,
        level=options.level,
        data_root=options.data_root,
        execution=execution_of(options),
    )
    notes = []
    for format, target in outputs:
        write_report(target, api.render_diff(comparison, format, counts_layout=options.layout))
        notes += [] if options.quiet else [f"wrote {target}"]
    is_different = comparison.is_different or (options.layout and bool(comparison.layout))
    wanted: DiffFormat = "json" if options.json else options.format or "text"
    lines: tuple[str, ...] = ()
    if wanted != "text" or not options.quiet:
        text = api.render_diff(comparison, wanted, counts_layout=options.layout, max_lines=options.max_lines)
        lines = (text.removesuffix("\n"),)
    return Outcome(lines, is_different, tuple(notes), is_undecided=not is_different and not comparison.is_decided)


def _output_of(text: str) -> tuple["DiffFormat", str]:
    from episeek_pipelines.api import parse_diff_output

    try:
        return parse_diff_output(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"--{error}") from None
