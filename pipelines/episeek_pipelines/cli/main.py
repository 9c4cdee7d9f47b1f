"""The command line. The only module that prints: results to stdout, diagnostics to stderr.

Exit codes: 0 done (for `verify`: no errors found; for `index --check`: nothing is stale), 1 verification found errors or
something is stale, or `publish` refused what it was given or what arrived, 2 it could not be done, 130 interrupted.
"""

import argparse
import io
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from episeek import __version__
from episeek.errors import DestinationError, EpiseekError, FrameRangeError, first_line
from episeek.stores.kinds import is_local, local_path
from episeek_pipelines.cli import prepare as cli_prepare
from episeek_pipelines.cli import publish, verify

if TYPE_CHECKING:
    from episeek_pipelines.api import (
        Execution,
    )

OK, FINDINGS, FAILED, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 130, 141

_OFFLINE_PACKAGES = frozenset({"av", "cloudpickle", "dask", "distributed", "narwhals", "pandera", "tqdm", "yaml"})
MAX_FAILURES_SHOWN = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this: what is said goes nowhere
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for as long as the process lives
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a path that the terminal cannot show is no reason to fail
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except EpiseekError as error:
        _complain(error)
        return FAILED
    except argparse.ArgumentTypeError as error:  # of arguments that do not go together
        _say(f"episeek: error: {error}")
        return FAILED
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in _OFFLINE_PACKAGES:
            return _unexpected(error)
        _say(f"episeek: error: `episeek {options.command}` needs the package {package}: pip install 'episeek[prepare]'")
        return FAILED
    except KeyboardInterrupt:
        goes_on = options.command in ("prepare", "rewrite", "index", "publish")
        _say(
            "episeek: interrupted" + ("; run the same command again to go on from the finished work" if goes_on else "")
        )
        return INTERRUPTED
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # the reader of stdout went away, as `head` does
            sys.stderr.close()
            return PIPE_CLOSED
        _say(f"episeek: error: {error}")
        return FAILED
    except Exception as error:  # a defect; a script has to be able to tell it from findings
        return _unexpected(error)


