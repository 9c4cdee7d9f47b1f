"""Trying again, within a stated budget, what a store or the network failed to do.

A source's attempt raises `Transient` for what another try may mend; everything else is final at once. When the budget is
used up the last failure is raised under its own name.
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
    """How long to try, for each request; every wait has its limit."""

    max_attempts: int = 6
    """Tries, the first one included."""
    max_seconds: float = 300.0
    """No further try is started later than this after the first one, waits included, and no try takes longer. A store that asks
    for a longer wait than is left is not tried again.
    """
    first_wait_seconds: float = 0.2
    """Before the second try; doubled for each further one, with jitter. A store's Retry-After goes first."""
    max_wait_seconds: float = 10.0
    connect_seconds: float = 5.0
    """For a connection."""
    stall_seconds: float = 15.0
    """Without any byte, before the response or within it."""

    def __post_init__(self) -> None:
        for name in ("max_attempts", "max_seconds", "connect_seconds", "stall_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: found {getattr(self, name)!r}; expected more than 0")
        for name in ("first_wait_seconds", "max_wait_seconds"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: found {getattr(self, name)!r}; expected 0 or more")


DEFAULT_POLICY = RetryPolicy()


class Transient(Exception):
    """A failure that another try may mend.

    Args:
        found: What happened.
        error: The class to raise when there is no further try.
        retry_after_seconds: What the store asked to wait, if it did.
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
    """The result of the first attempt that does not raise `Transient`.

    Args:
        attempt: One try.
        policy: The budget.
        counter: Told of retries and waits.
        where: The file and the range, for messages.
        expected: What should have come, for messages.

    Raises:
        ReadError: Or a leaf of it, as the last `Transient` says.
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
                asked = failure.retry_after_seconds
                further = f", and {asked:.0f} s to wait" if asked is not None and number < policy.max_attempts else ""
                tries = f"{number} {'try' if number == 1 else 'tries'} in {elapsed:.1f} s{further}"
                raise failure.error(where, f"{failure.found} ({tries})", expected) from failure
        counter.add(retry_count=1, wait_seconds=wait)
        time.sleep(wait)
        number += 1


def wait_seconds(policy: RetryPolicy, number: int, retry_after_seconds: float | None) -> float:
    """How long to wait before try `number` + 1: what the store asked for and a little more, else doubling, with jitter."""
    backoff: float = min(policy.first_wait_seconds * 2 ** min(number - 1, 60), policy.max_wait_seconds)
    if retry_after_seconds is not None:  # all that were told the same may not come back at the same moment
        return max(retry_after_seconds, 0.0) + random.uniform(0, backoff)
    return random.uniform(backoff / 2, backoff)
