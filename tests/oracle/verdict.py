"""What the oracle says of one file."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["identical", "refused", "unchecked", "MISMATCH"]
STATUSES: tuple[Status, ...] = ("identical", "refused", "unchecked", "MISMATCH")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the report."""

    status: Status
    name: str
    """Path below the folder that was given."""
    text: str
    """What was compared, why not, or what differs."""
    code: str = ""
    """Class of the error that refused the file."""

    def line(self) -> str:
        """One line, whatever is in the names and messages."""
        parts = (self.status, self.code, self.name, self.text)
        words = " ".join("  ".join(part for part in parts if part).split("\n"))
        return words.encode(errors="backslashreplace").decode()


class Problems:
    """Differences found in one file, in order; the first few are told."""

    TOLD = 3

    def __init__(self) -> None:
        self._told: list[str] = []
        self.count = 0

    def add(self, problem: str) -> None:
        self.count += 1
        if self.count <= self.TOLD:
            self._told.append(problem)

    def __str__(self) -> str:
        more = f"; and {self.count - self.TOLD} more" if self.count > self.TOLD else ""
        return "; ".join(self._told) + more
