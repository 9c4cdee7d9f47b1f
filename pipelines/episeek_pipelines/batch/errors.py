"""Exceptions about a whole batch, and the record `Problem` of the error of one dataset."""

from dataclasses import asdict, dataclass
from typing import Any

from episeek.errors import EpiseekError, first_line


class ManifestError(EpiseekError, ValueError):
    """A manifest (the list of a batch's datasets) cannot be read, or contains an invalid or repeated entry or option."""


class PlanError(EpiseekError, ValueError):
    """The plan of a batch is missing, was changed after it was written, or was made for another manifest or other options."""


@dataclass(frozen=True, slots=True)
class Problem:
    """The error with which one dataset was refused or failed, in parts that can be stored as JSON."""

    kind: str
    """Name of the error's class, such as `Mp4Error`."""
    where: str
    found: str
    expected: str
    hint: str

    @classmethod
    def of(cls, error: BaseException) -> "Problem":
        """Return the parts of an error. If it is no `EpiseekError`, `found` is its class and the first line of its message."""
        name = type(error).__name__
        if isinstance(error, EpiseekError):
            return cls(name, error.where, error.found, error.expected, error.hint)
        return cls(name, "episeek", f"{name}: {first_line(error)}", "no error", "please report this defect")

    @property
    def sentence(self) -> str:
        """Return the problem as one line of text, in the form in which the command line prints an error."""
        found = f": found {self.found}" if self.found else ""
        expected = f"; expected {self.expected}" if self.expected else ""
        hint = f"; hint: {self.hint}" if self.hint else ""
        return f"{self.where}{found}{expected}{hint}"

    def as_dict(self) -> dict[str, Any]:
        """Return the parts as a JSON document."""
        return asdict(self)
