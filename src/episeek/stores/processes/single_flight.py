"""One call for many that ask for the same thing at the same time."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Calls by key: who asks while one is under way waits for it, and gets its result or its exception; where the thread
    that makes it is interrupted, another one makes it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[Hashable, Future[T]] = {}

    def call(self, key: Hashable, make: Callable[[], T]) -> T:
        """The result of `make()`, or of the one under way."""
        while True:
            with self._lock:
                future = self._under_way.get(key)
                if future is None:
                    mine = self._under_way[key] = Future()
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
            else:  # nobody interrupted the others
                mine.cancel()
            raise
        self._end(key)
        mine.set_result(result)
        return result

    def _end(self, key: Hashable) -> None:
        with self._lock:
            del self._under_way[key]
