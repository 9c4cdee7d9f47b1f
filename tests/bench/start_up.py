"""Benchmark of starting: CPU time of commands on a small dataset, against a Python that imports numpy and pyarrow."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

DATASET = Path(__file__).parents[1] / "data" / "hevc"
ROUNDS = 7

BASELINE = ("-c", "import numpy, pyarrow")
COMMAND = ("-m", "episeek_pipelines.cli")
AIMS = (
    (("--help",), 0.5),
    (("inspect", str(DATASET)), 2.0),
    (("verify", str(DATASET)), 4.0),
)


def bench_start_up(workdir: Path) -> Iterator[str]:
    """Run each command several times, in turn with the baseline; gives lines to print."""
    baseline = [sys.executable, *BASELINE]
    for arguments, aim in AIMS:
        command = [sys.executable, *COMMAND, *arguments]
        rounds = [(cpu_seconds(baseline, workdir), cpu_seconds(command, workdir)) for _ in range(ROUNDS)]
        least, seconds = (min(times) for times in zip(*rounds, strict=True))
        yield (
            f"start-up: `episeek {arguments[0]}` takes {seconds / least:.2f} of the CPU time of `import numpy, pyarrow` "
            f"(aim: {aim} or less); {seconds:.2f} s against {least:.2f} s"
        )


def cpu_seconds(command: Sequence[str], folder: Path) -> float:
    """Run a command in a folder; returns its CPU time, user and system, its threads included."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise AssertionError(f"{command}: exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime
