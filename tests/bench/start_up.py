"""Benchmark of start-up: time of commands on a small dataset, against a Python that imports numpy and pyarrow.

The baseline takes a quarter of a second on an idle core of 2020: 4 of it are the second that a small local dataset may take to be
verified, with its rows.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

DATASET = Path(__file__).parents[1] / "data" / "av1_multifile"
ROUNDS = 7

BASELINE = ("-c", "import numpy, pyarrow")
COMMAND = ("-m", "episeek_pipelines.cli")
AIMS = (
    (("--help",), 0.5),
    (("inspect", str(DATASET)), 2.0),
    (("verify", str(DATASET)), 4.0),
)
"""Arguments of commands, and the most of the baseline's time that each may take, of CPU and on the clock."""


def bench_start_up(workdir: Path) -> Iterator[str]:
    """Run each command several times, in turn with the baseline, and yield lines to print."""
    baseline = [sys.executable, *BASELINE]
    # an installed package is compiled
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for arguments, aim in AIMS:
        command = [sys.executable, *COMMAND, *arguments]
        seconds_of(command, workdir, environment)
        rounds = [
            (seconds_of(baseline, workdir, environment), seconds_of(command, workdir, environment))
            for _ in range(ROUNDS)
        ]
        for number, kind in enumerate(("CPU time", "time on the clock")):
            least, seconds = (min(taken[number] for taken in times) for times in zip(*rounds, strict=True))
            yield (
                f"start-up: `episeek {arguments[0]}` takes {seconds / least:.2f} of the {kind} of `import numpy, pyarrow` "
                f"(aim: {aim} or less); {seconds:.2f} s against {least:.2f} s"
            )


def seconds_of(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[float, float]:
    """Run a command in a folder and return its CPU time, user and system, with that of all threads, and the time on the clock."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise AssertionError(f"{command}: exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - started
