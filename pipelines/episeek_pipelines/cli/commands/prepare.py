"""`episeek prepare`, with and without `--publish`: its arguments, the call of the API, and its output. Nothing here prints.

Exit codes: 0 done; 1 the verification found errors (with `--publish`, nothing was sent in this case), or the published files
differ from the files that were sent; 2 the command could not be done.
"""

import argparse
import json
from typing import TYPE_CHECKING, Any

from episeek_pipelines.cli.arguments import (
    add_execution,
    add_force,
    add_keyframes,
    add_output,
    add_skipped_episodes,
    add_splitting,
    add_videos,
    positive,
    require_packing,
    with_examples,
)
from episeek_pipelines.cli.commands import publish
from episeek_pipelines.cli.execution import execution_of
from episeek_pipelines.cli.lines.jobs import findings_lines, verified_document, verified_outcome
from episeek_pipelines.cli.lines.publication import refused_outcome, verify_line
from episeek_pipelines.cli.outcome import Outcome

if TYPE_CHECKING:
    from episeek_pipelines.api import Execution, PreparedPublication, PublishOptions


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `prepare`."""
    add_output(command)
    add_execution(command)
    add_splitting(command)
    command.description = (
        "Rewrite the data files to one row group per episode, index every MP4 from its header, and verify the result. DST "
        "appears only when it is complete. Without --videos, DST is an overlay: it contains data/ and meta/, and the videos stay "
        "in SRC. SRC is never changed. If DST already is the result for the same SRC and options, nothing is done."
    )
    command.epilog = with_examples(
        ("prepare a dataset of the Hub as an overlay", "episeek prepare hf://datasets/lerobot/pusht out/pusht"),
        ("show what preparing a dataset would read and write", "episeek prepare data/pusht out/pusht --dry-run"),
        (
            "prepare a local dataset with its videos, without using more space",
            "episeek prepare data/pusht out/pusht --videos link",
        ),
        (
            "merge its videos into files of the usual size, without re-encoding",
            "episeek prepare data/pusht out/pusht --videos pack",
        ),
        (
            "show what publishing onto a dataset of the Hub would change, and send nothing",
            "episeek prepare hf://datasets/ORG/NAME --publish --dry-run",
        ),
    )
    command.add_argument("source", metavar="SRC", help="root of a LeRobot dataset, v3.0, v2.1 or v2.0: a path or a URL")
    command.add_argument(
        "destination",
        metavar="DST",
        nargs="?",
        help="a new or empty directory, or the result of an earlier run; with --publish, DST may be omitted, and no result is kept",
    )
    add_videos(command)
    add_skipped_episodes(command)
    command.add_argument(
        "--max-findings", type=positive, default=20, metavar="N", help="number of findings that are shown (default: 20)"
    )
    add_keyframes(command)
    add_force(command)
    command.add_argument(
        "--repair",
        action="store_true",
        help="repair the values that the evidence in SRC proves to be wrong, as `episeek repair` does",
    )
    command.add_argument(
        "--dry-run",
        action="store_true",
        help="print what would be read, written or refused, and write nothing; with --publish: prepare the dataset, print what "
        "the publication would change, and send nothing",
    )
    publication = command.add_argument_group("with --publish")
    publication.add_argument(
        "--publish",
        action="store_true",
        help="if the result has no errors, publish it onto SRC, which has to be hf://datasets/ORG/NAME[@BRANCH]; videos are not "
        "downloaded",
    )
    publish.add_commit_arguments(publication)


def notices(options: argparse.Namespace) -> tuple[str, ...]:
    """Check the arguments, and return the lines to print before the command runs.

    Raises:
        argparse.ArgumentTypeError: The arguments cannot be combined.
    """
    require_packing(options)
    if options.repair:
        _require_repairable(options)
    if not options.publish:
        if options.destination is None:
            raise argparse.ArgumentTypeError("DST: found none; expected a folder for the result, or --publish")
        given = publish.given_commit_arguments(options)
        if given:
            raise argparse.ArgumentTypeError(f"{given[0]}: found without --publish; expected both")
        return ()
    if options.videos != "none":
        raise argparse.ArgumentTypeError(
            "--videos: found with --publish, which leaves the videos in SRC; expected only one"
        )
    if options.skip_episodes:
        raise argparse.ArgumentTypeError(
            "--skip-episodes: found with --publish, which keeps all episodes; expected only one"
        )
    if options.force:
        raise argparse.ArgumentTypeError(
            "--force: found with --publish, which always prepares a changed SRC again; expected only one"
        )
    if options.destination is not None or options.quiet:
        return ()
    from episeek_pipelines.api import working_directory

    return (f"working in {working_directory(options.source)}, which is removed after the publication",)


def _require_repairable(options: argparse.Namespace) -> None:
    """Raise ArgumentTypeError for options that cannot be combined with `--repair`."""
    for name, value, hint in (
        ("--publish", options.publish, "repair into a DST, and publish this DST"),
        (
            "--skip-episodes",
            options.skip_episodes,
            "it needs a v2.x dataset, and --repair a v3.0 dataset: run `episeek upgrade --videos link --skip-episodes` first",
        ),
        ("--dry-run", options.dry_run, "use `episeek repair SRC DST --dry-run`"),
    ):
        if value:
            raise argparse.ArgumentTypeError(f"{name}: found with --repair; expected only one ({hint})")


def run(options: argparse.Namespace) -> Outcome:
    """Run `episeek prepare`, and return what to print."""
    execution = execution_of(options)
    if options.publish:
        return _published(options, execution)
    from episeek_pipelines import api

    if options.dry_run:
        return _planned(options)
    result = api.prepare(
        options.source,
        options.destination,
        max_episodes_per_file=options.max_episodes_per_file,
        videos=options.videos,
        video_file_size_mb=options.video_file_size,
        keyframes=options.keyframes,
        skip_episodes=options.skip_episodes,
        repair=api.RepairChoice() if options.repair else None,
        force=options.force,
        execution=execution,
    )
    return verified_outcome(result, options)


def _planned(options: argparse.Namespace) -> Outcome:
    from dataclasses import asdict

    from episeek_pipelines import api
    from episeek_pipelines.cli.lines.preparation_plan import plan_lines

    plan = api.plan_preparation(
        options.source,
        options.destination,
        max_episodes_per_file=options.max_episodes_per_file,
        videos=options.videos,
        video_file_size_mb=options.video_file_size,
        keyframes=options.keyframes,
        skip_episodes=options.skip_episodes,
        force=options.force,
    )
    return Outcome((json.dumps(asdict(plan), indent=2),) if options.json else tuple(plan_lines(plan)))


def _published(options: argparse.Namespace, execution: "Execution") -> Outcome:
    publish.silence_hub_progress(options)
    from episeek_pipelines import api

    chosen = publish.commit_options(options)
    try:
        done = api.prepare_and_publish(
            options.source,
            options.destination,
            max_episodes_per_file=options.max_episodes_per_file,
            keyframes=options.keyframes,
            options=chosen,
            execution=execution,
        )
    except api.RefusedPublicationError as refusal:
        return refused_outcome(refusal, as_json=options.json)
    is_failure = done.publication is None
    refused = ("error: nothing was published: verification found errors",) if is_failure else ()
    if options.json:
        return Outcome((json.dumps(_published_document(done, chosen), indent=2),), is_failure, refused)
    return Outcome(() if options.quiet else _published_lines(done, options, chosen), is_failure, refused)


def _published_lines(
    done: "PreparedPublication", options: argparse.Namespace, chosen: "PublishOptions"
) -> tuple[str, ...]:
    from episeek_pipelines.cli.lines import summary

    lines: list[str] = []
    if done.preparation is not None:
        lines += summary.prepare_lines(done.preparation)
    if done.publication is None:
        assert done.preparation is not None
        return (*lines, *findings_lines(done.preparation.verification, options))
    if done.preparation is None:
        lines.append(verify_line(done.publication.verification, is_required=True, where="repository"))
    lines += publish.lines(done.publication, chosen)
    return (*lines, *findings_lines(done.publication.verification, options))


def _published_document(done: "PreparedPublication", chosen: "PublishOptions") -> dict[str, Any]:
    return {
        "preparation": None if done.preparation is None else verified_document(done.preparation),
        "publication": None if done.publication is None else publish.document(done.publication, chosen),
    }
