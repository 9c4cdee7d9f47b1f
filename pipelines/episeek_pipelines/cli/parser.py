"""The parser of the command line. Imports nothing that is slow to import: `episeek --help` is built from this alone."""

import argparse

from episeek.version import __version__
from episeek_pipelines.cli import arguments, extract, index, inspect, prepare, publish, rewrite, rules, verify
from episeek_pipelines.cli.arguments import Parser, with_examples
from episeek_pipelines.cli.outcome import Outcome

DESCRIPTION = (
    "Make LeRobot v3.0 datasets seekable: every frame, exact, in one range request, or an error that says why not."
)
NOTES = (
    "SRC and DST are local paths or URLs (hf://, s3://, and all others that fsspec knows).\n\n"
    "Exit codes: 0 done; 1 verification found errors, or sidecars are stale; 2 it could not be done; 130 interrupted."
)


def make_parser() -> Parser:
    """Return the parser of `episeek` with all commands.

    A parsed command has `run`, which returns an `Outcome`, and `notices`, which returns lines to print before it.
    """
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
    parser.set_defaults(notices=_no_notices)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    output = arguments.output_arguments()
    graph = arguments.execution_arguments()
    overlay = arguments.data_root_argument()
    splitting = arguments.splitting_argument()

    command = commands.add_parser(
        "prepare", parents=[output, graph, splitting], help="rewrite, index and verify a dataset: the main command"
    )
    prepare.add_prepare_arguments(command, arguments.positive)
    command.set_defaults(run=_prepare, notices=prepare.notes)

    command = commands.add_parser(
        "rewrite", parents=[output, graph, splitting], help="write data files with one row group per episode"
    )
    rewrite.add_arguments(command)
    command.set_defaults(run=rewrite.run)

    command = commands.add_parser(
        "index", parents=[output, graph, overlay], help="write the sidecars meta/byte_index/, or check them"
    )
    index.add_arguments(command)
    command.set_defaults(run=index.run)

    command = commands.add_parser(
        "verify",
        parents=[output, graph, overlay],
        help="check the metadata, data files, videos and sidecars of a dataset",
    )
    verify.add_arguments(command)
    command.set_defaults(run=verify.run)

    command = commands.add_parser("rules", parents=[output], help="list the rules of verify, or explain some of them")
    rules.add_arguments(command)
    command.set_defaults(run=rules.run)

    command = commands.add_parser(
        "publish", parents=[output, overlay], help="publish a prepared dataset on the Hub or in a store"
    )
    publish.add_publish_arguments(command)
    command.set_defaults(run=_publish, notices=_publish_warnings)

    command = commands.add_parser("inspect", parents=[output, overlay], help="show the contents of a dataset")
    inspect.add_arguments(command)
    command.set_defaults(run=inspect.run)

    command = commands.add_parser(
        "extract", parents=[output, overlay], help="write frames of one episode as an MP4, without re-encoding"
    )
    extract.add_arguments(command)
    command.set_defaults(run=extract.run)
    return parser


def _no_notices(options: argparse.Namespace) -> tuple[str, ...]:
    return ()


def _prepare(options: argparse.Namespace) -> Outcome:
    from episeek_pipelines.cli.execution import execution_of

    return prepare.prepare(options, execution_of(options))


def _publish(options: argparse.Namespace) -> Outcome:
    from episeek_pipelines.cli.execution import execution_of

    return publish.publish(options, execution_of(options))


def _publish_warnings(options: argparse.Namespace) -> tuple[str, ...]:
    return tuple(f"WARNING: {warning}" for warning in publish.warnings(options))
