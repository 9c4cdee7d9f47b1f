"""The arguments of `episeek verify` and `episeek rules`; their choices are those of the library."""

import argparse
from collections.abc import Callable

from episeek_pipelines.verify.formats.names import FORMATS
from episeek_pipelines.verify.rules import FAIL_ON, LEVELS

EPILOG = (
    "Exit codes: 0 nothing counts as a failure, 1 something does (errors; --fail-on says what), 2 it could not be done. "
    "Settings of a repository are in episeek.toml at the dataset root, or in [tool.episeek] of its pyproject.toml: the long "
    "options' names as keys, and per-path-ignores. `episeek rules` explains the codes."
)


def add_verify_arguments(command: argparse.ArgumentParser, positive: Callable[[str], int]) -> None:
    """The arguments of `verify` beside those that commands share."""
    command.description = (
        "Check a dataset: its metadata; the footers of its data files and the headers of its videos (level layout, the "
        "default: of a store, some kilobytes a file are read); its rows; its pictures."
    )
    command.epilog = EPILOG
    command.add_argument(
        "source", metavar="SRC", help="the dataset's folder, or its URL: hf://datasets/ORG/NAME, s3://..."
    )
    looked_at = command.add_argument_group("what is looked at")
    looked_at.add_argument(
        "--level",
        choices=LEVELS,
        help="meta: meta/ and a listing; layout: Parquet footers and video headers, too (default; rows with --against); "
        "rows: rows, too; decode: pictures, too",
    )
    looked_at.add_argument(
        "--against",
        metavar="DIR",
        help="also prove that SRC has the values of this dataset, which it was rewritten from",
    )
    looked_at.add_argument(
        "--prepared",
        action="store_true",
        default=None,
        help="one row group per episode is promised (so it is with --against)",
    )
    looked_at.add_argument(
        "--tolerance-seconds", type=float, metavar="S", help="by which times may be off (default: 1e-4, LeRobot's)"
    )
    looked_at.add_argument("--world-size", type=positive, metavar="N", help="ranks that training will run with")
    looked_at.add_argument("--num-workers", type=_count, metavar="M", help="data loading workers of each rank")
    looked_at.add_argument(
        "--decode-episodes",
        type=_episodes,
        default=...,
        metavar="N",
        help="of each camera, at level decode; or all (default: 8)",
    )
    looked_at.add_argument("--seed", type=_count, default=0, metavar="N", help="decides which these are (default: 0)")
    looked_at.add_argument(
        "--burned-in-bits",
        type=positive,
        metavar="N",
        help="frame numbers are burned into the pictures: N cells of 6x6 pixels from the top left, least significant first",
    )
    counted = command.add_argument_group("what counts")
    counted.add_argument(
        "--select", action="append", default=[], metavar="CODES", help="only these: VID024, or a family: VID"
    )
    counted.add_argument(
        "--ignore", action="append", default=[], metavar="CODES", help="nor these, beside those of the settings"
    )
    counted.add_argument("--severity", action="append", default=[], metavar="CODE=SEVERITY", help="error or warning")
    counted.add_argument("--fail-on", choices=FAIL_ON, help="what makes the exit code 1 (default: error)")
    settings = counted.add_mutually_exclusive_group()
    settings.add_argument("--config", metavar="FILE", help="settings, instead of those at the dataset root")
    settings.add_argument("--no-config", action="store_true", help="no settings but those given here")
    counted.add_argument("--baseline", metavar="FILE", help="findings that are accepted; new ones are not")
    counted.add_argument("--write-baseline", metavar="FILE", help="accept what is found now: write it, and exit with 0")
    told = command.add_argument_group("how it is told")
    told.add_argument("--format", choices=FORMATS, default="text", help="on standard output (default: text)")
    told.add_argument(
        "--output",
        action="append",
        default=[],
        metavar="[FORMAT:]FILE",
        help="also write a report; without FORMAT by its suffix: .txt .json .xml (JUnit) .sarif .md .html; may be repeated",
    )
    told.add_argument("--max-findings", type=positive, metavar="N", help="findings shown as text (default: 20)")
    mended = command.add_argument_group("mending (a local dataset, in place)")
    mended.add_argument(
        "--fix",
        action="store_true",
        help="mend what is safe: row groups, page index, stale sidecars; values stay as they are, nothing is deleted",
    )
    mended.add_argument(
        "--dry-run", action="store_true", help="with --fix: show what would be changed, and change nothing"
    )


def add_rules_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of `rules`."""
    command.description = "List the rules of `episeek verify`, or explain some of them."
    command.add_argument("codes", nargs="*", metavar="CODE", help="VID024, or a family: VID")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a whole number, 0 or more")
    return int(text)


def _episodes(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a whole number, 1 or more, or all")
    return int(text)
