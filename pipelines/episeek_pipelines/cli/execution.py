"""Where and how the graph of a command runs, from its arguments."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from episeek_pipelines.api import Execution


def execution_of(options: argparse.Namespace) -> "Execution":
    """Return the execution that `--scheduler`, `--workers` and `--quiet` ask for; the defaults for commands without them."""
    from episeek_pipelines.api import Execution

    scheduler, workers = getattr(options, "scheduler", "threads"), getattr(options, "workers", None)
    return Execution(scheduler, workers, progress_of(options))


def progress_of(options: argparse.Namespace) -> Callable[[int], Callable[[int], None]] | None:
    """Return what starts a progress bar for a number of items; None with `--quiet`."""
    from episeek_pipelines.cli.progress import progress_bar

    return None if options.quiet else (lambda total: progress_bar(options.command, total))
