"""Repeat failed requests to a store, within the limits of a `RetryPolicy`.

An attempt raises `Transient` for a failure that may pass. Every other exception is final. When a limit is reached, the last failure
is raised as the error class that its `Transient` holds.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from episeek.errors import ReadError
from episeek.stores.transfers import TransferCounter

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits for repeating a failed request: how often, and for how long. Every wait has a limit."""

    max_attempts: int = 6
    """Greatest number of tries, including the first."""
    max_seconds: float = 300.0
    """Limit of the time from the first try to the start of the last one, and of each try. A store that demands a longer wait
    than the remaining time is not tried again.
    """
    first_wait_seconds: float = 0.2
    """Wait before the second try, doubled before each further one, with jitter. Retry-After of a store takes precedence."""
    max_wait_seconds: float = 10.0
    """Longest wait between two tries, unless the store demands a longer one."""
    connect_seconds: float = 5.0
    """Limit for opening a connection."""
    stall_seconds: float = 15.0
    """Limit of the time without any byte, before a response or within it."""

    def __post_init__(self) -> None:
        for name in ("max_attempts", "max_seconds", "connect_seconds", "stall_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: found {getattr(self, name)!r}; expected more than 0")
        for name in ("first_wait_seconds", "max_wait_seconds"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: found {getattr(self, name)!r}; expected 0 or more")


DEFAULT_POLICY = RetryPolicy()


class Transient(Exception):
    """A failure that may pass, so that it is worth trying again.

    Args:
        found: What happened.
        error: The error class to raise if there is no further try.
        retry_after_seconds: The wait that the store asked for; None if it did not.
    """

    def __init__(
        self, found: str, *, error: type[ReadError] = ReadError, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(found)
        self.found = found
        self.error = error
        self.retry_after_seconds = retry_after_seconds


def with_retries(
    attempt: Callable[[], T], *, policy: RetryPolicy, counter: TransferCounter, where: str, expected: str
) -> T:
    """Return the result of the first attempt that does not raise `Transient`.

    Args:
        attempt: One try.
        policy: The limits.
        counter: Counts the retries and waits.
        where: The file and the range, for messages.
        expected: A noun phrase for the answer, for messages.

    Raises:
        ReadError: A limit was reached. The error class is the one in the last `Transient`.
    """
    started = time.monotonic()
    number = 1
    while True:
        try:
            return attempt()
        except Transient as failure:
            elapsed = time.monotonic() - started
            wait = wait_seconds(policy, number, failure.retry_after_seconds)
            if number >= policy.max_attempts or elapsed + wait > policy.max_seconds:
                demanded = failure.retry_after_seconds
                is_too_long = demanded is not None and number < policy.max_attempts
                further = f", and {demanded:.0f} s to wait" if is_too_long else ""
                tries = f"{number} {'try' if number == 1 else 'tries'} in {elapsed:.1f} s{further}"
                raise failure.error(where, f"{failure.found} ({tries})", expected) from failure
        counter.add(retry_count=1, wait_seconds=wait)
        time.sleep(wait)
        number += 1


def wait_seconds(policy: RetryPolicy, number: int, retry_after_seconds: float | None) -> float:
    """Return the seconds to wait before try `number` + 1: a little more than the store asked for, or a doubling wait with
    jitter.
    """
    backoff: float = min(policy.first_wait_seconds * 2 ** min(number - 1, 60), policy.max_wait_seconds)
    if retry_after_seconds is not None:
        # clients that were given the same time must not all come back at the same moment
        return max(retry_after_seconds, 0.0) + random.uniform(0, backoff)
    return random.uniform(backoff / 2, backoff)
