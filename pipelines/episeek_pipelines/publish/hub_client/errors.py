"""Giving what the Hub's client raises a name, and saying whether what was asked for may have been done all the same.

The client's own errors hold the request, and with it the token: they are never passed on, and a text of a server that repeats
the token is shown without it.
"""

import json
from collections.abc import Iterable

from episeek.errors import (
    AccessError,
    BackendUnavailableError,
    EpiseekError,
    MissingFileError,
    ReadError,
    WaitLimitError,
    described,
    first_line,
    install_hint,
)
from episeek.stores.requests.errors import may_pass, retry_after_of, status_of
from episeek.stores.requests.retry import Transient
from episeek_pipelines.publish.errors import ConflictError, RefusedError, masked

_MAX_FOUND = 500
"""Letters of a server's message that are shown."""

_QUOTA_WORDS = ("quota", "storage limit", "storage capacity", "usage limit", "payment")
_TOKEN = "a token (HF_TOKEN, `hf auth login`) that may do this"


def named(error: Exception, *, where: str, expected: str, secrets: Iterable[str] = ()) -> EpiseekError | Transient:
    """The error for what a call of the client raised; `Transient` for what another try may mend.

    Args:
        error: What was raised.
        where: The repository, and the revision or path.
        expected: What should have come.
        secrets: What no message may contain.
    """
    if isinstance(error, EpiseekError | Transient):
        return error
    if isinstance(error, ImportError):
        return BackendUnavailableError(
            where, first_line(error), "the Hub's client, huggingface_hub", install_hint("hub")
        )
    if type(error).__name__ == "OfflineModeIsEnabled":
        return ReadError(where, "HF_HUB_OFFLINE in the environment", "a Hub that may be asked")
    cause = _with_status(error)
    status = status_of(cause)
    found = _found(cause, status, secrets)
    if status is not None:
        return _of_status(status, found, cause, where, expected)
    if isinstance(error, TimeoutError):
        return Transient(found, error=WaitLimitError)
    if isinstance(error, FileNotFoundError) and error.filename is not None:
        return MissingFileError(where, found, "the local file that is to be sent")
    if isinstance(error, json.JSONDecodeError):  # the page of a proxy, where the client does not look at the status
        return Transient(found)
    if isinstance(error, ValueError | TypeError | NotImplementedError):
        return RefusedError(where, found, expected)
    return Transient(found)


def _of_status(status: int, found: str, cause: BaseException, where: str, expected: str) -> EpiseekError | Transient:
    if status in (402, 507) or (status in (400, 403, 413) and any(word in found.lower() for word in _QUOTA_WORDS)):
        return RefusedError(where, found, "room: the account's storage quota is used up")
    if status in (401, 403):
        return AccessError(where, found, _TOKEN)
    if status in (404, 410):
        return MissingFileError(where, found, f"{expected}; or {_TOKEN}")
    if status == 409:
        return RefusedError(where, found, f"{expected}: something of that name is there already")
    if status == 412:
        return ConflictError(where, found, expected)
    if status == 413:
        return RefusedError(where, found, "a smaller request")
    if may_pass(status):
        return Transient(found, retry_after_seconds=retry_after_of(getattr(_response(cause), "headers", None)))
    return RefusedError(where, found, expected)


def is_settled(error: Exception) -> bool:
    """Whether it is certain that a change was not made: the Hub said no. After a lost response, a timeout or a server's failure
    it is not.
    """
    status = status_of(_with_status(error))
    return status is not None and status < 500 and status != 408


def _with_status(error: BaseException) -> BaseException:
    """The first of the error and its causes that has an HTTP status, or else that with the client's RuntimeErrors taken off:
    it wraps the errors of uploads.
    """
    below: BaseException | None = error
    while below is not None:
        if status_of(below) is not None:
            return below
        below = below.__cause__
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _response(error: BaseException) -> object:
    return getattr(error, "response", None)


def _found(error: BaseException, status: int | None, secrets: Iterable[str]) -> str:
    text = described(error)
    if status is not None:
        message = str(getattr(error, "server_message", None) or "").strip()
        text = f"HTTP {status}: {message.splitlines()[0]}" if message else f"HTTP {status} ({text})"
    return masked(text, secrets)[:_MAX_FOUND]
