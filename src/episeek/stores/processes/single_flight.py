"""Share one call among all threads that need the same result at the same time."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Makes at most one call per key at a time. Other threads that need the result wait, and get the same result or exception.

    If the thread that makes the call is interrupted, a waiting thread makes it instead.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_progress: dict[Hashable, Future[T]] = {}

    def call(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the result of `make()`, or of the call with this key that is in progress."""
        while True:
            with self._lock:
                future = self._in_progress.get(key)
                if future is None:
                    mine = self._in_progress[key] = Future()
                    break
            try:
                return future.result()
            except CancelledError:
                if not future.cancelled():
                    raise
        try:
            result = make()
        except BaseException as error:
            self._end(key)
            if isinstance(error, Exception):
                mine.set_exception(error)
            else:
                # Only this thread was interrupted, so one of the waiting threads makes the call.
                mine.cancel()
            raise
        self._end(key)
        mine.set_result(result)
        return result

    def _end(self, key: Hashable) -> None:
        with self._lock:
            del self._in_progress[key]