def _unexpected(error: Exception) -> int:
    if os.environ.get("EPISEEK_DEBUG"):
        raise error
    kind, remedy = type(error).__name__, "please report it, with what EPISEEK_DEBUG=1 shows"
    _say(f"episeek: error: unexpected {kind}: {first_line(error)[:300]} ({remedy})")
    return FAILED


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as every other error is said."""

    def error(self, message: str) -> NoReturn:
        self.exit(FAILED, f"episeek: error: {message} (`{self.prog} --help` says more)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="episeek",
        description="Make LeRobot v3.0 datasets seekable: every frame, exact, in one range request, or a named refusal.",
        epilog="SRC and DST are local paths or fsspec URLs. Exit codes: 0 done, 1 verification found errors or "
        "sidecars are stale, 2 could not be done.",
    )
    parser.add_argument("--version", action="version", version=f"episeek {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    common = _Parser(add_help=False)
    common.add_argument("--json", action="store_true", help="print the result as JSON")
    common.add_argument(
        "--quiet", action="store_true", help="no progress, no summary; where errors were found, what was found is shown"
    )
    graph = _Parser(add_help=False, parents=[common])
    graph.add_argument(
        "--scheduler",
        default="threads",
        type=_scheduler,
        help="threads (default), processes, sync, or tcp://HOST:PORT of a Dask scheduler",
    )
    graph.add_argument("--workers", type=_positive, help="threads or processes (default: one per core)")
    overlay = _Parser(add_help=False)
    overlay.add_argument("--data-root", metavar="DIR", help="where the videos are, when SRC is an overlay")
    splitting = _Parser(add_help=False)
    splitting.add_argument(
        "--max-episodes-per-file",
        type=_positive,
        metavar="N",
        help="split data files above this (default: from the footers' size)",
    )

    command = commands.add_parser("prepare", parents=[graph, splitting], help="rewrite, index and verify: the main job")
    cli_prepare.add_prepare_arguments(command, _positive)
    command.set_defaults(run=_prepare)

    command = commands.add_parser("rewrite", parents=[graph, splitting], help="data files to one row group per episode")
    command.add_argument("source", metavar="SRC")
    command.add_argument("destination", metavar="DST", help="not there yet, or an empty directory")
    command.set_defaults(run=_rewrite)

    command = commands.add_parser("index", parents=[graph], help="write the sidecars meta/byte_index/, or check them")
    command.description = (
        "Read the header of every MP4 and write the sidecars. Where there are sidecars already and the store gives files "
        "an identity (LFS or Xet hash, ETag), only files that have changed are read, and the result is the same."
    )
    command.add_argument(
        "source", metavar="SRC", help="with hf://, --output DIR is needed: each file would be a commit"
    )
    command.add_argument("--output", metavar="DIR", help="write DIR/meta/byte_index/ instead of SRC/meta/byte_index/")
    command.add_argument(
        "--check",
        action="store_true",
        help="write nothing: say which files' rows are stale, by size, identity, header or declared episodes; "
        "exit code 0: none, 1: some, 2: could not be done",
    )
    command.set_defaults(run=_index)

    command = commands.add_parser(
        "verify", parents=[graph, overlay], help="check a dataset: metadata, data files, videos, pictures and sidecars"
    )
    verify.add_verify_arguments(command, _positive)
    command.set_defaults(run=_verify)

    command = commands.add_parser("rules", parents=[common], help="the rules of verify, or what one of them means")
    verify.add_rules_arguments(command)
    command.set_defaults(run=_rules)

    command = commands.add_parser(
        "publish", parents=[common, overlay], help="onto a dataset repository of the Hub, or into a store"
    )
    publish.add_publish_arguments(command)
    command.set_defaults(run=_publish)

    command = commands.add_parser("inspect", parents=[common, overlay], help="what is in a dataset")
    command.add_argument("source", metavar="SRC")
    command.set_defaults(run=_inspect)

    command = commands.add_parser(
        "extract", parents=[common, overlay], help="one episode's frames as an MP4, without re-encoding"
    )
    command.add_argument("source", metavar="SRC", help="a prepared or indexed dataset")
    command.add_argument("--episode", type=int, required=True, metavar="N")
    command.add_argument("--camera", metavar="KEY", help="may be left out when there is only one")
    command.add_argument(
        "--frames",
        type=_frames,
        default=(0, None),
        metavar="A:B",
        help="frames A up to, not including, B (default: all)",
    )
    command.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="the MP4 to write, - for standard output"
    )
    command.set_defaults(run=_extract)
    return parser


# --- commands --------------------------------------------------------------------------------------------------------------------


def _prepare(options: argparse.Namespace) -> int:
    for note in cli_prepare.notes(options):
        _say(f"episeek: {note}")
    return _tell(cli_prepare.prepare(options, _execution(options)))


def _rewrite(options: argparse.Namespace) -> int:
    from episeek_pipelines import api

    result = api.rewrite(
        options.source,
        options.destination,
        max_episodes_per_file=options.max_episodes_per_file,
        execution=_execution(options),
    )
    return _print_result(result, options)


def _index(options: argparse.Namespace) -> int:
    if options.check:
        return _check_index(options)
    from episeek_pipelines import api

    return _print_result(api.index(options.source, output=options.output, execution=_execution(options)), options)


def _check_index(options: argparse.Namespace) -> int:
    from episeek_pipelines.api import check_index
    from episeek_pipelines.cli.lines import summary

    check = check_index(options.source, output=options.output, progress=_progress(options))
    if options.json:
        _print_json(asdict(check))
    else:
        _print(*summary.stale_lines(check))
        if not options.quiet:
            _print(summary.check_line(check))
    return FINDINGS if check.stale else OK


def _verify(options: argparse.Namespace) -> int:
    return _tell(verify.verify(options, _execution(options)))


def _rules(options: argparse.Namespace) -> int:
    return _tell(verify.rules(options))


def _publish(options: argparse.Namespace) -> int:
    from episeek_pipelines.api import (
        Execution,
    )

    for warning in publish.warnings(options):
        _say(f"episeek: WARNING: {warning}")
    return _tell(publish.publish(options, Execution(progress=_progress(options))))


def _tell(outcome: verify.Outcome) -> int:
    _print(*outcome.lines)
    for note in outcome.notes:
        _say(f"episeek: {note}")
    return FINDINGS if outcome.is_failure else OK


def _inspect(options: argparse.Namespace) -> int:
    from episeek_pipelines.api import inspect
    from episeek_pipelines.cli.lines.summary import inspection_lines

    inspection = inspect(options.source, data_root=options.data_root)
    if options.json:
        _print_json(asdict(inspection))
    elif not options.quiet:
        _print(*inspection_lines(inspection))
    return OK


def _extract(options: argparse.Namespace) -> int:
    import episeek

    started = time.perf_counter()
    index = episeek.open(options.source, options.data_root)
    camera = options.camera
    if camera is None:
        if len(index.cameras) != 1:
            raise FrameRangeError(
                "--camera", "nothing", f"one of {', '.join(index.cameras) or 'no cameras: there is no video'}"
            )
        camera = index.cameras[0]
    start, stop = options.frames
    clip = index.clip(options.episode, camera, start, stop)
    before = index.source.transfers()  # of the sidecars, where they are in the same place
    data = clip.read()
    after = index.source.transfers()
    request_count, byte_count = after.request_count - before.request_count, after.byte_count - before.byte_count
    target = options.output
    if target == "-":
        sys.stdout.buffer.write(data)
        return OK
    _write_clip(target, data, roots=[options.source, options.data_root])
    facts = {
        "output": target,
        "output_bytes": len(data),
        "episode_index": clip.episode_index,
        "camera": clip.camera_key,
        "frames": [clip.start, clip.stop],
        "file_path": clip.file_path,
        "byte_range": list(clip.byte_range),
        "requests": request_count,
        "bytes_fetched": byte_count,
        "seconds": time.perf_counter() - started,
    }
    if options.json:
        _print_json(facts)
    elif not options.quiet:
        first, last = clip.byte_range
        # a file without an identity is looked into first
        others = "; its header was compared with the index" if request_count > 1 else ""
        _print(
            f"{target}: frames {clip.start} to {clip.stop - 1} of episode {clip.episode_index}, {camera}: {len(data):,} bytes "
            f"from one request of {last - first:,} bytes at {first:,} of {clip.file_path}{others}"
        )
    return OK


def _write_clip(target: str, data: bytes, *, roots: list[str | None]) -> None:
    """Write the clip, unless that would replace a file of the dataset, or something that is no file."""
    from episeek_pipelines.api import Root

    if is_local(target):
        path = Path(local_path(target)).resolve()  # through links: they are not replaced
        target = str(path)
        inside = [root for root in roots if root is not None and is_local(root)]
        if any(path.is_relative_to(Path(local_path(root)).resolve()) for root in inside):
            raise DestinationError(target, "a place in the dataset itself", "an output apart from it")
        if path.exists() and not path.is_file():
            raise DestinationError(target, "something that is no regular file", "a file to write")
    folder, _, name = target.rpartition("/")
    Root(folder or "/").write_bytes(name, data)


# --- output ----------------------------------------------------------------------------------------------------------------------


def _print_result(result: Any, options: argparse.Namespace) -> int:
    from episeek_pipelines.cli.lines import summary

    if options.json:
        _print_json(cli_prepare.result_document(result))
    elif not options.quiet:
        _print(*summary.prepare_lines(result), summary.done_line(result))
    return OK


def _execution(options: argparse.Namespace) -> "Execution":
    from episeek_pipelines.api import (
        Execution,
    )

    return Execution(options.scheduler, options.workers, _progress(options))


def _progress(options: argparse.Namespace) -> Callable[[int], Callable[[int], None]] | None:
    from episeek_pipelines.cli.progress import progress_bar

    return None if options.quiet else (lambda total: progress_bar(options.command, total))


def _complain(error: EpiseekError) -> None:
    failures = getattr(error, "failures", ())
    if not failures:
        _say(f"episeek: error: {error}")
        return
    lines = [failure.message for failure in failures[:MAX_FAILURES_SHOWN]]
    if len(failures) > MAX_FAILURES_SHOWN:
        lines.append(f"and {len(failures) - MAX_FAILURES_SHOWN} more")
    lines[-1] += f" ({error.expected})"
    for line in lines:
        _say(f"episeek: error: {line}")


def _print(*lines: str) -> None:
    for line in lines:
        print(line)
    sys.stdout.flush()


def _print_json(document: Any) -> None:
    _print(json.dumps(document, indent=2))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# --- arguments -------------------------------------------------------------------------------------------------------------------


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a whole number, 1 or more")
    return int(text)


def _scheduler(text: str) -> str:
    if text not in ("threads", "processes", "sync") and "://" not in text:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected threads, processes, sync or tcp://HOST:PORT")
    return text


def _frames(text: str) -> tuple[int, int | None]:
    start, separator, stop = text.partition(":")
    try:
        return (int(start) if start else 0), (int(stop) if stop else None if separator else int(start) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected A:B, for example 10:20") from None
