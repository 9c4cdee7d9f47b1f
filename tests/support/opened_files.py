"""Which files below a directory are opened, and how often, by whatever code of any process: the kernel's inotify counts."""

import ctypes
import os
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_IN_ACCESS, _IN_CLOSE, _IN_OPEN = 0x01, 0x18, 0x20
_IN_Q_OVERFLOW, _IN_ISDIR = 0x4000, 0x40000000
_EVENT = struct.Struct("iIII")  # wd, mask, cookie, length of the name (inotify(7))


@contextmanager
def counting_opens(*roots: Path) -> Iterator[Counter[Path]]:
    """Counts while the context lasts; the counter is filled at its end.

    Equal events that follow each other are one to inotify. Reads and closes are watched as well, so that two openings of a
    file are told apart where the first is read or closed before the second comes, or another file is touched between them.
    """
    if sys.platform != "linux":
        pytest.skip("inotify is Linux's")
    libc = ctypes.CDLL(None, use_errno=True)
    queue = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if queue < 0:
        pytest.skip(f"no inotify: {os.strerror(ctypes.get_errno())}")
    try:
        folders: dict[int, Path] = {}
        for folder in (Path(folder) for root in roots for folder, _, _ in os.walk(root)):
            watch = libc.inotify_add_watch(queue, os.fsencode(folder), _IN_ACCESS | _IN_CLOSE | _IN_OPEN)
            if watch < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))
            folders[watch] = folder
        counts: Counter[Path] = Counter()
        yield counts
        for watch, mask, name in _events(queue):
            if mask & _IN_Q_OVERFLOW:
                raise OSError("more events than the kernel keeps")
            if mask & _IN_OPEN and not mask & _IN_ISDIR:
                counts[folders[watch] / name] += 1
    finally:
        os.close(queue)


def _events(queue: int) -> Iterator[tuple[int, int, str]]:
    while True:
        try:
            data = os.read(queue, 1 << 16)
        except BlockingIOError:
            return
        position = 0
        while position < len(data):
            watch, mask, _, length = _EVENT.unpack_from(data, position)
            position += _EVENT.size
            yield watch, mask, os.fsdecode(data[position : position + length].rstrip(b"\0"))
            position += length
