"""The errors of publishing."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from episeek.errors import EpiseekError, WriteError

if TYPE_CHECKING:
    from episeek_pipelines.verify import VerificationReport

_MASK = "***"
_BEARER = re.compile(r"(?i)\b(bearer\s+)\S+")


class ConflictError(EpiseekError, RuntimeError):
    """Somebody else changed the repository in the meantime; nothing was overwritten.

    Args:
        where: The repository and the revision or path.
        found: The present state.
        expected: The state when the changes were planned.
        head: The present commit; empty where it is unknown.
        hint: Advice, an imperative; empty where there is none.
    """

    def __init__(self, where: str, found: str, expected: str, head: str = "", hint: str = "") -> None:
        super().__init__(where, found, expected, hint)
        self.head = head

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.where, self.found, self.expected, self.head, self.hint)


class ForeignChangesError(EpiseekError, RuntimeError):
    """A merge brought changes to main that were not in the pull request when it was verified."""


class OptionsError(EpiseekError, ValueError):
    """An option of a publication has no valid value, or excludes another option; `where` is its name."""


class RefusedError(WriteError):
    """The Hub refuses a change as it is: it is too large, its name is taken, or a quota is used up."""


@dataclass(frozen=True, slots=True)
class ArrivalProblem:
    """One difference between what was sent and what is published."""

    where: str
    """A path, a clip, or the index."""
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.where}: found {self.found}; expected {self.expected}"


class RefusedPublicationError(EpiseekError, RuntimeError):
    """The overlay has errors, so nothing was sent; or the published files differ from those sent, so no tag was moved.

    Args:
        where: The overlay or the published revision.
        found: The first error or difference, and how many there are.
        expected: The required state.
        hint: Advice, an imperative; empty where there is none.
        verification: The report of the overlay that has errors; None where it has none.
        problems: The differences between the published files and those sent; empty where nothing was sent.
    """

    def __init__(
        self,
        where: str,
        found: str,
        expected: str,
        hint: str = "",
        *,
        verification: "VerificationReport | None" = None,
        problems: tuple[ArrivalProblem, ...] = (),
    ) -> None:
        super().__init__(where, found, expected, hint)
        self.verification = verification
        self.problems = problems

    def __reduce__(self) -> tuple[Any, ...]:
        parts = (self.where, self.found, self.expected, self.hint)
        return _refused, (type(self), parts, self.verification, self.problems)


def _refused(
    leaf: type[RefusedPublicationError],
    parts: tuple[str, str, str, str],
    verification: "VerificationReport | None",
    problems: tuple[ArrivalProblem, ...],
) -> RefusedPublicationError:
    return leaf(*parts, verification=verification, problems=problems)


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return a text without any of the secrets, also as Python and JSON write them, and without the word after `Bearer`."""
    for form in sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True):
        text = text.replace(form, _MASK)
    return _BEARER.sub(rf"\1{_MASK}", text)


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it is, and as it stands inside the quotes of its `repr`, as text and as bytes, and of its JSON."""
    if not secret:
        return
    yield secret
    encoded = secret.encode(errors="surrogatepass")
    for written in (repr(secret)[1:-1], ascii(secret)[1:-1], repr(encoded)[2:-1], json.dumps(secret)[1:-1]):
        yield from (written, written.replace("'", "\\'"), written.replace("\\'", "'"))
