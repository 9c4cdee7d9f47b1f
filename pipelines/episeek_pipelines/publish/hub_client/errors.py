"""Translate errors of huggingface_hub's client into errors of this package, and decide whether a failed change may have been made.

The client's own errors contain the request, and the request contains the token, so these errors are never passed on. If the message
of a server contains the token, the token is masked.
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

TOKEN_HINT = "set HF_TOKEN or run `hf auth login`"

_MAX_FOUND_LENGTH = 500
"""Largest number of characters that an error shows of a server's message."""

_QUOTA_WORDS = ("quota", "storage limit", "storage capacity", "usage limit", "payment")


def translated(error: Exception, *, where: str, expected: str, secrets: Iterable[str] = ()) -> EpiseekError | Transient:
    """Translate an error of huggingface_hub's client into an error of this package, or into `Transient` if a retry may succeed.

    Args:
        error: The error that a call of the client raised.
        where: The repository, with the revision or path.
        expected: The expected result of the call.
        secrets: Texts that no message may contain, such as the token.
    """
    if isinstance(error, EpiseekError | Transient):
        return error
    if isinstance(error, ImportError):
        return BackendUnavailableError(
            where, first_line(error), "huggingface_hub, the client of the Hub", install_hint("hub")
        )
    if type(error).__name__ == "OfflineModeIsEnabled":
        return ReadError(where, "HF_HUB_OFFLINE in the environment", "requests to the Hub", "unset HF_HUB_OFFLINE")
    cause = _cause_with_status(error)
    status = status_of(cause)
    found = _found(cause, status, secrets)
    if status is not None:
        return _of_status(status, found, cause, where, expected)
    if isinstance(error, TimeoutError):
        return Transient(found, error=WaitLimitError)
    if isinstance(error, FileNotFoundError) and error.filename is not None:
        return MissingFileError(where, found, "the local file to send")
    # The response is not JSON but, for example, the error page of a proxy. Some calls of the client do not check the HTTP status.
    if isinstance(error, json.JSONDecodeError):
        return Transient(found)
    if isinstance(error, ValueError | TypeError | NotImplementedError):
        return RefusedError(where, found, expected)
    return Transient(found)


def _of_status(status: int, found: str, cause: BaseException, where: str, expected: str) -> EpiseekError | Transient:
    if status in (402, 507) or (status in (400, 403, 413) and any(word in found.lower() for word in _QUOTA_WORDS)):
        return RefusedError(where, found, "room in the account's storage quota", "free storage or raise the quota")
    if status in (401, 403):
        return AccessError(where, found, "a token with the right to make this request", TOKEN_HINT)
    if status in (404, 410):
        return MissingFileError(where, found, expected, f"check the name; for a private repository, {TOKEN_HINT}")
    if status == 409:
        return RefusedError(where, found, expected, "check whether this name is in use already")
    if status == 412:
        return ConflictError(where, found, expected)
    if status == 413:
        return RefusedError(where, found, "a smaller request")
    if may_pass(status):
        return Transient(found, retry_after_seconds=retry_after_of(getattr(_response(cause), "headers", None)))
    return RefusedError(where, found, expected)


def is_settled(error: Exception) -> bool:
    """Return whether an error proves that the Hub refused a change, so that the change was not made.

    A lost response, a timeout or a failure of the server proves nothing.
    """
    status = status_of(_cause_with_status(error))
    return status is not None and status < 500 and status != 408


def _cause_with_status(error: BaseException) -> BaseException:
    """Return the first error in a chain of causes that has an HTTP status, beginning with `error` itself.

    If no error in the chain has a status, return `error` without the RuntimeErrors in which the client wraps errors of uploads.
    """
    cause: BaseException | None = error
    while cause is not None:
        if status_of(cause) is not None:
            return cause
        cause = cause.__cause__
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
    return masked(text, secrets)[:_MAX_FOUND_LENGTH]
