"""State that belongs to one process: connections, threads and locks mean nothing in a forked child."""

from collections.abc import Callable
from typing import Generic, TypeVar

from episeek.stores.processes.forks import process_key

T = TypeVar("T")


class PerProcess(Generic[T]):
    """A value made on first use in each process.

    Args:
        make: Called without arguments. When threads race it may be called twice; one result is used.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        # a parent's value is kept: closing its connections is the parent's business
        self._values: dict[tuple[int, int], T] = {}

    def get(self) -> T:
        """Return the value of this process, and make it on first use."""
        key = process_key()
        try:
            return self._values[key]
        except KeyError:
            return self._values.setdefault(key, self._make())

    def peek(self) -> T | None:
        """Return the value of this process, or None if it has not been made yet."""
        return self._values.get(process_key())

    def __reduce__(self) -> tuple[type["PerProcess[T]"], tuple[Callable[[], T]]]:
        return PerProcess, (self._make,)
