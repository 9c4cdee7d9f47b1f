"""One call for many that ask for the same thing at the same time."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Calls by key: who asks while one is under way waits for it, and gets its result or its exception."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[Hashable, Future[T]] = {}

    def call(self, key: Hashable, make: Callable[[], T]) -> T:
        """The result of `make()`, or of the one under way."""
        with self._lock:
            future = self._under_way.get(key)
            is_mine = future is None
            if future is None:
                future = self._under_way[key] = Future()
        if is_mine:
            try:
                result = make()
            except BaseException as error:
                self._end(key)
                future.set_exception(error)
                raise
            self._end(key)
            future.set_result(result)
            return result
        return future.result()

    def _end(self, key: Hashable) -> None:
        with self._lock:
            del self._under_way[key]
