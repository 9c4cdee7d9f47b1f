"""Delay an interrupt (Ctrl-C) that arrives during an import until the import has ended.

An interrupt in the middle of an import can be lost: the C code of an extension module may drop the exception, or importlib may
keep the lock that it has just taken. The program would then continue, and hang at its next import.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_RETRY_SECONDS: Final = 0.02
_IMPORT_MODULES: Final = frozenset({"importlib._bootstrap", "_frozen_importlib"})


@contextmanager
def interrupts_between_imports() -> Iterator[None]:
    """Raise KeyboardInterrupt for SIGINT as Python does, but delay it while an import is in progress.

    The context manager has no effect outside the main thread, or if the program has its own handler for SIGINT.
    """
    is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if threading.current_thread() is not threading.main_thread() or not is_default:
        yield
        return
    alarm = signal.signal(signal.SIGALRM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGALRM, alarm)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, or set a timer that calls this function again if the main thread is importing."""
    if _is_importing(frame):
        signal.setitimer(signal.ITIMER_REAL, _RETRY_SECONDS)
    else:
        raise KeyboardInterrupt


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__") in _IMPORT_MODULES:
            return True
        frame = frame.f_back
    return False
