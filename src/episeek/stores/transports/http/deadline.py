"""Deadlines for whole responses in urllib3.

The timeouts of urllib3 limit a single read from the socket. A server that sends one byte now and then, in the headers or in the
body, would keep a reader waiting forever.
"""

import http.client
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_CURRENT = threading.local()


@contextmanager
def deadline(at: float) -> Iterator[None]:
    """Set the deadline for reading each response that begins in this thread within the block.

    Args:
        at: The deadline, seconds on the monotonic clock.
    """
    before = getattr(_CURRENT, "at", None)
    _CURRENT.at = at
    try:
        yield
    finally:
        _CURRENT.at = before


@cache
def pool_classes(urllib3: Any) -> dict[str, Any]:
    """Return classes of connection pools by scheme, for `pool_classes_by_scheme` of a pool manager.

    A read from a connection of these pools raises TimeoutError if it begins after the deadline. A read that begins before the
    deadline may take up to its timeout.
    """
    classes: dict[str, Any] = {}
    for scheme, pool in (("http", urllib3.HTTPConnectionPool), ("https", urllib3.HTTPSConnectionPool)):
        connection = type(pool.ConnectionCls.__name__, (pool.ConnectionCls,), {"response_class": _Response})
        classes[scheme] = type(pool.__name__, (pool,), {"ConnectionCls": connection})
    return classes


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: Any, debuglevel: int = 0, method: str | None = None, url: str | None = None) -> None:
        super().__init__(sock, debuglevel=debuglevel, method=method, url=url)
        at = getattr(_CURRENT, "at", None)
        if at is not None:
            self.fp = io.BufferedReader(_Reader(self.fp.detach(), at))


class _Reader(io.RawIOBase):
    """A socket file that raises TimeoutError instead of reading after the deadline."""

    def __init__(self, raw: io.RawIOBase, at: float) -> None:
        self._raw = raw
        self._at = at

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._at:
            raise TimeoutError("no end of the response before its deadline")
        return self._raw.readinto(buffer)

    def fileno(self) -> int:
        return self._raw.fileno()

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()
