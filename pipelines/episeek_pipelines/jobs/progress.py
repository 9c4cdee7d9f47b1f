"""The progress of a job, for its display: finished files of each phase, and bytes where they are known."""

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
    """One kind of work within a job, and how much of it there is. Phases of a job may run at the same time."""

    name: str
    """For people: "reading headers", "rewriting"."""
    unit_count: int
    unit: str = "file"
    """Singular noun of what is counted."""
    byte_count: int = 0
    """Bytes to process; 0 where they are not known."""


class Progress(Protocol):
    """Receives finished work."""

    def __call__(self, phase: str, unit_count: int, byte_count: int, /) -> None:
        """Add units and bytes to what is finished in a phase."""


StartProgress = Callable[[Sequence[Phase]], Progress]
"""Called once when a job starts, with its phases; returns the receiver of finished work."""
