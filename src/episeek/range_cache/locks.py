"""Locks on files. The system releases them when a process ends, however it ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

_LONGEST_PAUSE_SECONDS = 0.05


def try_to_lock(handle: int) -> bool:
    """Lock an open file, unless another process or thread has locked it. Return whether it is locked.

    Raises:
        OSError: The file system has no locks.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(handle: int) -> None:
    """Unlock an open file. Closing the file is not enough, since a process that was forked in the meantime also has it open."""
    fcntl.flock(handle, fcntl.LOCK_UN)


@contextmanager
def locked_file(path: str, *, seconds: float) -> Iterator[int | None]:
    """Open a file, creating it if necessary, and hold its lock during the `with` block.

    Yields:
        The file descriptor, or None if others held the lock for all of `seconds`.

    Raises:
        OSError: The file cannot be created or locked.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        for pause in pauses(seconds):
            if try_to_lock(handle):
                try:
                    yield handle
                finally:
                    unlock(handle)
                return
            time.sleep(pause)
        yield None
    finally:
        os.close(handle)


def pauses(seconds: float) -> Iterator[float]:
    """Yield the pauses between tries, in seconds. They become longer, and end when `seconds` have passed."""
    end = time.monotonic() + seconds
    pause = 0.001
    while time.monotonic() < end:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
