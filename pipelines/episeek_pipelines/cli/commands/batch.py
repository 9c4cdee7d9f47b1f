"""`episeek batch`: plan and run many datasets, and show what became of each. Nothing here prints.

Exit codes: 0 done (`plan`: nothing will be refused; `status`: every dataset is done); 1 a dataset was or will be refused, failed,
or has errors, or is not done; 2 the batch could not be planned or run.
"""

import argparse
import json
from typing import TYPE_CHECKING

from episeek_pipelines.cli.arguments import (
    Parser,
    add_execution,
    add_keyframes,
    add_output,
    add_splitting,
    with_examples,
)
from episeek_pipelines.cli.execution import execution_of
from episeek_pipelines.cli.outcome import Outcome

if TYPE_CHECKING:
    from episeek_pipelines.api import BatchOptions

MANIFEST_HELP = (
    "a text file of URLs or paths (one a line, # for comments), a CSV or Parquet file with the columns source, destination and "
    "options, a folder that holds datasets at any depth, or hf://datasets/ORG"
)
OUT_HELP = "the folder, or the prefix of a store, for the results, the plan and the ledger"
NOTES = (
    "A file of the manifest gives paths relative to its own folder. Options of one dataset are words such as videos=copy "
    "keyframes=all max_episodes_per_file=100.\n\n"
    "Exit codes: 0 done (plan: nothing will be refused; status: every dataset is done); 1 a dataset was or will be refused, "
    "failed, has errors, or is not done; 2 the batch could not be planned or run."
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the actions of `batch`, each with its arguments."""
    command.description = (
        "Prepare, and with --publish publish, many datasets: plan first, run anywhere and as often as needed, and see what became "
        "of each. Running again does what is missing or has changed, and nothing else."
    )
    command.epilog = with_examples(
        ("show what a batch would do", "episeek batch plan data out"),
        notes=NOTES,
    )
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Parser)
    plan = actions.add_parser("plan", help="list every dataset with its size, cost and refusal, and write the plan")
    _add_plan(plan)


def run(options: argparse.Namespace) -> Outcome:
    """Run an action of `episeek batch`."""
    return {"plan": _plan}[options.action](options)


def _add_plan(command: argparse.ArgumentParser) -> None:
    add_output(command)
    add_execution(command)
    _add_what(command)
    command.add_argument("--dry-run", action="store_true", help="write no plan")
    command.add_argument(
        "--no-measure", action="store_true", help="prepare no small dataset for the estimate of the time"
    )
    command.epilog = with_examples(
        ("plan all datasets below a folder", "episeek batch plan data out"),
        ("plan all datasets of an organisation", "episeek batch plan hf://datasets/ORG out"),
        notes=NOTES,
    )


def _add_what(command: argparse.ArgumentParser) -> None:
    """Add the arguments that a plan and its runs share."""
    from episeek_pipelines.api import VIDEO_CHOICES

    command.add_argument("manifest", metavar="MANIFEST", help=MANIFEST_HELP)
    command.add_argument("out", metavar="OUT", help=OUT_HELP)
    command.add_argument(
        "--videos", choices=VIDEO_CHOICES, default="none", help="as for `episeek prepare` (default: none)"
    )
    add_keyframes(command)
    add_splitting(command)
    command.add_argument(
        "--publish",
        action="store_true",
        help="publish each dataset onto the repository of the Hub that it comes from; OUT holds the ledger and the reports",
    )
    command.add_argument("--create-pr", action="store_true", help="with --publish: leave draft pull requests to merge")


def _batch_options(options: argparse.Namespace) -> "BatchOptions":
    from episeek_pipelines.api import BatchOptions

    if options.create_pr and not options.publish:
        raise argparse.ArgumentTypeError("--create-pr: found without --publish; expected both")
    if options.publish and options.videos != "none":
        raise argparse.ArgumentTypeError("--videos: found with --publish, which leaves the videos in SRC; expected one")
    return BatchOptions(
        videos=options.videos,
        max_episodes_per_file=options.max_episodes_per_file,
        keyframes=options.keyframes,
        publish=options.publish,
        create_pr=options.create_pr,
    )


def _plan(options: argparse.Namespace) -> Outcome:
    from episeek_pipelines import api
    from episeek_pipelines.cli.lines.batch import plan_document, plan_lines

    planned = api.batch_plan(
        options.manifest,
        options.out,
        options=_batch_options(options),
        is_measured=not options.no_measure,
        dry_run=options.dry_run,
        execution=execution_of(options),
    )
    is_failure = bool(planned.plan.refused)
    if options.json:
        return Outcome((json.dumps(plan_document(planned), indent=2),), is_failure)
    return Outcome(() if options.quiet else tuple(plan_lines(planned)), is_failure)
