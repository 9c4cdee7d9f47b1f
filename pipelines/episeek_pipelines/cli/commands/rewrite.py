"""`episeek rewrite`: write data files with one row group per episode."""

import argparse

from episeek_pipelines.cli.arguments import add_execution, add_force, add_output, add_splitting, with_examples
from episeek_pipelines.cli.execution import execution_of
from episeek_pipelines.cli.lines.jobs import result_outcome
from episeek_pipelines.cli.outcome import Outcome

DESCRIPTION = (
    "Write the data files and meta/ of a dataset to DST, with one row group per episode, so that the rows of an episode are "
    "one range of bytes. No value changes. `episeek prepare` does the same, and also writes the index and verifies the result."
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `rewrite`."""
    add_output(command)
    add_execution(command)
    add_splitting(command)
    add_force(command)
    command.description = DESCRIPTION
    command.epilog = with_examples(
        (
            "rewrite a local dataset with two processes",
            "episeek rewrite data/pusht out/pusht --scheduler processes --workers 2",
        ),
    )
    command.add_argument("source", metavar="SRC", help="the dataset: a path or a URL")
    command.add_argument("destination", metavar="DST", help="a new or empty directory, or the result of an earlier run")


def run(options: argparse.Namespace) -> Outcome:
    """Run `episeek rewrite`, and return what to print."""
    from episeek_pipelines import api

    result = api.rewrite(
        options.source,
        options.destination,
        max_episodes_per_file=options.max_episodes_per_file,
        force=options.force,
        execution=execution_of(options),
    )
    return result_outcome(result, options)
