"""Translate the errors of store libraries into errors of this package, so that callers see no other errors."""

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
from episeek.stores.byte_source import missing_file
from episeek.stores.kinds import kind_of
from episeek.stores.requests.retry import Transient

_EXPECTED = "a readable file or directory"


def may_pass(status: int) -> bool:
    """Return whether a request with this HTTP status may succeed when it is tried again."""
    return status in (408, 425, 429) or (status >= 500 and status != 501)


@contextmanager
def store_errors(where: str) -> Iterator[None]:
    """Translate the errors of a store library that are raised in the block."""
    try:
        yield
    except (EpiseekError, Transient):
        raise
    except Exception as error:
        raise error_for(error, where) from error


def error_for(error: Exception, where: str) -> EpiseekError:
    """Return the error of this package for an error of a store library.

    fsspec's HTTP file system raises FileNotFoundError whenever it fails to request a size, so the cause of this error is examined.
    """
    cause = error.__cause__
    if isinstance(error, FileNotFoundError):
        if isinstance(cause, Exception) and status_of(cause) not in (None, 404, 410):
            return error_for(cause, where)
        if cause is None or status_of(cause) in (404, 410) or isinstance(cause, FileNotFoundError | KeyError):
            return missing_file(where)
        if type(cause).__module__.partition(".")[0] == "aiohttp" or isinstance(cause, TimeoutError):
            return ReadError(where, described(cause), _EXPECTED)
        return missing_file(where)
    if isinstance(error, ImportError):
        return BackendUnavailableError(
            where, first_line(error), "the package for this kind of store", kind_of(where).hint
        )
    found = described(error)
    if isinstance(error, PermissionError) or status_of(error) in (401, 403):
        return AccessError(where, found, "credentials with read access")
    if status_of(error) in (404, 410):
        return missing_file(where)
    return ReadError(where, found, _EXPECTED)


def is_final(error: BaseException | None) -> bool:
    """Return whether an error of a store library is final, so that trying again cannot help."""
    if error is None:
        return False
    if isinstance(error, FileNotFoundError):
        return isinstance(error_for(error, ""), MissingFileError)
    if isinstance(error, PermissionError | ImportError | NotImplementedError | ValueError | TypeError):
        return True
    status = status_of(error)
    if status is None and isinstance(error, OSError):
        # s3fs raises an OSError whose cause is the error of botocore.
        status = status_of(error.__cause__)
    return status is not None and not may_pass(status)


def status_of(error: BaseException | None) -> int | None:
    """Return the HTTP status in an error of aiohttp, requests, httpx, botocore or the Hub's client, or None if it has none."""
    # For a response that it cannot parse, aiohttp reports status 400, which the server did not send.
    if type(getattr(error, "__cause__", None)).__name__ == "HttpProcessingError":
        return None
    for holder in (error, getattr(error, "response", None)):
        for name in ("status", "status_code", "code"):
            value = getattr(holder, name, None)
            if isinstance(value, int) and 100 <= value < 600:
                return value
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        # The response in an error of botocore is a dictionary.
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status if isinstance(status, int) else None
    return None


def retry_after_of(headers: object) -> float | None:
    """Return the number of seconds that a response asks the client to wait, or None if it does not.

    The number comes from the header Retry-After in seconds (RFC 9110, 10.2.3), or else from the header RateLimit
    (`"name";r=remaining;t=seconds`, IETF draft httpapi-ratelimit-headers).
    """
    get = getattr(headers, "get", None)
    if get is None:
        return None
    text = str(get("Retry-After") or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    return rate_limit_of(str(get("RateLimit") or ""))


def rate_limit_of(text: str) -> float | None:
    """Return the seconds until the window of the RateLimit header `text` ends.

    The result is None if requests remain in this window, or if the header cannot be parsed.
    """
    values = dict(part.strip().partition("=")[::2] for part in text.split(";") if "=" in part)
    remaining, seconds = values.get("r", ""), values.get("t", "")
    return float(seconds) if remaining == "0" and seconds.isdigit() else None
