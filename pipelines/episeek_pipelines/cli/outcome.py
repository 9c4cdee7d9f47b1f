"""The result of a command, before anything is printed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a command: the text to print, and the exit code."""

    lines: tuple[str, ...] = ()
    """Lines for standard output."""
    is_failure: bool = False
    """Whether the exit code is 1."""
    notes: tuple[str, ...] = ()
    """Lines for standard error."""
    data: bytes = b""
    """Bytes for standard output, instead of lines."""
    is_undecided: bool = False
    """Whether the exit code is 2 although the command ran: a defect in the files that it read leaves the answer undecided."""
