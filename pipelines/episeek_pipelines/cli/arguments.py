"""The parser of the command line, its argument types, and the arguments that several commands share."""

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from episeek_schemas.layout import DEFAULT_VIDEO_FILES_SIZE_IN_MB

USAGE_ERROR = 2


class HelpFormatter(argparse.HelpFormatter):
    """A formatter of help texts that wraps each paragraph separately and keeps indented lines as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        import textwrap

        paragraphs = [
            paragraph if "\n  " in paragraph else textwrap.fill(paragraph, width) for paragraph in text.split("\n\n")
        ]
        return textwrap.indent("\n\n".join(paragraphs), indent)


class Parser(argparse.ArgumentParser):
    """A parser that reports a usage error in one line, and whose arguments are added only when it is used.

    Args:
        add_arguments: The function that adds the arguments. It is called with the parser before the parser first parses or prints
            its help.
        settings: Keyword arguments of `argparse.ArgumentParser`.
    """

    def __init__(self, *, add_arguments: "Callable[[Parser], None] | None" = None, **settings: Any) -> None:
        super().__init__(formatter_class=HelpFormatter, **settings)
        self._add_arguments = add_arguments

    def complete(self) -> None:
        """Add the arguments unless they have been added already."""
        add_arguments, self._add_arguments = self._add_arguments, None
        if add_arguments is not None:
            add_arguments(self)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Add the arguments, and then parse in the same way as `argparse.ArgumentParser`."""
        self.complete()
        return super().parse_known_args(args, namespace)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse all arguments. An error about an unrecognized argument refers to the help of the command, not of `episeek`."""
        options, unrecognized = self.parse_known_args(args, namespace)
        if unrecognized:
            self.prog = f"{self.prog} {options.command}"
            self.error(f"unrecognized arguments: {' '.join(unrecognized)}")
        return options

    def error(self, message: str) -> NoReturn:
        """Print a usage error to standard error and exit with code 2."""
        self.exit(USAGE_ERROR, f"episeek: error: {message} (see `{self.prog} --help`)\n")


class Once(argparse.Action):
    """An action that stores the value of an option and refuses an option that is given twice."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Store the value; report a usage error if the same command line has given the option before."""
        given: set[str] = namespace.__dict__.setdefault("_given_once", set())
        if self.dest in given:
            parser.error(f"argument {option}: found twice; expected once")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


def with_examples(*examples: tuple[str, str], notes: str = "") -> str:
    """Return the text at the end of a command's help: examples, and paragraphs after them.

    Args:
        examples: Pairs of the purpose of a command line and the command line itself.
        notes: Further paragraphs, separated by empty lines.
    """
    lines = [line for purpose, command in examples for line in (f"  # {purpose}", f"  {command}")]
    return "\n\n".join(part for part in ("\n".join(["examples:", *lines]), notes) if part)


# --- shared arguments ------------------------------------------------------------------------------------------------------------


def add_keyframes(command: argparse.ArgumentParser) -> None:
    """Add the option `--keyframes` to a command."""
    from episeek_pipelines.api import KEYFRAME_CHOICES

    command.add_argument(
        "--keyframes",
        choices=KEYFRAME_CHOICES,
        default="auto",
        help="which coded samples are read to find out where decoding can start and which parameter sets apply. all: every sample. "
        "auto: every sample of a local video; a few keyframes of a video in a store, or every sample if these keyframes are not "
        "enough (default: %(default)s)",
    )


def add_output(command: argparse.ArgumentParser) -> None:
    """Add the options of every command that reports a result: `--json`, `--quiet` and `--log-json`."""
    command.add_argument("--json", action="store_true", help="print the result as JSON")
    command.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        help="print no progress and no summary, only errors and the findings that fail the command",
    )
    command.add_argument(
        "--log-json",
        action="store_true",
        help="write progress, notices and errors to standard error as JSON, one event per line",
    )


def add_execution(command: argparse.ArgumentParser) -> None:
    """Add the options of commands that run a graph of tasks: `--scheduler`, `--scheduler-file` and `--workers`."""
    where = command.add_mutually_exclusive_group()
    where.add_argument(
        "--scheduler",
        default="threads",
        type=scheduler,
        metavar="NAME",
        help="where the tasks run: threads (default), processes, sync (one after the other), or the address of a running Dask "
        "scheduler, tcp://HOST:PORT or tls://HOST:PORT (docs/clusters.md)",
    )
    where.add_argument(
        "--scheduler-file",
        metavar="FILE",
        help="run the tasks on the Dask scheduler that has written its address to FILE",
    )
    command.add_argument(
        "--workers", type=positive, metavar="N", help="number of threads or processes (default: one per core)"
    )


def add_data_root(command: argparse.ArgumentParser) -> None:
    """Add the option `--data-root` of the commands that read overlays (prepared datasets without their videos)."""
    command.add_argument(
        "--data-root",
        metavar="DIR",
        help="the dataset that contains the videos, if SRC is an overlay (a prepared dataset without its videos)",
    )


