"""Connections of urllib3 whose answers have a deadline, however slowly they come.

Its own timeouts are of one read from the socket: a server that sends a byte now and then would be waited for without end, in
the headers as well as in the body.
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
    """Responses that begin in this thread, meanwhile, have to be read before `at`, on the monotonic clock."""
    before = getattr(_CURRENT, "at", None)
    _CURRENT.at = at
    try:
        yield
    finally:
        _CURRENT.at = before


@cache
def pool_classes(urllib3: Any) -> dict[str, Any]:
    """By scheme, for a pool manager. Reads from their connections raise TimeoutError behind the deadline, later by the timeout of
    one read at most.
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
    """A socket's file."""

    def __init__(self, raw: io.RawIOBase, at: float) -> None:
        self._raw = raw
        self._at = at

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._at:
            raise TimeoutError("an answer that does not end")
        return self._raw.readinto(buffer)

    def fileno(self) -> int:
        return self._raw.fileno()

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()
