"""The result of a command, before anything is printed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """Text to print, and whether the command's exit code is that of a failure."""

    lines: tuple[str, ...] = ()
    """For standard output."""
    is_failure: bool = False
    """Whether the exit code is 1."""
    notes: tuple[str, ...] = ()
    """For standard error."""
    data: bytes = b""
    """Bytes for standard output, instead of lines."""
    is_undecided: bool = False
    """Whether the exit code is 2: the command ran, and a defect of what it read leaves its answer open."""
