"""`python -m tests.oracle FOLDER`: one line for each video file; exit 1 on a mismatch, 2 without anything to compare."""

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

from tests.oracle.file_check import Options, check_file
from tests.oracle.verdict import STATUSES, Verdict

SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".m4s", ".cmfv", ".mkv", ".webm", ".3gp", ".avi", ".ts"})

Files = list[tuple[Path, str]]
Check = Callable[[Path, str, Options], Verdict]


def video_files(roots: Sequence[Path]) -> Files:
    """Each file with its name in the report, sorted; a root that is a file is taken whatever its suffix."""
    found: Files = []
    for root in roots:
        if root.is_file():
            found.append((root, root.name))
            continue
        paths = (path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        found += [(path, path.relative_to(root).as_posix()) for path in sorted(paths)]
    return found


def check_all(files: Files, options: Options, *, jobs: int, check: Check = check_file) -> Iterator[Verdict]:
    """In order. With one job in this process; else in others, so that a decoder that crashes costs one verdict."""
    if jobs == 1:
        for path, name in files:
            yield check(path, name, options)
        return
    done = 0
    while done < len(files):
        with _pool(jobs) as pool:
            results = [pool.submit(check, path, name, options) for path, name in files[done:]]
            for result in results:
                try:
                    verdict = result.result()
                except BrokenProcessPool:  # this file or one beside it
                    break
                done += 1
                yield verdict
        if done < len(files):
            yield _check_alone(check, *files[done], options)
            done += 1


def _check_alone(check: Check, path: Path, name: str, options: Options) -> Verdict:
    with _pool(1) as pool:
        try:
            return pool.submit(check, path, name, options).result()
        except BrokenProcessPool:
            return Verdict("MISMATCH", name, "the process died")


def _pool(jobs: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))  # decoders do not survive a fork


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path, metavar="FOLDER", help="folder of video files, or a file")
    parser.add_argument("--windows", type=int, default=12, help="random windows of each file (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the random windows (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (%(default)s)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="the same report as a table")
    chosen = parser.parse_args(arguments)
    missing = [path for path in chosen.paths if not path.exists()]
    if missing:
        print(f"{missing[0]}: no such file or folder", file=sys.stderr)
        return 2
    verdicts = []
    for verdict in check_all(video_files(chosen.paths), Options(chosen.windows, chosen.seed), jobs=chosen.jobs):
        print(verdict.line(), flush=True)
        verdicts.append(verdict)
    if chosen.csv is not None:
        with chosen.csv.open("w", newline="", errors="backslashreplace") as stream:
            rows = csv.writer(stream)
            rows.writerow(["status", "code", "name", "text"])
            rows.writerows([verdict.status, verdict.code, verdict.name, verdict.text] for verdict in verdicts)
    counts = Counter(verdict.status for verdict in verdicts)
    print(f"{len(verdicts)} files: " + ", ".join(f"{counts[status]} {status}" for status in STATUSES))
    if counts["MISMATCH"]:
        return 1
    return 0 if counts["identical"] else 2


if __name__ == "__main__":
    sys.exit(main())
