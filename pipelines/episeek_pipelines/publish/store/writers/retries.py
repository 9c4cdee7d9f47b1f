"""Calling a store through fsspec: temporary errors are tried again, all others become errors of this package."""

from collections.abc import Callable
from typing import TypeVar

from episeek.errors import AccessError, ReadError, WriteError
from episeek.stores.processes.workers import call_within
from episeek.stores.requests.errors import is_final, retry_after_of, store_errors
from episeek.stores.requests.retry import RetryPolicy, Transient, with_retries
from episeek.stores.transfers import TransferCounter
from episeek_pipelines.publish.errors import masked

T = TypeVar("T")

_SLOWEST_BYTES_PER_SECOND = 100_000
"""Slowest rate of an upload; one that takes longer is given up."""


def call_store(
    call: Callable[[], T], *, where: str, expected: str, policy: RetryPolicy, byte_count: int = 0, is_write: bool = True
) -> T:
    """Return the result of a call that may be made twice.

    Args:
        call: The call of a file system.
        where: The file or root, for messages.
        expected: The expected outcome, for messages.
        policy: How long to try.
        byte_count: Bytes that are sent.
        is_write: Whether the call changes something. A call that does not runs in this thread, since fsspec has a client for each.

    Raises:
        WriteError: The store does not do it; ReadError for a call that changes nothing.
        MissingFileError: There is no such file, or no such bucket.
        AccessError: The credentials do not allow it.
        WaitLimitError: The time is up.
    """
    seconds = policy.max_seconds + byte_count / _SLOWEST_BYTES_PER_SECOND

    def once() -> T:
        try:
            with store_errors(where):
                return call_within(call, seconds) if is_write else call()
        except ReadError as error:
            if error.__cause__ is None or is_final(error.__cause__):
                raise
            wait_seconds = retry_after_of(getattr(error.__cause__, "headers", None))
            raise Transient(error.found, error=type(error), retry_after_seconds=wait_seconds) from error.__cause__

    try:
        return with_retries(once, policy=policy, counter=TransferCounter(), where=where, expected=expected)
    except AccessError as error:
        raise AccessError(
            where, masked(error.found, ()), f"credentials that may {'write' if is_write else 'list'} it"
        ) from None
    except ReadError as error:
        found = masked(error.found, ())
        if not is_write or type(error) is not ReadError:
            raise type(error)(error.where, found, error.expected, error.hint) from None
        raise WriteError(where, found, expected) from None
