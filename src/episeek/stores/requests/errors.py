"""Giving the errors of any store a name: each library has its own, and none may reach a caller as it is."""

from collections.abc import Iterator
from contextlib import contextmanager

from episeek.errors import (
    AccessError,
    BackendUnavailableError,
    EpiseekError,
    MissingFileError,
    ReadError,
    described,
    first_line,
)
from episeek.stores.byte_source import missing
from episeek.stores.kinds import kind_of
from episeek.stores.requests.retry import Transient

_EXPECTED = "a readable file or directory"


def may_pass(status: int) -> bool:
    """Whether another try may be answered otherwise than with this HTTP status."""
    return status in (408, 425, 429) or (status >= 500 and status != 501)


@contextmanager
def store_errors(where: str) -> Iterator[None]:
    """Raise what a store raises under one of this package's names."""
    try:
        yield
    except (EpiseekError, Transient):
        raise
    except Exception as error:
        raise named(error, where) from error


def named(error: Exception, where: str) -> EpiseekError:
    """The error for what a store's library raised.

    fsspec's HTTP file system says "not found" of whatever goes wrong when it asks for a size; the cause says what it was.
    """
    cause = error.__cause__
    if isinstance(error, FileNotFoundError):
        if isinstance(cause, Exception) and status_of(cause) not in (None, 404, 410):
            return named(cause, where)
        if cause is None or status_of(cause) in (404, 410) or isinstance(cause, FileNotFoundError | KeyError):
            return missing(where)
        if type(cause).__module__.partition(".")[0] == "aiohttp" or isinstance(cause, TimeoutError):
            return ReadError(where, described(cause), _EXPECTED)
        return missing(where)
    if isinstance(error, ImportError):
        return BackendUnavailableError(
            where, first_line(error), "the package for this kind of store", kind_of(where).hint
        )
    found = described(error)
    if isinstance(error, PermissionError) or status_of(error) in (401, 403):
        return AccessError(where, found, "access: credentials that may read it")
    if status_of(error) in (404, 410):
        return missing(where)
    return ReadError(where, found, _EXPECTED)


def is_final(error: BaseException | None) -> bool:
    """Whether trying again is of no use for what a store's library raised."""
    if error is None:
        return False
    if isinstance(error, FileNotFoundError):
        return isinstance(named(error, ""), MissingFileError)
    if isinstance(error, PermissionError | ImportError | NotImplementedError | ValueError | TypeError):
        return True
    status = status_of(error)
    if status is None and isinstance(error, OSError):  # s3fs's, which says what botocore said
        status = status_of(error.__cause__)
    return status is not None and not may_pass(status)


def status_of(error: BaseException | None) -> int | None:
    """The HTTP status in an error of aiohttp, requests, httpx, botocore or the Hub's client; None without one."""
    if (
        type(getattr(error, "__cause__", None)).__name__ == "HttpProcessingError"
    ):  # aiohttp's word for it is 400, which nobody sent
        return None
    for holder in (error, getattr(error, "response", None)):
        for name in ("status", "status_code", "code"):
            value = getattr(holder, name, None)
            if isinstance(value, int) and 100 <= value < 600:
                return value
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status if isinstance(status, int) else None
    return None


def retry_after_of(headers: object) -> float | None:
    """Seconds to wait, from Retry-After (RFC 9110, 10.2.3, the form in seconds) or RateLimit (IETF draft
    httpapi-ratelimit-headers: `"name";r=remaining;t=seconds`); None without one.
    """
    get = getattr(headers, "get", None)
    if get is None:
        return None
    text = str(get("Retry-After") or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    return rate_limit_of(str(get("RateLimit") or ""))


def rate_limit_of(text: str) -> float | None:
    """Seconds until the window is over, where nothing is left of it."""
    values = dict(part.strip().partition("=")[::2] for part in text.split(";") if "=" in part)
    left, seconds = values.get("r", ""), values.get("t", "")
    return float(seconds) if left == "0" and seconds.isdigit() else None
