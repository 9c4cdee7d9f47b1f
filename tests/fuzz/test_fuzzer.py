"""The fuzzer itself: that it runs, says what came of its cases, and reports those that fail, hang or kill the process."""

import base64
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BROKEN_CHECKS = {
    "raises": "raise KeyError('broken')",
    "hangs": "while True: pass",
    "kills": "os._exit(77)",
    "eats": "bytearray(4 << 30)",
}


def run(*arguments: str, script: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *(("-m", "tests.fuzz") if script is None else ("-c", script)), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def test_it_runs_and_counts_what_came_of_its_cases():
    done = run("--engine", "random", "--runs", "300", "--jobs", "2")
    assert "600 cases" in done.stdout
    assert done.returncode == 0, done.stdout
    assert " 0 kinds of failure" in done.stdout
    assert (
        sum(int(count.replace(",", "")) for count in re.findall(r"^  \w+ +([\d,]+) ", done.stdout, re.MULTILINE)) == 600
    )


def test_other_targets_are_chosen_by_name():
    done = run("--engine", "random", "--target", "parquet", "--runs", "30")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "30 cases" in done.stdout
    assert re.search(r"^  (all|some|none) ", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("broken", BROKEN_CHECKS)
def test_a_case_that_breaks_the_parser_is_reported_with_its_bytes(broken, tmp_path):
    """The parser is replaced by one that fails on the tenth case; the worker and what watches it are the real ones."""
    worker = f"""
import os, sys
import tests.fuzz.invariants, tests.fuzz.worker as worker
worker.MAX_CASE_SECONDS = 0.2
count = 0
def check(data, clips_one_in):
    global count
    count += 1
    if count == 10:
        open({str(tmp_path / "case")!r}, "wb").write(data)
        {BROKEN_CHECKS[broken]}
    return "table"
tests.fuzz.invariants.check = check
worker.main()
"""
    (tmp_path / "broken.py").write_text(worker)
    script = f"""
import sys
import tests.fuzz.__main__ as fuzz
fuzz.WORKER = {str(tmp_path / "broken.py")!r},
sys.exit(fuzz.main())
"""
    done = run("--engine", "random", "--runs", "15", "--seed", "2", script=script)
    assert done.returncode == 1
    assert "1 kinds of failure" in done.stdout
    said = {"raises": "KeyError", "hangs": "HangError", "kills": "ended with 77", "eats": "MemoryError"}[broken]
    assert said in done.stdout
    reported = base64.b64decode(done.stdout.rpartition("base64 of the case:\n")[2])
    assert reported == (tmp_path / "case").read_bytes()
    assert reported
