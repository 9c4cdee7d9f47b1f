"""The arguments of `episeek verify`. The choices of an option come from the module that uses the option."""

import argparse

from episeek_pipelines.cli.arguments import add_data_root, add_execution, add_output, count, positive, with_examples
from episeek_pipelines.verify.formats.names import FORMATS
from episeek_pipelines.verify.rules import FAIL_ON, LEVELS

DESCRIPTION = (
    "Check a dataset. The default for a local dataset is --level rows, which reads metadata, rows and the headers of videos. The "
    "default for a dataset in a store is --level layout, which reads no rows, only some kilobytes of each file. --level meta reads "
    "less, and --level decode also decodes pictures."
)
NOTES = (
    "Settings are read from episeek.toml at the root of the dataset, or from the table [tool.episeek] of pyproject.toml there. The "
    "keys are the names of the long options, and per-path-ignores. `episeek rules` explains the codes of rules.\n\n"
    "Exit codes: 0 no finding counts as a failure; 1 at least one finding counts as a failure (an error, unless --fail-on sets "
    "another severity); 2 the command could not be done."
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `verify`."""
    add_output(command)
    add_execution(command)
    add_data_root(command)
    command.description = DESCRIPTION
    command.epilog = with_examples(
        ("check a dataset of the Hub without downloading it", "episeek verify hf://datasets/lerobot/pusht"),
        (
            "also check all pictures of a local dataset",
            "episeek verify data/pusht --level decode --decode-episodes all",
        ),
        ("check all datasets of a folder, and write one HTML report", "episeek verify data --output report.html"),
        ("check one dataset, and write an HTML report", "episeek verify data/pusht --output report.html"),
        (
            "prove that a prepared dataset has the values of its source",
            "episeek verify out/pusht --data-root data/pusht --against data/pusht",
        ),
        (
            "accept all present findings, and fail only on new findings later",
            "episeek verify data/pusht --write-baseline accepted.json",
        ),
        ("show what can be fixed in place, and change nothing", "episeek verify data/pusht --fix --dry-run"),
        notes=NOTES,
    )
    command.add_argument(
        "sources",
        nargs="+",
        metavar="SRC",
        help="the dataset: a path, or a URL such as hf://datasets/ORG/NAME or s3://...; several datasets, or folders that contain "
        "datasets, get one report and one exit code",
    )
    _add_checks(command.add_argument_group("what is checked"))
    _add_policy(command.add_argument_group("what counts as a failure"))
    _add_reports(command.add_argument_group("reports"))
    _add_fixes(command.add_argument_group("fixing a local dataset in place"))


def _add_checks(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--level",
        choices=LEVELS,
        help="meta: metadata and the list of files; layout: also Parquet footers and video headers (default for a dataset in a "
        "store); rows: also rows (default for a local dataset, and with --against); decode: also pictures",
    )
    group.add_argument(
        "--against",
        metavar="DIR",
        help="also check that SRC, which was rewritten from the dataset DIR, has the same values as DIR",
    )
    group.add_argument(
        "--prepared",
        action=argparse.BooleanOptionalAction,
        help="require (or do not require) one row group per episode and a page index (default: both are required with --against "
        "and for a dataset that episeek wrote; for any other dataset with sidecars, only the row groups)",
    )
    group.add_argument(
        "--tolerance-seconds",
        type=float,
        metavar="S",
        help="largest accepted difference between timestamps, in seconds (default: 1e-4, as in LeRobot)",
    )
    group.add_argument("--world-size", type=positive, metavar="N", help="number of ranks that training will use")
    group.add_argument("--num-workers", type=count, metavar="M", help="number of data loading workers of each rank")
    group.add_argument(
        "--decode-episodes",
        type=_episodes,
        default=...,
        metavar="N",
        help="with --level decode: number of episodes of each camera to decode, or all (default: 8)",
    )
    group.add_argument(
        "--decode-windows",
        type=count,
        metavar="N",
        help="number of windows (a few frames each) of each video that are decoded from a later keyframe and compared with the "
        "same frames decoded from the start of the file; videos in a store have windows only with --level decode (default: 4 with "
        "--level decode, 0 otherwise)",
    )
    group.add_argument(
        "--seed",
        type=count,
        default=0,
        metavar="N",
        help="seed for choosing the decoded episodes and windows (default: 0)",
    )
    group.add_argument(
        "--burned-in-bits",
        type=positive,
        metavar="N",
        help="check the frame number that each decoded picture shows as N black or white cells of 6x6 pixels, from the top left "
        "corner, with the least significant bit first",
    )


def _add_policy(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--select",
        action="append",
        default=[],
        metavar="CODES",
        help="apply only these rules, for example VID024, or the family VID; may be repeated",
    )
    group.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="CODES",
        help="do not apply these rules, in addition to those that the settings ignore; may be repeated",
    )
    group.add_argument(
        "--severity",
        action="append",
        default=[],
        metavar="CODE=SEVERITY",
        help="change the severity of a rule: error or warning; may be repeated",
    )
    group.add_argument(
        "--fail-on", choices=FAIL_ON, help="the lowest severity that makes the exit code 1 (default: error)"
    )
    settings = group.add_mutually_exclusive_group()
    settings.add_argument("--config", metavar="FILE", help="read settings from FILE instead of the dataset root")
    settings.add_argument("--no-config", action="store_true", help="read no settings")
    group.add_argument(
        "--baseline", metavar="FILE", help="accept the findings that FILE lists, so that only other findings count"
    )
    group.add_argument(
        "--write-baseline", metavar="FILE", help="accept all present findings: list them in FILE, and exit with code 0"
    )


def _add_reports(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--format", choices=FORMATS, help="format of standard output (default: text)")
    group.add_argument(
        "--output",
        action="append",
        default=[],
        metavar="[FORMAT:]FILE",
        help="also write a report to FILE, in FORMAT or in the format of FILE's suffix: .txt .json .xml (JUnit) .sarif .md .html; "
        "may be repeated",
    )
    group.add_argument(
        "--max-findings", type=positive, metavar="N", help="number of findings that a text report lists (default: 20)"
    )


def _add_fixes(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--fix",
        action="store_true",
        help="fix in SRC what is safe to fix: row groups, page indexes and stale sidecars; no value changes, and nothing "
        "is deleted",
    )
    group.add_argument("--dry-run", action="store_true", help="with --fix: show the changes without making them")


def _episodes(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a whole number, 1 or more, or all")
    return int(text)
