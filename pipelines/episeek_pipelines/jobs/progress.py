"""Types with which a job reports progress to a display: the finished files of each phase, and their bytes if they are known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

READING_HEADERS: Final = "reading headers"
REWRITING: Final = "rewriting"
COPYING: Final = "copying"
PACKING: Final = "packing videos"
SAMPLING: Final = "sampling pictures"
CHECKING: Final = "checking"


@dataclass(frozen=True, slots=True)
class Phase:
    """One kind of work within a job, and its amount. Several phases of a job may run at the same time."""

    name: str
    """The name that the display shows, such as "reading headers" or "rewriting"."""
    unit_count: int
    unit: str = "file"
    """Singular noun of what is counted."""
    byte_count: int = 0
    """Number of bytes to process; 0 if it is not known."""


class Progress(Protocol):
    """A function that receives the amounts of finished work."""

    def __call__(self, phase: str, unit_count: int, byte_count: int, /) -> None:
        """Add finished units and bytes to a phase."""


StartProgress = Callable[[Sequence[Phase]], Progress]
"""A function that is called with the phases of a job when it starts, and returns the receiver of finished work."""