def add_splitting(command: argparse.ArgumentParser) -> None:
    """Add the option `--max-episodes-per-file` of the commands that write data files."""
    command.add_argument(
        "--max-episodes-per-file",
        type=positive,
        metavar="N",
        help="split data files that have more than N episodes (default: a number that keeps the Parquet footers small)",
    )


def add_videos(command: argparse.ArgumentParser) -> None:
    """Add the options `--videos` and `--video-file-size` to a command."""
    from episeek_pipelines.api import VIDEO_CHOICES

    command.add_argument(
        "--videos",
        choices=VIDEO_CHOICES,
        default="none",
        help="how to put the videos and other files of SRC into DST. none: not at all (default). copy: as copies. link: as clones, "
        "which share disk space but not later changes, or as copies if the file system cannot clone (ext4, for example). hardlink: "
        "as hard links; a tool that then writes into a file of DST changes SRC as well. pack: the videos merged into a few MP4 "
        "files per camera, without re-encoding, each with its header at the beginning",
    )
    command.add_argument(
        "--video-file-size",
        type=positive,
        metavar="MB",
        help="with --videos pack: the largest size of a merged file (default: video_files_size_in_mb of meta/info.json, or "
        f"{DEFAULT_VIDEO_FILES_SIZE_IN_MB})",
    )


def require_packing(options: argparse.Namespace) -> None:
    """Raise ArgumentTypeError if `--video-file-size` is given without `--videos pack`."""
    if options.video_file_size is not None and options.videos != "pack":
        raise argparse.ArgumentTypeError("--video-file-size: found without --videos pack; expected both")


def add_skipped_episodes(command: argparse.ArgumentParser) -> None:
    """Add the option `--skip-episodes`."""
    command.add_argument(
        "--skip-episodes",
        type=episode_list,
        default=(),
        metavar="LIST",
        help="leave out these episodes of a v2.x dataset, for example 3,17,20-24; the other episodes get new numbers",
    )


def add_force(command: argparse.ArgumentParser) -> None:
    """Add the option `--force` of the commands that write a new dataset."""
    command.add_argument(
        "--force",
        action="store_true",
        help="write everything again; a local DST that an earlier run has written is replaced when the new result is complete",
    )


# --- argument types --------------------------------------------------------------------------------------------------------------


def positive(text: str) -> int:
    """Return the whole number of 1 or more that a text contains.

    Raises:
        argparse.ArgumentTypeError: The text is not a whole number of 1 or more.
    """
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a whole number, 1 or more")
    return int(text)


def count(text: str) -> int:
    """Return the whole number of 0 or more that a text contains.

    Raises:
        argparse.ArgumentTypeError: The text is not a whole number of 0 or more.
    """
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a whole number, 0 or more")
    return int(text)


def episode_list(text: str) -> tuple[int, ...]:
    """Return the sorted episode numbers in a list such as `3,17,20-24`, without duplicates.

    Raises:
        argparse.ArgumentTypeError: The text is not a list of episode numbers and ranges.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        first, separator, last = part.strip().partition("-")
        bounds = (first, last if separator else first)
        is_numbers = all(bound.isascii() and bound.isdigit() and len(bound) < 8 for bound in bounds)
        if not is_numbers or int(bounds[0]) > int(bounds[1]):
            raise argparse.ArgumentTypeError(f"found {text!r}; expected numbers of episodes, for example 3,17,20-24")
        numbers.update(range(int(bounds[0]), int(bounds[1]) + 1))
    return tuple(sorted(numbers))


def repair_codes(text: str) -> tuple[str, ...]:
    """Return the codes of repairs in a list such as `REP007,REP018`, without duplicates.

    Raises:
        argparse.ArgumentTypeError: A code in the list is not the code of a repair.
    """
    from episeek_pipelines.api import REPAIRS

    codes = tuple(dict.fromkeys(part.strip().upper() for part in text.split(",")))
    unknown = [code for code in codes if code not in REPAIRS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"found the code {unknown[0]!r}; expected codes of repairs: {', '.join(REPAIRS)}"
        )
    return codes


def scheduler(text: str) -> str:
    """Return the name or the address of a scheduler, as it was given.

    Raises:
        argparse.ArgumentTypeError: The text is neither the name nor the address of a scheduler.
    """
    if text not in ("threads", "processes", "sync") and "://" not in text:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected threads, processes, sync or tcp://HOST:PORT")
    return text


def frame_range(text: str) -> tuple[int, int | None]:
    """Return the frames `[start, stop)` that `A:B`, `A:`, `:B` or `A` (one frame) selects. A stop of None is the episode's end.

    Raises:
        argparse.ArgumentTypeError: The text has none of these forms.
    """
    start, separator, stop = text.partition(":")
    try:
        return (int(start) if start else 0), (int(stop) if stop else None if separator else int(start) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected A:B, for example 10:20") from None
