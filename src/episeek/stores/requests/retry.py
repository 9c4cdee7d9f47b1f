"""Repeat failed requests to a store, within the limits of a `RetryPolicy`.

An attempt raises `Transient` for a failure that may pass. Every other exception is final. When a limit is reached, the last failure
is raised with the error class that its `Transient` names.
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
    """Largest number of tries, including the first one."""
    max_seconds: float = 300.0
    """Largest time from the first try to the start of the last one, and largest duration of a single try.

    If a store asks for a wait that exceeds the remaining time, no further try is made.
    """
    first_wait_seconds: float = 0.2
    """Wait before the second try. It doubles before each further try, and is varied at random, unless the store asks for a wait."""
    max_wait_seconds: float = 10.0
    """Longest wait between two tries, unless the store asks for a longer wait."""
    connect_seconds: float = 5.0
    """Time limit for opening a connection."""
    stall_seconds: float = 15.0
    """Time limit for the next byte to arrive, before a response or within it."""

    def __post_init__(self) -> None:
        for name in ("max_attempts", "max_seconds", "connect_seconds", "stall_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: found {getattr(self, name)!r}; expected more than 0")
        for name in ("first_wait_seconds", "max_wait_seconds"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: found {getattr(self, name)!r}; expected 0 or more")


DEFAULT_POLICY = RetryPolicy()


class Transient(Exception):
    """A failure that may pass, so another try is worthwhile.

    Args:
        found: The failure, as a noun phrase for the message.
        error: The error class to raise if no further try is made.
        retry_after_seconds: The wait that the store asked for; None if it asked for none.
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
        attempt: A function that makes one try.
        policy: The limits for tries and waits.
        counter: Counts the retries and waits.
        where: The file and the range, for messages.
        expected: The expected response, as a noun phrase for messages.

    Raises:
        ReadError: A limit of the policy was reached. The last `Transient` names the class of the error.
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
                further = f", and the store asks for a wait of {demanded:.0f} s" if is_too_long else ""
                tries = f"{number} {'try' if number == 1 else 'tries'} in {elapsed:.1f} s{further}"
                raise failure.error(where, f"{failure.found} ({tries})", expected) from failure
        counter.add(retry_count=1, wait_seconds=wait)
        time.sleep(wait)
        number += 1


def wait_seconds(policy: RetryPolicy, number: int, retry_after_seconds: float | None) -> float:
    """Return the seconds to wait after try `number`.

    If the store asked for a wait, the result is at least as long. Otherwise the wait doubles with each try, up to
    `policy.max_wait_seconds`. In both cases the wait is varied at random.
    """
    backoff: float = min(policy.first_wait_seconds * 2 ** min(number - 1, 60), policy.max_wait_seconds)
    if retry_after_seconds is not None:
        # Clients that were asked to wait for the same time must not all try again at the same moment.
        return max(retry_after_seconds, 0.0) + random.uniform(0, backoff)
    return random.uniform(backoff / 2, backoff)
