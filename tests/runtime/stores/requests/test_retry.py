"""Retries: the budget in tries and seconds, waits that a store demands, waits between tries, counts and messages."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from episeek.errors import MissingFileError, ReadError, ShortReadError, WaitLimitError
from episeek.stores.requests import retry
from episeek.stores.requests.retry import RetryPolicy, Transient, wait_seconds, with_retries
from episeek.stores.transfers import TransferCounter, Transfers

WHERE, EXPECTED = "s3://bucket/file.mp4, bytes [0, 9)", "the bytes of this range"


class Clock:
    """A clock that advances only by sleeping and by the duration of attempts."""

    def __init__(self):
        self.now = 1000.0
        self.slept = []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        assert seconds >= 0
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(retry, "time", clock)
    return clock


class Store:
    """Attempts that fail with each of `failures` and then succeed."""

    def __init__(self, *failures, clock=None, attempt_seconds=0.0):
        self.failures = list(failures)
        self.clock, self.attempt_seconds = clock, attempt_seconds
        self.counter = TransferCounter()
        self.tries = 0

    def attempt(self):
        self.tries += 1
        if self.clock is not None:
            self.clock.now += self.attempt_seconds
        if self.failures:
            raise self.failures.pop(0)
        return "bytes"

    def read(self, policy):
        return with_retries(self.attempt, policy=policy, counter=self.counter, where=WHERE, expected=EXPECTED)


def test_the_first_try_waits_for_nothing(clock):
    store = Store()
    assert store.read(RetryPolicy()) == "bytes"
    assert clock.slept == []
    assert store.counter.snapshot() == Transfers()


@pytest.mark.parametrize("most", [1, 2, 3, 6])
def test_tries_are_counted_from_the_first(clock, most):
    policy = RetryPolicy(max_attempts=most)
    assert Store(*[Transient("no")] * (most - 1)).read(policy) == "bytes"
    store = Store(*[Transient("no")] * most)
    with pytest.raises(ReadError):
        store.read(policy)
    assert store.tries == most
    assert store.counter.snapshot().retry_count == most - 1


def test_waits_double_up_to_their_limit_with_jitter_of_half(clock):
    policy = RetryPolicy(max_attempts=9, first_wait_seconds=0.5, max_wait_seconds=6.0)
    store = Store(*[Transient("no")] * 8)
    store.read(policy)
    for waited, backoff in zip(clock.slept, [0.5, 1, 2, 4, 6, 6, 6, 6], strict=True):
        assert backoff / 2 <= waited <= backoff
    assert store.counter.snapshot().wait_seconds == pytest.approx(sum(clock.slept))
    assert len(set(clock.slept)) == 8


@given(
    st.integers(1, 60),
    st.floats(0, 100),
    st.floats(0, 100),
    st.one_of(st.none(), st.floats(-5, 1000)),
    st.integers(0, 1 << 32),
)
def test_bounds_of_a_wait(number, first, most, demanded, seed):
    random.seed(seed)
    policy = RetryPolicy(first_wait_seconds=first, max_wait_seconds=most)
    backoff = min(first * 2 ** (number - 1), most)
    waited = wait_seconds(policy, number, demanded)
    if demanded is None:
        assert backoff / 2 <= waited <= backoff
    else:
        assert max(demanded, 0) <= waited <= max(demanded, 0) + backoff


def test_jitter_spreads_over_its_bounds():
    random.seed(7)
    policy = RetryPolicy(first_wait_seconds=1.0)
    drawn = sorted(wait_seconds(policy, 1, None) for _ in range(500))
    assert drawn[0] < 0.52
    assert drawn[-1] > 0.98
    assert max(after - before for before, after in pairwise(drawn)) < 0.05
    after_asked = sorted(wait_seconds(policy, 1, 3.0) for _ in range(500))
    assert after_asked[0] < 3.05
    assert after_asked[-1] > 3.95


def test_what_the_store_asks_for_goes_first(clock):
    store = Store(Transient("status 429", retry_after_seconds=7.0), Transient("status 503"))
    assert store.read(RetryPolicy(first_wait_seconds=0.2)) == "bytes"
    assert 7.0 <= clock.slept[0] <= 7.2
    assert 0.2 <= clock.slept[1] <= 0.4


def test_a_wait_longer_than_what_is_left_is_refused_at_once(clock):
    store = Store(Transient("status 429", retry_after_seconds=301.0))
    with pytest.raises(ReadError) as caught:
        store.read(RetryPolicy(max_seconds=300))
    assert clock.slept == []
    assert store.tries == 1
    assert store.counter.snapshot() == Transfers()
    assert caught.value.found == "status 429 (1 try in 0.0 s, and the store asks for a wait of 301 s)"


def test_seconds_count_tries_and_waits(clock):
    policy = RetryPolicy(max_attempts=1000, max_seconds=30, first_wait_seconds=1, max_wait_seconds=1)
    store = Store(*[Transient("no")] * 1000, clock=clock, attempt_seconds=4.0)
    started = clock.now
    with pytest.raises(ReadError) as caught:
        store.read(policy)
    assert 25 <= clock.now - started <= 30 + 4
    assert 6 <= store.tries <= 7
    assert f"{store.tries} tries in {clock.now - started:.1f} s" in caught.value.found


def test_no_try_begins_after_the_budget(clock):
    """The budget ends the tries, also if a single one used it up."""
    store = Store(Transient("no"), clock=clock, attempt_seconds=31.0)
    with pytest.raises(ReadError, match=r"no \(1 try in 31\.0 s\)"):
        store.read(RetryPolicy(max_seconds=30))
    assert clock.slept == []


@pytest.mark.parametrize("kind", [ReadError, ShortReadError, WaitLimitError])
def test_the_last_failure_gives_the_error_its_name(clock, kind):
    last = Transient("a response that broke off", error=kind)
    store = Store(Transient("status 503"), last)
    with pytest.raises(ReadError) as caught:
        store.read(RetryPolicy(max_attempts=2))
    error = caught.value
    assert type(error) is kind
    assert (error.where, error.expected) == (WHERE, EXPECTED)
    assert error.found == f"a response that broke off (2 tries in {clock.slept[0]:.1f} s)"
    assert error.__cause__ is last


@pytest.mark.parametrize("final", [MissingFileError("here", "this", "that"), ValueError("no"), KeyboardInterrupt()])
def test_anything_else_is_final(clock, final):
    store = Store(Transient("no"), final, Transient("not seen"))
    with pytest.raises(type(final)) as caught:
        store.read(RetryPolicy())
    assert caught.value is final
    assert store.tries == 2
    assert store.counter.snapshot().retry_count == 1


@pytest.mark.parametrize("name", ["max_attempts", "max_seconds", "connect_seconds", "stall_seconds"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_budget_is_more_than_nothing(name, value):
    with pytest.raises(ValueError, match=f"{name}: found {value!r}; expected more than 0"):
        RetryPolicy(**{name: value})


def test_any_number_of_tries():
    policy = RetryPolicy(max_attempts=10_000, first_wait_seconds=0.5, max_wait_seconds=3)
    assert 1.5 <= wait_seconds(policy, 9_999, None) <= 3
    for name in ("first_wait_seconds", "max_wait_seconds"):
        with pytest.raises(ValueError, match=f"{name}: found -1"):
            RetryPolicy(**{name: -1})
