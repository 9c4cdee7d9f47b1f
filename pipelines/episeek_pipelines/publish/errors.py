"""The errors that the publication of an overlay (the output of `episeek prepare`) can raise."""

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
    """Somebody else changed the repository or store after the changes were planned; nothing was overwritten.

    Args:
        where: The repository, with the revision or path, or the store.
        found: The present state of the repository or store.
        expected: The state when the changes were planned.
        head: The present commit of the branch, tag or pull request; empty if it was not read, and for a store.
        hint: Advice as an imperative; empty for no advice.
    """

    def __init__(self, where: str, found: str, expected: str, head: str = "", hint: str = "") -> None:
        super().__init__(where, found, expected, hint)
        self.head = head

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.where, self.found, self.expected, self.head, self.hint)


class ForeignChangesError(EpiseekError, RuntimeError):
    """The merge of a pull request also brought changes to main that the pull request did not contain when it was verified."""


class OptionsError(EpiseekError, ValueError):
    """An option of a publication has an invalid value, or contradicts another option; `where` is the option's name."""


class RefusedError(WriteError):
    """The Hub refuses a change, for example because the change is too large, a name is already in use, or a quota is used up."""


@dataclass(frozen=True, slots=True)
class ArrivalProblem:
    """One difference between the files that were sent and the files that readers of the published revision get."""

    where: str
    """The path of the file that differs; or the clip (a short range of frames), with its episode and camera."""
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.where}: found {self.found}; expected {self.expected}"


class RefusedPublicationError(EpiseekError, RuntimeError):
    """Nothing was sent because the overlay has errors, or no tag was moved because the published files differ.

    Args:
        where: The overlay or the published revision.
        found: The first error or difference, and the total number of errors or differences.
        expected: The state that is required for a publication.
        hint: Advice as an imperative; empty for no advice.
        verification: The verification report of the overlay if the overlay has errors, otherwise None.
        problems: The differences between the published files and the files that were sent; empty if nothing was sent.
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
    """Return a text with `***` in place of every secret and of every word after `Bearer`.

    Secrets are also found in the escaped forms that Python and JSON write.
    """
    for form in sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True):
        text = text.replace(form, _MASK)
    return _BEARER.sub(rf"\1{_MASK}", text)


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret, and its escaped forms in the `repr` of text, in the `repr` of bytes and in JSON, each without quotes."""
    if not secret:
        return
    yield secret
    encoded = secret.encode(errors="surrogatepass")
    for written in (repr(secret)[1:-1], ascii(secret)[1:-1], repr(encoded)[2:-1], json.dumps(secret)[1:-1]):
        yield from (written, written.replace("'", "\\'"), written.replace("\\'", "'"))
