"""Argument types, the arguments that several commands share, and the layout of the help texts."""

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from episeek_schemas.layout import DEFAULT_VIDEO_FILES_SIZE_IN_MB

USAGE_ERROR = 2


class HelpFormatter(argparse.HelpFormatter):
    """Wraps each paragraph of a description or an epilog by itself, and keeps indented lines as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        import textwrap

        paragraphs = [
            paragraph if "\n  " in paragraph else textwrap.fill(paragraph, width) for paragraph in text.split("\n\n")
        ]
        return textwrap.indent("\n\n".join(paragraphs), indent)


class Parser(argparse.ArgumentParser):
    """A parser that reports a usage error in one line, and that adds its arguments when it is used.

    Args:
        add_arguments: Called with the parser before it parses or prints its help for the first time.
        settings: Arguments of `argparse.ArgumentParser`.
    """

    def __init__(self, *, add_arguments: "Callable[[Parser], None] | None" = None, **settings: Any) -> None:
        super().__init__(formatter_class=HelpFormatter, **settings)
        self._add_arguments = add_arguments

    def complete(self) -> None:
        """Add the arguments now, if they have not been added yet."""
        add_arguments, self._add_arguments = self._add_arguments, None
        if add_arguments is not None:
            add_arguments(self)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Add the arguments, and parse as `argparse.ArgumentParser` does."""
        self.complete()
        return super().parse_known_args(args, namespace)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse all arguments. The error about unrecognized ones refers to the help of the command."""
        options, unrecognized = self.parse_known_args(args, namespace)
        if unrecognized:
            self.prog = f"{self.prog} {options.command}"
            self.error(f"unrecognized arguments: {' '.join(unrecognized)}")
        return options

    def error(self, message: str) -> NoReturn:
        """Print the message to standard error and exit with code 2."""
        self.exit(USAGE_ERROR, f"episeek: error: {message} (see `{self.prog} --help`)\n")


class Once(argparse.Action):
    """Stores a value, and refuses an option that is given twice instead of using the last one."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Store `values`; a second call for one command line is a usage error."""
        given: set[str] = namespace.__dict__.setdefault("_given_once", set())
        if self.dest in given:
            parser.error(f"argument {option}: found twice; expected once")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


def with_examples(*examples: tuple[str, str], notes: str = "") -> str:
    """Return the epilog of a command: examples, and paragraphs after them.

    Args:
        examples: Pairs of what a command line does and the command line itself.
        notes: Further paragraphs, with an empty line between two of them.
    """
    lines = [line for purpose, command in examples for line in (f"  # {purpose}", f"  {command}")]
    return "\n\n".join(part for part in ("\n".join(["examples:", *lines]), notes) if part)


# --- shared arguments ------------------------------------------------------------------------------------------------------------


def add_keyframes(command: argparse.ArgumentParser) -> None:
    """Add `--keyframes`."""
    from episeek_pipelines.api import KEYFRAME_CHOICES

    command.add_argument(
        "--keyframes",
        choices=KEYFRAME_CHOICES,
        default="auto",
        help="samples to look at, for places where decoding can start and for parameter sets: auto (all of local videos, a few "
        "keyframes of each in a store, unless these leave it open) or all; default: %(default)s",
    )


def add_output(command: argparse.ArgumentParser) -> None:
    """Add the arguments of every command that reports a result."""
    command.add_argument("--json", action="store_true", help="print the result as JSON")
    command.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        help="print no progress and no summary; findings that fail the command are printed",
    )
    command.add_argument(
        "--log-json",
        action="store_true",
        help="write progress, notices and errors to standard error as JSON, one event a line",
    )


