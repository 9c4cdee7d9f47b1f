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
    """Lines for standard error, without the prefix `episeek:`."""
    data: bytes = b""
    """Bytes for standard output, for a command that writes a file there instead of lines."""
    is_undecided: bool = False
    """Whether the exit code is 2 although the command ran, because a defect in the files that it read left the answer undecided."""
