"""`episeek batch`: plan and run a batch of datasets, and show the state of each. Nothing here prints.

Exit codes: 0 every dataset is done without errors (`plan`: no dataset will be refused; `run`: other processes may still work at
some datasets); 1 a dataset was or will be refused, failed, has errors or is not done; 2 the batch could not be planned or run.
"""

import argparse
import json
import os
from typing import TYPE_CHECKING

from episeek.stores.kinds import is_local
from episeek_pipelines.cli.arguments import (
    Parser,
    add_execution,
    add_keyframes,
    add_output,
    add_splitting,
    add_videos,
    count,
    positive,
    require_packing,
    with_examples,
)
from episeek_pipelines.cli.commands.publish import silence_hub_progress
from episeek_pipelines.cli.execution import execution_of
from episeek_pipelines.cli.outcome import Outcome
from episeek_schemas.batch import PAGES_DIR, REPORT_PATH

if TYPE_CHECKING:
    from episeek_pipelines.api import BatchOptions, Rank

MANIFEST_HELP = (
    "the datasets: a text file of URLs or paths (one per line, # for comments), a CSV or Parquet file with the columns source, "
    "destination and options, a folder that contains datasets at any depth, or hf://datasets/ORG"
)
OUT_HELP = "the folder, or the prefix in a store, for the results, the plan and the ledger (the record of each dataset's state)"
NOTES = (
    "Paths in a manifest file are relative to the folder of that file. In a CSV or Parquet file, the column `options` contains the "
    "options of one dataset, such as videos=copy keyframes=all max_episodes_per_file=100.\n\n"
    "Exit codes: 0 every dataset is done without errors (plan: no dataset will be refused; run: other processes may still work "
    "at some datasets); 1 a dataset was or will be refused, "
    "failed, has errors or is not done; 2 the batch could not be planned or run."
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the actions of `batch` (plan, run, status and report), each with its arguments."""
    command.description = (
        "Prepare many datasets or, with --publish, prepare and publish them. Plan the batch first, run it on one or several "
        "machines, and list the state of each dataset at any time. A repeated run does only what is missing or has changed."
    )
    command.epilog = with_examples(
        ("show what a batch would do", "episeek batch plan data out"),
        ("run the batch; repeat this command after a stop or a change", "episeek batch run data out"),
        ("show the state of each dataset", "episeek batch status out"),
        notes=NOTES,
    )
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Parser)
    plan = actions.add_parser(
        "plan", help="list each dataset with its size and cost or the reason why it is refused, and write the plan"
    )
    _add_plan(plan)
    _add_run(actions.add_parser("run", help="prepare or publish every dataset whose result is missing or out of date"))
    _add_status(actions.add_parser("status", help="show the state of each dataset"))
    _add_report(
        actions.add_parser(
            "report", help="write an HTML page about all datasets, with a link to the page of each dataset"
        )
    )


def run(options: argparse.Namespace) -> Outcome:
    """Run the given action of `episeek batch`, and return what to print."""
    return {"plan": _plan, "run": _run, "status": _status, "report": _report}[options.action](options)


def _add_plan(command: argparse.ArgumentParser) -> None:
    add_output(command)
    add_execution(command)
    _add_what(command)
    command.add_argument("--dry-run", action="store_true", help="print the plan without writing it")
    command.add_argument(
        "--no-measure", action="store_true", help="estimate the time without preparing a small dataset first"
    )
    command.epilog = with_examples(
        ("plan all datasets below a folder", "episeek batch plan data out"),
        ("plan all datasets of an organisation", "episeek batch plan hf://datasets/ORG out"),
        notes=NOTES,
    )


def _add_run(command: argparse.ArgumentParser) -> None:
    add_output(command)
    add_execution(command)
    _add_what(command)
    command.add_argument("--dry-run", action="store_true", help="print the plan, and prepare and write nothing")
    stops = command.add_mutually_exclusive_group()
    stops.add_argument(
        "--max-failures",
        type=count,
        metavar="N",
        help="begin no further dataset when more than N datasets have failed (default: no limit)",
    )
    stops.add_argument(
        "--fail-fast",
        dest="max_failures",
        action="store_const",
        const=0,
        help="begin no further dataset after the first failure",
    )
    ranks = command.add_argument_group("without a scheduler, on several machines that share OUT")
    ranks.add_argument(
        "--rank",
        type=count,
        metavar="I",
        help="work at part I of the plan, counted from 0 (default: SLURM_ARRAY_TASK_ID, or RANK)",
    )
    ranks.add_argument(
        "--of", type=positive, metavar="N", help="number of parts (default: SLURM_ARRAY_TASK_COUNT, or WORLD_SIZE)"
    )
    command.epilog = with_examples(
        ("prepare all datasets below a folder", "episeek batch run data out"),
        (
            "publish all datasets of an organisation, as draft pull requests",
            "episeek batch run hf://datasets/ORG out --publish --create-pr",
        ),
        ("the first of four processes that share a folder", "episeek batch run data out --rank 0 --of 4"),
        notes=NOTES,
    )


def _add_status(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print the result as JSON")
    command.add_argument("out", metavar="OUT", help=OUT_HELP)
    command.epilog = with_examples(("show the state of each dataset", "episeek batch status out"), notes=NOTES)
    command.set_defaults(quiet=False)


def _add_report(command: argparse.ArgumentParser) -> None:
    command.add_argument("out", metavar="OUT", help=OUT_HELP)
    command.add_argument("--output", metavar="FILE", help="file of the page (default: OUT/report.html)")
    command.add_argument("--quiet", action="store_true", help="print nothing")
    command.epilog = with_examples(("write OUT/report.html", "episeek batch report out"), notes=NOTES)
    command.set_defaults(json=False)


def _add_what(command: argparse.ArgumentParser) -> None:
    """Add the arguments that the actions plan and run share."""
    command.add_argument("manifest", metavar="MANIFEST", help=MANIFEST_HELP)
    command.add_argument("out", metavar="OUT", help=OUT_HELP)
    add_videos(command)
    add_keyframes(command)
    add_splitting(command)
    command.add_argument(
        "--publish",
        action="store_true",
        help="publish each dataset onto the repository of the Hub that it comes from; OUT then contains only the ledger and the "
        "reports",
    )
    command.add_argument(
        "--create-pr", action="store_true", help="with --publish: open draft pull requests, which others can merge"
    )


def _batch_options(options: argparse.Namespace) -> "BatchOptions":
    from episeek_pipelines.api import BatchOptions

    if options.create_pr and not options.publish:
        raise argparse.ArgumentTypeError("--create-pr: found without --publish; expected both")
    if options.publish and options.videos != "none":
        raise argparse.ArgumentTypeError(
            "--videos: found with --publish, which leaves the videos in SRC; expected only one"
        )
    require_packing(options)
    return BatchOptions(
        videos=options.videos,
        video_file_size_mb=options.video_file_size,
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


def _run(options: argparse.Namespace) -> Outcome:
    if options.dry_run:
        options.no_measure = False
        return _plan(options)
    if options.publish:
        silence_hub_progress(options)
    from episeek_pipelines import api
    from episeek_pipelines.cli.lines.batch import run_document, run_lines

    result = api.batch_run(
        options.manifest,
        options.out,
        options=_batch_options(options),
        rank=_rank(options),
        max_failures=options.max_failures,
        execution=execution_of(options),
    )
    if options.json:
        return Outcome((json.dumps(run_document(result), indent=2),), result.is_failure)
    return Outcome(tuple(run_lines(result, is_quiet=options.quiet)), result.is_failure)


def _rank(options: argparse.Namespace) -> "Rank":
    from episeek_pipelines.api import Rank, rank_of

    if options.rank is None and options.of is None:
        return rank_of()
    if options.rank is None or options.of is None:
        found, other = ("--of", "--rank") if options.rank is None else ("--rank", "--of")
        raise argparse.ArgumentTypeError(f"{found}: found without {other}; expected both")
    return Rank(options.rank, options.of)


def _status(options: argparse.Namespace) -> Outcome:
    from episeek_pipelines import api
    from episeek_pipelines.cli.lines.batch import status_document, status_lines

    status = api.batch_status(options.out)
    if options.json:
        return Outcome((json.dumps(status_document(status), indent=2),), status.is_failure)
    return Outcome(tuple(status_lines(status)), status.is_failure)


def _report(options: argparse.Namespace) -> Outcome:
    from episeek_pipelines import api
    from episeek_pipelines.cli.report_files import report_target, write_report

    out = api.Root(options.out)
    target = report_target(options.output or out.join(REPORT_PATH), roots=())
    pages = out.join(PAGES_DIR)
    if is_local(target) and out.is_local:
        pages = os.path.relpath(pages, os.path.dirname(target))
    write_report(target, api.batch_report(options.out, pages=pages))
    return Outcome(() if options.quiet else (f"wrote {target}",))
