"""State that belongs to one process: connections, threads and locks mean nothing in a forked child."""

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_fork_count = 0


def _after_fork() -> None:
    global _fork_count
    _fork_count += 1


os.register_at_fork(after_in_child=_after_fork)


def _process() -> tuple[int, int]:
    """Its number, and how many forks led to it: a child may get the number of an ancestor that has ended."""
    return os.getpid(), _fork_count


class PerProcess(Generic[T]):
    """A value made on first use in each process.

    Args:
        make: Called without arguments. When threads race it may be called twice; one result is used.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        # a parent's state stays: closing its connections is the parent's business
        self._states: dict[tuple[int, int], T] = {}

    def get(self) -> T:
        """This process's value."""
        process = _process()
        try:
            return self._states[process]
        except KeyError:
            return self._states.setdefault(process, self._make())

    def peek(self) -> T | None:
        """This process's value, or None where it was not needed yet."""
        return self._states.get(_process())

    def __reduce__(self) -> tuple[type["PerProcess[T]"], tuple[Callable[[], T]]]:
        return PerProcess, (self._make,)
