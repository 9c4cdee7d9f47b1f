"""Ctrl-C waits until an import is over: an import that loses the interrupt does not lose it for the program."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from episeek_pipelines.cli.interrupts import interrupts_between_imports

LOSES_INTERRUPTS = """
import os, signal, time
is_interrupted = False
try:
    os.kill(os.getpid(), signal.SIGINT)
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        time.sleep(0.01)
except BaseException:
    is_interrupted = True
"""

# A shell that runs the tests in the background has SIGINT ignored.
PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from episeek_pipelines.cli.interrupts import interrupts_between_imports
sys.path.insert(0, sys.argv[1])
try:
    with interrupts_between_imports():
        import loses_interrupts
        time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", sys.modules["loses_interrupts"].is_interrupted)
"""


def test_an_interrupt_waits_for_the_end_of_an_import(tmp_path: Path):
    (tmp_path / "loses_interrupts.py").write_text(LOSES_INTERRUPTS)
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, timeout=50, check=True
    )
    assert (ended.stdout, ended.stderr) == ("interrupted False\n", "")


def test_the_handlers_are_those_of_before_afterwards():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)
    with interrupts_between_imports():
        pass
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)) == before


def test_an_interrupt_outside_of_imports_is_raised_at_once():
    program = (
        "import signal\nfrom episeek_pipelines.cli.interrupts import interrupts_between_imports\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "try:\n    with interrupts_between_imports():\n        signal.raise_signal(signal.SIGINT)\n        print('missed')\n"
        "except KeyboardInterrupt:\n    print('raised')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=True)
    assert ended.stdout == "raised\n"


# A thread of `concurrent.futures` and a child process have work that never ends.
WAITING = """
import signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from episeek_pipelines.cli import main as program

def run(options, log):
    child = get_context("fork").Process(target=time.sleep, args=(1000,))
    child.start()
    ThreadPoolExecutor(1).submit(threading.Event().wait)
    signal.raise_signal(signal.SIGINT)
    return program.OK

class Log(program.Log):
    def notice(self, text):
        super().notice(text)
        if sys.argv[2:]:
            signal.raise_signal(signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
program._run, program.log_of = run, lambda is_json: Log()
sys.exit(program.main())
"""


@pytest.mark.parametrize("more", [[], ["INF002"]])
def test_an_interrupt_ends_the_process_with_its_threads_and_children(more: list[str]):
    """One Ctrl-C is enough, and a second one during its report shows no traceback.

    The child has the same standard output, whose end is awaited.
    """
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WAITING, "rules", *more],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (130, "episeek: interrupted\n")


@pytest.mark.parametrize("another", ["time.sleep(60)", "signal.raise_signal(signal.SIGINT)\ntime.sleep(60)"])
def test_a_long_import_ends_with_the_process(tmp_path: Path, another: str):
    """The process ends after a second, or at once if another interrupt arrives."""
    (tmp_path / "long_import.py").write_text(f"import signal, time\nsignal.raise_signal(signal.SIGINT)\n{another}\n")
    program = (
        "import signal, sys\nfrom episeek_pipelines.cli.interrupts import end_process, interrupts_between_imports\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\nsys.path.insert(0, sys.argv[1])\n"
        "with interrupts_between_imports(lambda: end_process(130)):\n    import long_import\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], timeout=50, check=False)
    assert ended.returncode == 130
