"""Fuzzing of the parsers: `python -m tests.fuzz --seconds 300 --target mp4`, or `make fuzz`.

Every case is a small file, damaged where boxes, sizes, counts and entries are (`mutator`, `parquet_pages`), and has to keep
the promises of its target (`invariants`, `parquet_pages`). Atheris chooses by coverage which cases to go on from; without it,
cases are damaged valid files. The work is done in child processes, so that a case that kills the interpreter is reported as well.
"""

import argparse
import base64
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.targets import TARGETS

WORKER = ("-m", "tests.fuzz.worker")

GRACE_SECONDS = 60
"""A worker that is silent for so long after its time is killed."""


def main() -> int:
    """Start the workers, add up their reports. Returns 1 when a case failed."""
    options = _arguments()
    engine = options.engine
    if engine == "auto":
        engine = "atheris" if importlib.util.find_spec("atheris") is not None else "random"
    with tempfile.TemporaryDirectory(prefix="episeek-fuzz-") as folder:
        started = time.monotonic()
        workers = [_start(options, engine, Path(folder), number) for number in range(options.jobs)]
        failures = [failure for worker in workers if (failure := _wait(worker, options.seconds)) is not None]
        reports = [json.loads(worker.report.read_text()) for worker in workers if worker.report.exists()]
        seconds = time.monotonic() - started
    outcomes: Counter[str] = Counter()
    for report in reports:
        outcomes.update(report["outcomes"])
    failures += [failure for report in reports for failure in report["failures"]]
    _print_summary(engine, options, outcomes, seconds, sum(report["cpu_seconds"] for report in reports), failures)
    return 1 if failures or not outcomes else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--seconds", type=int, default=240, help="how long (default: 240)")
    parser.add_argument("--runs", type=int, default=0, help="stop after so many cases in each process")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument(
        "--seed", type=int, default=1, help="of the random choices; each process has its own, from here on"
    )
    parser.add_argument("--target", choices=TARGETS, default="mp4", help="what is fuzzed (default: mp4)")
    parser.add_argument("--engine", choices=("auto", "atheris", "random"), default="auto")
    parser.add_argument(
        "--corpus", type=Path, help="directory of cases to start from; Atheris adds the interesting ones"
    )
    return parser.parse_args()


class _Worker:
    """One child process and the files it leaves."""

    def __init__(self, folder: Path, number: int) -> None:
        self.report = folder / f"{number}.json"
        self.case = folder / f"{number}.case"
        self.log = folder / f"{number}.log"
        self.process: subprocess.Popen[bytes] | None = None


def _start(options: argparse.Namespace, engine: str, folder: Path, number: int) -> _Worker:
    worker = _Worker(folder, number)
    command = [
        sys.executable,
        *WORKER,
        "--target",
        options.target,
        "--engine",
        engine,
        "--seed",
        str(options.seed + number),
    ]
    command += ["--seconds", str(options.seconds), "--runs", str(options.runs)]
    command += ["--report", str(worker.report), "--case", str(worker.case)]
    if options.corpus is not None:
        command += ["--corpus", str(options.corpus)]
    elif engine == "atheris":
        command += ["--corpus", str(folder / f"corpus-{number}")]
    with open(worker.log, "wb") as log:
        worker.process = subprocess.Popen(command, stdout=log, stderr=log, env=_environment())
    return worker


def _environment() -> dict[str, str]:
    """One thread each, and modules found from the directory that this process was started in."""
    path = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": path}


def _wait(worker: _Worker, seconds: int) -> dict[str, str] | None:
    """A failure that the worker could not report itself: it died, or hung where Python's signals do not reach."""
    assert worker.process is not None
    try:
        code = worker.process.wait(seconds + GRACE_SECONDS)
        reason = f"the process ended with {code}"
    except subprocess.TimeoutExpired:
        worker.process.kill()
        worker.process.wait()
        reason = "the process hung"
    if worker.report.exists():
        return None
    data = worker.case.read_bytes() if worker.case.exists() else b""
    length = int.from_bytes(data[:4], "little")
    log = worker.log.read_text(errors="replace")[-3000:]
    return {"error": reason, "trace": log, "data": base64.b64encode(data[4 : 4 + length]).decode()}


def _print_summary(
    engine: str,
    options: argparse.Namespace,
    outcomes: Counter[str],
    seconds: float,
    cpu_seconds: float,
    failures: list[dict[str, str]],
) -> None:
    cases = outcomes.total()
    seeds = f"seed {options.seed}" + (f" to {options.seed + options.jobs - 1}" if options.jobs > 1 else "")
    rates = f"{cases / seconds:,.0f} a second, {cases / max(cpu_seconds, 0.001):,.0f} a CPU second"
    print(f"{engine}, {seeds}: {cases:,} cases in {seconds:.0f} s, {rates}, {len(failures)} kinds of failure")
    for outcome, count in outcomes.most_common():
        print(f"  {outcome:24}{count:>12,}  {count / cases:6.1%}")
    for failure in failures:
        print(f"\n{failure['error']}\n{failure['trace']}\nbase64 of the case:\n{failure['data']}")


if __name__ == "__main__":
    sys.exit(main())
