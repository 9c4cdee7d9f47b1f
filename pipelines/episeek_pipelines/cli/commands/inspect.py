"""`episeek inspect`: show the contents of a dataset in a few lines."""

import argparse
import json
from dataclasses import asdict

from episeek_pipelines.cli.arguments import add_data_root, add_output, with_examples
from episeek_pipelines.cli.outcome import Outcome

DESCRIPTION = (
    "Show the episodes, frames, data files, cameras and sidecars of a dataset. Only metadata and Parquet footers are read. For a "
    "dataset with sidecars, the codecs, the keyframe distances and the bytes that one random frame costs are shown as well."
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `inspect`."""
    add_output(command)
    add_data_root(command)
    command.description = DESCRIPTION
    command.epilog = with_examples(
        ("show a dataset of the Hub", "episeek inspect hf://datasets/lerobot/pusht"),
        ("show a prepared overlay", "episeek inspect out/pusht --data-root data/pusht"),
    )
    command.add_argument("source", metavar="SRC", help="the dataset: a path or a URL")


def run(options: argparse.Namespace) -> Outcome:
    """Run `episeek inspect`, and return what to print."""
    from episeek_pipelines import api
    from episeek_pipelines.cli.lines.summary import inspection_lines

    inspection = api.inspect(options.source, data_root=options.data_root)
    if options.json:
        return Outcome((json.dumps(asdict(inspection), indent=2),))
    return Outcome(() if options.quiet else tuple(inspection_lines(inspection)))
