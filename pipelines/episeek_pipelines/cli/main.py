"""The command `episeek`: run one of its commands, print the outcome, and return the exit code.

Only this module prints results to standard output. All other messages go to standard error (`episeek_pipelines.cli.log`).

The exit codes are:

- 0: The command is done. `verify` found nothing that counts as a failure, `index --check` no stale rows, and `diff` no difference.
- 1: The verification found errors, sidecars are stale, datasets differ, `publish` refused a dataset with errors, the published
  files differ from the files that were sent, or a dataset of a batch is refused, failed, has errors or is not done.
- 2: The command could not be done.
- 130: The command was interrupted.
- 141: The reader of standard output stopped reading.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from episeek.errors import EpiseekError, first_line
from episeek_pipelines.cli.interrupts import end_by_interrupts, end_process, interrupts_between_imports
from episeek_pipelines.cli.log import Log, log_of
from episeek_pipelines.cli.parser import command_module, make_parser

if TYPE_CHECKING:
    from episeek_pipelines.cli.outcome import Outcome

OK, FINDINGS, FAILED, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 130, 141

RESUMABLE_COMMANDS = frozenset({"prepare", "repair", "upgrade", "rewrite", "index", "publish", "batch"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments give, and return its exit code.

    Without arguments, those of the process are used, and an interrupt ends the process at once.
    """
    if arguments is not None:
        return _main(arguments)
    try:
        exit_code = _main(None)
    except KeyboardInterrupt:
        # another interrupt while the first one was being reported
        exit_code = INTERRUPTED
    end_by_interrupts()
    if exit_code == INTERRUPTED:
        end_process(exit_code)
    return exit_code


def _main(arguments: Sequence[str] | None) -> int:
    _prepare_streams()
    options = make_parser().parse_args(arguments)
    log = log_of(is_json=getattr(options, "log_json", False))
    exit_code = _exit_code(options, log, is_program=arguments is None)
    if exit_code != PIPE_CLOSED:
        log.end(options.command, exit_code)
    return exit_code


def _exit_code(options: argparse.Namespace, log: Log, *, is_program: bool) -> int:
    def notice_interrupt() -> None:
        resume = "; run the same command again to resume" if options.command in RESUMABLE_COMMANDS else ""
        log.notice(f"interrupted{resume}")

    def give_up() -> NoReturn:
        notice_interrupt()
        log.end(options.command, INTERRUPTED)
        end_process(INTERRUPTED)

    try:
        with interrupts_between_imports(give_up if is_program else None):
            return _run(options, log)
    except EpiseekError as error:
        log.failure(error)
    except argparse.ArgumentTypeError as error:
        # The arguments cannot be combined.
        log.error(str(error), kind="usage")
    except ModuleNotFoundError as error:
        from episeek_pipelines.cli.extras import install_hint_for

        hint = install_hint_for(error.name or "")
        if hint is None:
            return _unexpected(error, log)
        log.error(
            f"{options.command}: found no package {error.name}; expected the package to be installed; hint: {hint}",
            kind="usage",
        )
    except KeyboardInterrupt:
        notice_interrupt()
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of standard output has stopped reading, as `head` does.
        sys.stderr.close()
        return PIPE_CLOSED
    except OSError as error:
        log.error(str(error), kind=type(error).__name__)
    except Exception as error:
        return _unexpected(error, log)
    return FAILED


def _run(options: argparse.Namespace, log: Log) -> int:
    from episeek_pipelines.cli.sources import require_sources, use_recorded_source

    require_sources(options)
    command = command_module(options.command)
    notices = command.notices(options) if hasattr(command, "notices") else ()
    for notice in (*use_recorded_source(options), *notices):
        log.notice(notice)
    outcome: Outcome = command.run(options)
    if outcome.data:
        sys.stdout.buffer.write(outcome.data)
    for line in outcome.lines:
        print(line)
    sys.stdout.flush()
    for note in outcome.notes:
        log.notice(note)
    if outcome.is_failure:
        return FINDINGS
    return FAILED if outcome.is_undecided else OK


def _prepare_streams() -> None:
    """Make sure that printing cannot fail because a stream is closed or a terminal cannot show a character of a path."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # The file stays open for as long as the process lives.
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _unexpected(error: Exception, log: Log) -> int:
    """Report a defect of episeek itself in one line, and return the exit code 2.

    If the environment variable EPISEEK_DEBUG is set, raise the error again instead.
    """
    if os.environ.get("EPISEEK_DEBUG"):
        raise error
    advice = "please report this defect, with the traceback that EPISEEK_DEBUG=1 shows"
    log.error(f"unexpected {type(error).__name__}: {first_line(error)[:300]} ({advice})", kind=type(error).__name__)
    return FAILED
