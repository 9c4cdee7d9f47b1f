"""Lock local files and folders, so that only one run at a time works there."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from episeek.errors import DestinationError
from episeek_pipelines.dataset.local_files import writing


@contextmanager
def exclusive_lock(
    path: Path, *, where: str, found: str, hint: str = "wait until that run has ended", is_required: bool = True
) -> Iterator[bool]:
    """Hold the lock of a file or folder during the `with` block, and yield whether the file system supports locks.

    The system releases the lock when the process ends, however it ends.

    Args:
        path: An existing folder, or a file, which is created if it does not exist.
        where: The file or folder that the lock protects, for messages.
        found: A noun phrase for the other run, for the message if another process holds the lock.
        hint: The hint of the same message.
        is_required: Whether to refuse to work without a lock. Some network file systems have no locks.

    Raises:
        DestinationError: Another process holds the lock, or the lock is required and the file system has no locks.
        WriteError: The file cannot be created.
    """
    with writing(path):
        if path.is_dir():
            handle = os.open(path, os.O_RDONLY)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_locked = True
        except BlockingIOError:
            raise DestinationError(where, found, "one run at a time", hint) from None
        except OSError as error:
            if is_required:
                reason = f"a file system without locks ({os.strerror(error.errno or 0).lower()})"
                raise DestinationError(where, reason, "a file system with locks, which prevent a second run") from None
            is_locked = False
        yield is_locked
    finally:
        os.close(handle)
