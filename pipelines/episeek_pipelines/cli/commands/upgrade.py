"""`episeek upgrade`: convert a dataset of version 2.0 or 2.1 to version 3.0."""

import argparse

from episeek_pipelines.cli.arguments import (
    add_execution,
    add_force,
    add_output,
    add_skipped_episodes,
    add_splitting,
    add_videos,
    positive,
    require_packing,
    with_examples,
)
from episeek_pipelines.cli.execution import execution_of
from episeek_pipelines.cli.lines.jobs import verified_outcome
from episeek_pipelines.cli.outcome import Outcome

DESCRIPTION = (
    "Convert a LeRobot dataset of v2.0 or v2.1 to v3.0: new metadata, data files with one row group per episode, and unchanged "
    "videos. Statistics that the old version does not contain are computed from the rows. Every video has to contain all frames of "
    "its episode, and the result is verified. `episeek prepare` does the same, and writes the sidecars as well."
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `upgrade`."""
    add_output(command)
    add_execution(command)
    add_splitting(command)
    command.description = DESCRIPTION
    command.epilog = with_examples(
        ("upgrade a local dataset; its videos stay in SRC", "episeek upgrade data/old out/new"),
        (
            "upgrade it with its videos, without two episodes that are broken",
            "episeek upgrade data/old out/new --videos copy --skip-episodes 3,17",
        ),
    )
    command.add_argument("source", metavar="SRC", help="root of a LeRobot v2.0 or v2.1 dataset: a path or a URL")
    command.add_argument("destination", metavar="DST", help="a new or empty directory, or the result of an earlier run")
    add_videos(command)
    add_skipped_episodes(command)
    command.add_argument(
        "--max-findings", type=positive, default=20, metavar="N", help="number of findings that are shown (default: 20)"
    )
    add_force(command)


def notices(options: argparse.Namespace) -> tuple[str, ...]:
    """Check the arguments, and return no lines.

    Raises:
        argparse.ArgumentTypeError: The arguments cannot be combined.
    """
    require_packing(options)
    return ()


def run(options: argparse.Namespace) -> Outcome:
    """Run `episeek upgrade`, and return what to print."""
    from episeek_pipelines import api

    result = api.upgrade(
        options.source,
        options.destination,
        max_episodes_per_file=options.max_episodes_per_file,
        videos=options.videos,
        video_file_size_mb=options.video_file_size,
        skip_episodes=options.skip_episodes,
        force=options.force,
        execution=execution_of(options),
    )
    return verified_outcome(result, options)