def add_execution(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the commands that run a graph."""
    where = command.add_mutually_exclusive_group()
    where.add_argument(
        "--scheduler",
        default="threads",
        type=scheduler,
        metavar="NAME",
        help="threads (default), processes, sync, or the address of a running Dask scheduler, tcp://HOST:PORT or tls://HOST:PORT "
        "(docs/clusters.md)",
    )
    where.add_argument(
        "--scheduler-file", metavar="FILE", help="the file that `dask scheduler --scheduler-file FILE` has written"
    )
    command.add_argument(
        "--workers", type=positive, metavar="N", help="number of threads or processes (default: one per core)"
    )


def add_data_root(command: argparse.ArgumentParser) -> None:
    """Add the argument of the commands that read overlays."""
    command.add_argument("--data-root", metavar="DIR", help="the dataset with the videos, when SRC is an overlay")


def add_splitting(command: argparse.ArgumentParser) -> None:
    """Add the argument of the commands that write data files."""
    command.add_argument(
        "--max-episodes-per-file",
        type=positive,
        metavar="N",
        help="split data files with more episodes (default: chosen by the size of the footers)",
    )


def add_videos(command: argparse.ArgumentParser) -> None:
    """Add `--videos`."""
    from episeek_pipelines.api import VIDEO_CHOICES

    command.add_argument(
        "--videos",
        choices=VIDEO_CHOICES,
        default="none",
        help="also put videos and other files of the dataset into DST. link: as clones, which share space and no writes, or copies "
        "where the file system cannot clone (ext4, for example). hardlink: the same files under another name; a tool that writes "
        "into them in DST changes SRC. pack: put together into a few MP4 files a camera, each with its header in front, without "
        "encoding anything",
    )
    command.add_argument(
        "--video-file-size",
        type=positive,
        metavar="MB",
        help="with --videos pack, the size below which files are filled (default: video_files_size_in_mb of meta/info.json, or "
        f"{DEFAULT_VIDEO_FILES_SIZE_IN_MB})",
    )


def require_packing(options: argparse.Namespace) -> None:
    """Raise ArgumentTypeError where a size is given for packed files, and no packing."""
    if options.video_file_size is not None and options.videos != "pack":
        raise argparse.ArgumentTypeError("--video-file-size: found without --videos pack; expected both")


def add_skipped_episodes(command: argparse.ArgumentParser) -> None:
    """Add `--skip-episodes`."""
    command.add_argument(
        "--skip-episodes",
        type=episode_list,
        default=(),
        metavar="LIST",
        help="episodes of a v2.x dataset to leave out, such as 3,17,20-24; the others are numbered anew",
    )


def add_force(command: argparse.ArgumentParser) -> None:
    """Add the argument of the commands that write a new dataset."""
    command.add_argument(
        "--force",
        action="store_true",
        help="write everything anew, and replace a local DST that a run has written before, once the new one is complete",
    )


# --- argument types --------------------------------------------------------------------------------------------------------------


def positive(text: str) -> int:
    """Return a whole number of 1 or more.

    Raises:
        argparse.ArgumentTypeError: The text is something else.
    """
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a whole number, 1 or more")
    return int(text)


def count(text: str) -> int:
    """Return a whole number of 0 or more.

    Raises:
        argparse.ArgumentTypeError: The text is something else.
    """
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a whole number, 0 or more")
    return int(text)


def episode_list(text: str) -> tuple[int, ...]:
    """Return the numbers in a list such as `3,17,20-24`, rising, each once.

    Raises:
        argparse.ArgumentTypeError: The text is something else.
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
    """Return the codes of repairs in a list such as `REP007,REP018`.

    Raises:
        argparse.ArgumentTypeError: There is no such repair.
    """
    from episeek_pipelines.api import REPAIRS

    codes = tuple(dict.fromkeys(part.strip().upper() for part in text.split(",")))
    unknown = [code for code in codes if code not in REPAIRS]
    if unknown:
        raise argparse.ArgumentTypeError(f"found {unknown[0]!r}; expected codes of repairs: {', '.join(REPAIRS)}")
    return codes


def scheduler(text: str) -> str:
    """Return the name or the address of a scheduler.

    Raises:
        argparse.ArgumentTypeError: The text is neither.
    """
    if text not in ("threads", "processes", "sync") and "://" not in text:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected threads, processes, sync or tcp://HOST:PORT")
    return text


def frame_range(text: str) -> tuple[int, int | None]:
    """Return `(start, stop)` of `A:B`, of `A:` or of one frame `A`; a stop of None is the end of the episode.

    Raises:
        argparse.ArgumentTypeError: The text is something else.
    """
    start, separator, stop = text.partition(":")
    try:
        return (int(start) if start else 0), (int(stop) if stop else None if separator else int(start) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected A:B, for example 10:20") from None
