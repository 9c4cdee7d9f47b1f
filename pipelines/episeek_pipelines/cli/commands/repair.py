"""`episeek repair`: write a new dataset with every value repaired that the evidence in the source proves to be wrong.

Exit codes: 0 done, and the result has no errors; 1 the result has errors, for which the evidence proves no repair; 2 the command
could not be done. With --dry-run: 0 nothing is refused; 1 a repair is refused; 2 the command could not be done.
"""

import argparse
import json
from typing import TYPE_CHECKING

from episeek_pipelines.cli.arguments import (
    add_execution,
    add_force,
    add_keyframes,
    add_output,
    add_splitting,
    add_videos,
    positive,
    repair_codes,
    require_packing,
    with_examples,
)
from episeek_pipelines.cli.execution import execution_of
from episeek_pipelines.cli.outcome import Outcome

if TYPE_CHECKING:
    from episeek_pipelines.api import RepairChoice

DESCRIPTION = (
    "Write a corrected dataset. A value is repaired if the evidence in SRC (the numbers of rows, the headers of the videos and the "
    "metadata together) proves that it is wrong, and what is right. Each repair is listed with its proof. If the evidence allows "
    "several readings, the value is kept, and a refusal lists all readings. DST is verified and has sidecars, like a result of "
    "`episeek prepare`. SRC is never changed, and neither are videos."
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `repair`."""
    add_output(command)
    add_execution(command)
    add_splitting(command)
    command.description = DESCRIPTION
    command.epilog = with_examples(
        (
            "show what would be repaired and what would be refused, and write nothing",
            "episeek repair data/pusht out/pusht --dry-run",
        ),
        ("repair a dataset, with its videos", "episeek repair data/pusht out/pusht --videos link"),
        (
            "leave out the episodes that a killed recording has lost",
            "episeek repair data/pusht out/pusht --skip-lost-episodes",
        ),
        ("repair the totals of meta/info.json and nothing else", "episeek repair data/pusht out/pusht --only REP015"),
        notes="docs/repair.md lists all repairs with their proofs.",
    )
    command.add_argument("source", metavar="SRC", help="root of a LeRobot v3.0 dataset: a path or a URL")
    command.add_argument("destination", metavar="DST", help="a new or empty directory, or the result of an earlier run")
    which = command.add_mutually_exclusive_group()
    which.add_argument(
        "--only",
        type=repair_codes,
        default=(),
        metavar="CODES",
        help="make only these repairs, for example REP007,REP018",
    )
    which.add_argument("--skip", type=repair_codes, default=(), metavar="CODES", help="make all repairs except these")
    command.add_argument(
        "--skip-lost-episodes",
        action="store_true",
        help="leave out episodes whose rows are lost, for example because the recording was killed, and renumber the others; "
        "without this option, such episodes are listed as refused",
    )
    command.add_argument(
        "--picture-statistics",
        action="store_true",
        help="recompute the statistics of pictures from decoded pictures: all pictures of an episode of up to 100 frames, and 100 "
        "to 10,000 sampled pictures of a longer episode; without this option, the recorded statistics are kept",
    )
    command.add_argument(
        "--dry-run",
        action="store_true",
        help="print what would be repaired or refused, and write nothing; the exit code is 1 if a repair is refused",
    )
    add_videos(command)
    add_keyframes(command)
    command.add_argument(
        "--max-findings", type=positive, default=20, metavar="N", help="number of findings that are shown (default: 20)"
    )
    add_force(command)


def notices(options: argparse.Namespace) -> tuple[str, ...]:
    """Check the arguments, and return an empty tuple, since `repair` prints no lines before it runs.

    Raises:
        argparse.ArgumentTypeError: The arguments cannot be combined.
    """
    require_packing(options)
    try:
        _choice(options)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"--only, --skip and --skip-lost-episodes: {error}") from None
    return ()


def run(options: argparse.Namespace) -> Outcome:
    """Run `episeek repair`, and return what to print."""
    from episeek_pipelines import api
    from episeek_pipelines.cli.lines import summary
    from episeek_pipelines.cli.lines.jobs import error_lines, findings_lines, verified_document
    from episeek_pipelines.cli.lines.repair import (
        findings_line,
        made_document,
        made_lines,
        overlay_lines,
        refusal_lines,
    )

    choice = _choice(options)
    if options.dry_run:
        made = api.plan_repair(options.source, choice=choice, execution=execution_of(options))
        if options.json:
            lines: tuple[str, ...] = (json.dumps(made_document(made), indent=2),)
        else:
            lines = tuple(refusal_lines(made) if options.quiet else made_lines(made, is_dry_run=True))
        return Outcome(lines, bool(made.refusals))
    result = api.repair(
        options.source,
        options.destination,
        choice=choice,
        max_episodes_per_file=options.max_episodes_per_file,
        videos=options.videos,
        video_file_size_mb=options.video_file_size,
        keyframes=options.keyframes,
        force=options.force,
        execution=execution_of(options),
    )
    is_failure = result.after is not None and result.after.error_count > 0
    if options.json:
        before = json.loads(api.format_json(result.before))
        document = {**verified_document(result.preparation), "repairs": made_document(result.made), "before": before}
        return Outcome((json.dumps(document, indent=2),), is_failure)
    if options.quiet:
        return Outcome((*refusal_lines(result.made), *error_lines(result.after, options)), is_failure)
    lines = (
        *made_lines(result.made, is_current=result.preparation.is_current),
        *summary.prepare_lines(result.preparation),
        *findings_line(result),
        summary.done_line(result.preparation),
        *overlay_lines(result),
        *findings_lines(result.after, options),
    )
    return Outcome(lines, is_failure)


def _choice(options: argparse.Namespace) -> "RepairChoice":
    from episeek_pipelines import api

    return api.RepairChoice(
        options.only,
        options.skip,
        skip_lost_episodes=options.skip_lost_episodes,
        picture_statistics=options.picture_statistics,
    )
