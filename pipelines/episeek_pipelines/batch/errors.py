"""The errors of a batch as a whole; what goes wrong with one dataset is a value, `Problem`."""

from dataclasses import asdict, dataclass
from typing import Any

from episeek.errors import EpiseekError, first_line


class ManifestError(EpiseekError, ValueError):
    """A manifest cannot be read, or gives two datasets the same destination."""


class PlanError(EpiseekError, ValueError):
    """There is no plan, it was changed after it was sealed, or it is one of another manifest or other options."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a dataset was refused or failed: the parts of an error."""

    kind: str
    """Name of the error's class."""
    where: str
    found: str
    expected: str
    hint: str

    @classmethod
    def of(cls, error: BaseException) -> "Problem":
        """Return the parts of an error; one that is not this package's has its first line as `found`."""
        name = type(error).__name__
        if isinstance(error, EpiseekError):
            return cls(name, error.where, error.found, error.expected, error.hint)
        return cls(name, "episeek", f"{name}: {first_line(error)}", "no error", "please report it")

    @property
    def sentence(self) -> str:
        """The line that the command line prints for the error."""
        found = f": found {self.found}" if self.found else ""
        expected = f"; expected {self.expected}" if self.expected else ""
        hint = f"; hint: {self.hint}" if self.hint else ""
        return f"{self.where}{found}{expected}{hint}"

    def as_dict(self) -> dict[str, Any]:
        """Return the parts for JSON."""
        return asdict(self)
