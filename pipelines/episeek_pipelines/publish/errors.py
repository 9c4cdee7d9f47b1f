"""The errors of publishing."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from episeek.errors import (
    EpiseekError,
    WriteError,
)

_MASK = "***"


_BEARER = re.compile(r"(?i)\b(bearer\s+)\S+")


class ConflictError(EpiseekError, RuntimeError):
    """Somebody else changed the repository in the meantime: nothing was overwritten.

    Args:
        where: The repository and the revision or path.
        found: What is there now.
        expected: What was there when the change was made up.
        head: The commit that is there now; "" where it is not known.
    """

    def __init__(self, where: str, found: str, expected: str, head: str = "") -> None:
        super().__init__(where, found, expected)
        self.head = head

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.where, self.found, self.expected, self.head)


class ForeignChangesError(EpiseekError, RuntimeError):
    """A merge has brought to main what was not in the pull request when it was verified."""


class RefusedError(WriteError):
    """The Hub does not take a change as it is: too large, a name that is in use, a quota that is used up."""


def masked(text: str, secrets: Iterable[str]) -> str:
    """A text without any of the secrets, also as Python and JSON write them, and without what follows `Bearer`."""
    for form in sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True):
        text = text.replace(form, _MASK)
    return _BEARER.sub(rf"\1{_MASK}", text)


def _forms(secret: str) -> Iterator[str]:
    """A secret as it is, and inside the quotes of its `repr` as a text or as bytes, and of its JSON."""
    if not secret:
        return
    yield secret
    encoded = secret.encode(errors="surrogatepass")
    for written in (repr(secret)[1:-1], ascii(secret)[1:-1], repr(encoded)[2:-1], json.dumps(secret)[1:-1]):
        yield from (written, written.replace("'", "\\'"), written.replace("\\'", "'"))


class RefusedPublicationError(EpiseekError, RuntimeError):
    """The overlay did not pass, so nothing was sent; or what arrived is not what was sent, and the tag was left."""
