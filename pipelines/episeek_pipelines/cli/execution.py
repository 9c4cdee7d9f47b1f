"""Turn the arguments of a command into an `Execution`: the scheduler, the workers and the progress of its graph of tasks."""

import argparse
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from episeek_pipelines.api import Execution, StartProgress


def execution_of(options: argparse.Namespace) -> "Execution":
    """Return the execution that `--scheduler`, `--scheduler-file`, `--workers`, `--quiet` and `--log-json` select.

    If the command does not have one of these options, the default of the option is used.

    Raises:
        ReadError: The scheduler file contains no address.
    """
    from episeek_pipelines.api import Execution

    scheduler, workers = getattr(options, "scheduler", "threads"), getattr(options, "workers", None)
    file = getattr(options, "scheduler_file", None)
    if file is not None:
        return Execution.by_file(file, progress=progress_of(options))
    return Execution(scheduler, workers, progress_of(options))


def progress_of(options: argparse.Namespace) -> "StartProgress | None":
    """Return the function that starts to show the progress of a job, or None for `--quiet` without `--log-json`."""
    from episeek_pipelines.cli.log import start_json_progress
    from episeek_pipelines.cli.progress import display_progress

    if getattr(options, "log_json", False):
        return start_json_progress
    return None if options.quiet else partial(display_progress, options.command)


def header_progress_of(options: argparse.Namespace) -> Callable[[int], Callable[[int], None]] | None:
    """Return a function that starts to show the progress of reading headers, or None if no progress is to be shown.

    The function takes the total number of headers, and returns a second function. The second function is called with the number
    of headers that were read since its last call.
    """
    start = progress_of(options)
    if start is None:
        return None
    from episeek_pipelines.api import READING_HEADERS, Phase

    def start_reading(file_count: int) -> Callable[[int], None]:
        report = start([Phase(READING_HEADERS, file_count)])
        return lambda finished_count: report(READING_HEADERS, finished_count, 0)

    return start_reading
