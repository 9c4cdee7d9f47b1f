"""State that belongs to one process: connections, threads and locks mean nothing in a forked child."""

from collections.abc import Callable
from typing import Generic, TypeVar

from episeek.stores.processes.forks import process_key

T = TypeVar("T")


class PerProcess(Generic[T]):
    """A value that each process makes for itself when it first uses the value.

    Args:
        make: Makes the value. If several threads make it at the same time, all of them get the value that was made first.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        # The value of a parent process is kept, since deleting it in a child could close connections of the parent.
        self._values: dict[tuple[int, int], T] = {}

    def get(self) -> T:
        """Return the value of this process. The first call in a process makes it."""
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
