"""Delay an interrupt (Ctrl-C) that arrives during an import until the import has ended, and end the process after an interrupt.

An interrupt in the middle of an import can be lost: the C code of an extension module may drop the exception, or importlib may
keep the lock that it has just taken. The program would then continue, and hang at its next import.

When a program ends, Python waits for the threads of `concurrent.futures`, which Dask uses, and so for work that nobody needs any
more. A process that was interrupted therefore ends without this wait. Files are complete under their final names, or not there.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn

_RETRY_SECONDS: Final = 0.02
_LONGEST_DELAY_SECONDS: Final = 1.0
_IMPORT_MODULES: Final = frozenset({"importlib._bootstrap", "_frozen_importlib"})


@contextmanager
def interrupts_between_imports(give_up: Callable[[], NoReturn] | None = None) -> Iterator[None]:
    """Raise KeyboardInterrupt for SIGINT as Python does, but delay it while an import is in progress.

    The context manager has no effect outside the main thread, or if the program has its own handler for SIGINT.

    Args:
        give_up: Ends the process. It is called if an import takes more than a second after the interrupt, or if another interrupt
            arrives during it. If it is None, the interrupt is delayed until the import has ended.
    """
    is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if threading.current_thread() is not threading.main_thread() or not is_default:
        yield
        return
    first_seconds: float | None = None

    def interrupt(number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt, or set a timer that calls this function again if the main thread is importing."""
        nonlocal first_seconds
        if not _is_importing(frame):
            end_children()
            raise KeyboardInterrupt
        now = time.monotonic()
        if first_seconds is None:
            first_seconds = now
        elif give_up is not None and (number == signal.SIGINT or now - first_seconds > _LONGEST_DELAY_SECONDS):
            give_up()
        signal.setitimer(signal.ITIMER_REAL, _RETRY_SECONDS)

    alarm = signal.signal(signal.SIGALRM, interrupt)
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGALRM, alarm)


def end_by_interrupts() -> None:
    """Let a further SIGINT end the process silently, unless the program has its own handler for SIGINT."""
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def end_children() -> None:
    """End the processes that `multiprocessing` has started, since the program would wait for their work."""
    module = sys.modules.get("multiprocessing")
    for child in module.active_children() if module is not None else ():
        child.terminate()


def end_process(exit_code: int) -> NoReturn:
    """End the process without waiting for its threads. Call this in the main thread, after its cleanup."""
    end_children()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            # nobody reads it any more
            continue
    os._exit(exit_code)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__") in _IMPORT_MODULES:
            return True
        frame = frame.f_back
    return False
