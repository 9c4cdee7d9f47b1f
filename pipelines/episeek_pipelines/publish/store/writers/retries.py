"""Call a store through fsspec: repeat a call after a temporary error, and translate other errors into errors of this package."""

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
"""The lowest rate of an upload. The time limit of a call is extended by the time that its bytes take at this rate."""


def call_store(
    call: Callable[[], T], *, where: str, expected: str, policy: RetryPolicy, byte_count: int = 0, is_write: bool = True
) -> T:
    """Call a function of a file system, repeat the call after temporary errors, and return its result.

    Args:
        call: The function to call. It may be called several times.
        where: The file or root, for messages.
        expected: The expected outcome, for messages.
        policy: The time limit and the retries.
        byte_count: Number of bytes that the call sends. The time limit is extended in proportion.
        is_write: Whether the call changes something. A call that changes nothing runs in the caller's thread, because fsspec has a
            separate client for each thread.

    Raises:
        WriteError: The store refuses a change.
        ReadError: The store refuses a call that changes nothing.
        MissingFileError: The file or the bucket does not exist.
        AccessError: The credentials do not allow the call.
        WaitLimitError: The time limit is reached.
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
            where,
            masked(error.found, ()),
            f"credentials with the right to {'write to' if is_write else 'list'} this location",
        ) from None
    except ReadError as error:
        found = masked(error.found, ())
        if not is_write or type(error) is not ReadError:
            raise type(error)(error.where, found, error.expected, error.hint) from None
        raise WriteError(where, found, expected) from None
