"""Ctrl-C between imports, never within one.

An interrupt in the middle of an import can be lost: the C code of extension modules drops the exception, and importlib keeps
its lock where it was interrupted just after taking it. The program would then run on, and hang at its next import. So an
interrupt waits until the import is over.
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
    """Raise KeyboardInterrupt for SIGINT as Python does, but not before an import that is under way has ended.

    Nothing changes outside the main thread, or where the program has a handler of its own.
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
    """Raise KeyboardInterrupt, or come again a moment later while the main thread imports."""
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
