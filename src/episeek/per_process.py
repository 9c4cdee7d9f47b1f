"""State that belongs to one process: connections, threads and locks mean nothing in a forked child."""

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """A value made on first use in each process.

    Args:
        make: Called without arguments. When threads race it may be called twice; one result is used.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._states: dict[int, T] = {}  # a parent's state stays: closing its connections is the parent's business

    def get(self) -> T:
        """This process's value."""
        process = os.getpid()
        try:
            return self._states[process]
        except KeyError:
            return self._states.setdefault(process, self._make())

    def peek(self) -> T | None:
        """This process's value, or None where it was not needed yet."""
        return self._states.get(os.getpid())

    def forget(self) -> T | None:
        """Drop this process's value; returns it."""
        return self._states.pop(os.getpid(), None)

    def __reduce__(self) -> tuple[type["PerProcess[T]"], tuple[Callable[[], T]]]:
        return PerProcess, (self._make,)
