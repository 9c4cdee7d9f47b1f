"""The parser of the command line. It imports the module of a command only when the command is used."""

from importlib import import_module
from typing import Any, Final

from episeek.version import __version__
from episeek_pipelines.cli.arguments import Parser, with_examples

DESCRIPTION = (
    "Make LeRobot v3.0 datasets seekable: one range request reads any frame exactly, or an error says why it cannot."
)
NOTES = (
    "SRC and DST are local paths or URLs (hf://, s3:// and all others that fsspec supports).\n\n"
    "Exit codes: 0 done; 1 the verification found errors, sidecars are stale, or datasets differ; 2 the command could not be "
    "done; 130 interrupted."
)

COMMANDS: Final = {
    "prepare": "rewrite, index and verify a dataset (the main command)",
    "repair": "write a corrected dataset, with every value repaired that the source itself proves to be wrong",
    "upgrade": "convert a v2.0 or v2.1 dataset to v3.0",
    "rewrite": "write data files with one row group per episode",
    "index": "write the sidecars (the index in meta/byte_index/), or check whether they are current",
    "verify": "check the metadata, data files, videos and sidecars of a dataset",
    "diff": "show what differs between two datasets",
    "rules": "list the rules of verify, or explain some of them",
    "publish": "publish a prepared dataset on the Hub or in a store",
    "batch": "prepare or publish many datasets: plan, run, status, report",
    "inspect": "show the contents of a dataset",
    "extract": "write frames of one episode as an MP4, without re-encoding",
    "bench": "measure how fast a training loop reads a prepared dataset",
    "completion": "print a script that completes commands and options in a shell",
}
"""The commands, each with its purpose.

The module of a command has the name of the command, and the functions `add_arguments` and `run`. `run` returns an `Outcome`. A
module may also have the function `notices`, which returns lines to print before the command runs.
"""


def make_parser() -> Parser:
    """Return the parser of `episeek` with all commands."""
    parser = Parser(
        prog="episeek",
        description=DESCRIPTION,
        epilog=with_examples(
            ("rewrite, index and verify a dataset of the Hub", "episeek prepare hf://datasets/lerobot/pusht out/pusht"),
            ("check a local dataset", "episeek verify data/pusht"),
            notes=NOTES,
        ),
    )
    parser.add_argument("--version", action="version", version=f"episeek {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, purpose in COMMANDS.items():
        commands.add_parser(name, help=purpose, add_arguments=_add_arguments)
    return parser


def command_module(name: str) -> Any:
    """Import and return the module of a command."""
    return import_module(f"episeek_pipelines.cli.commands.{name}")


def _add_arguments(command: Parser) -> None:
    command_module(command.prog.split()[-1]).add_arguments(command)
