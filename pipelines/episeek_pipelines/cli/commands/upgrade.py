"""`episeek upgrade`: a dataset of version 3.0 of one of version 2.0 or 2.1."""

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
    "Make a LeRobot v3.0 dataset of one of v2.0 or v2.1: new metadata, data files with one row group per episode, and the videos "
    "as they are. Statistics that the old version lacks are computed from the rows. Every video has to hold the frames of its "
    "episode, and the result is verified. `episeek prepare` does the same, and writes the sidecars, too."
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
            "upgrade it with its videos, without two episodes that cannot be repaired",
            "episeek upgrade data/old out/new --videos copy --skip-episodes 3,17",
        ),
    )
    command.add_argument("source", metavar="SRC", help="root of a LeRobot v2.0 or v2.1 dataset: a path or a URL")
    command.add_argument("destination", metavar="DST", help="a new or empty directory, or the result of a run before")
    add_videos(command)
    add_skipped_episodes(command)
    command.add_argument("--max-findings", type=positive, default=20, metavar="N", help="findings shown (default: 20)")
    add_force(command)


def notices(options: argparse.Namespace) -> tuple[str, ...]:
    """Return no lines.

    Raises:
        argparse.ArgumentTypeError: Arguments that do not go together.
    """
    require_packing(options)
    return ()


def run(options: argparse.Namespace) -> Outcome:
    """Run `episeek upgrade`."""
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
