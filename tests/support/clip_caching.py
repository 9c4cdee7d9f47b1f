"""A watched source for the tests of the cache of clips, and the waits of these tests."""

import dataclasses
import threading
import time

from episeek.stores.requests.retry import RetryPolicy
from tests.support.build_index import CAMERAS

TOP, WRIST = CAMERAS
NAME = "h264_bframes"
LONG = 10.0
"""Seconds after which a wait is a failure. Nothing here takes that long."""

QUICK = RetryPolicy(max_attempts=3, max_seconds=20, first_wait_seconds=0.01, max_wait_seconds=0.01)

SHORTEST = 20
"""Number of frames of the shortest episode."""


def wait_until(condition):
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


class Watched:
    """A source that records the requested ranges, holds them back at a gate and fails on demand."""

    def __init__(self, source):
        self.source = source
        self.requested: list = []
        self.gate = threading.Event()
        self.gate.set()
        self.failure: BaseException | None = None
        self.interruptions: list = []
        """Raised once each, before `failure`."""

    def __getattr__(self, name):
        return getattr(self.source, name)

    def get_ranges(self, path, ranges):
        self.requested.append((path, *ranges[0]))
        assert self.gate.wait(LONG)
        if self.interruptions:
            raise self.interruptions.pop()
        if self.failure is not None:
            raise self.failure
        return self.source.get_ranges(path, ranges)


def size_of(index, *requests):
    return sum(clip.byte_range[1] - clip.byte_range[0] for clip in index.clips(requests))


def settled(cache):
    """Nothing is on its way."""
    wait_until(lambda: not cache._state.get()._pending)
    return cache


def counts(cache):
    """What can be said exactly."""
    stats = dataclasses.asdict(cache.stats)
    return {name: count for name, count in stats.items() if name not in ("waited_seconds", "retry_wait_seconds")}


def expected_counts(**given):
    names = ["hits", "misses", "requests", "bytes_fetched", "bytes_wanted", "bytes_held", "evicted", "waits", "retries"]
    return dict.fromkeys(names, 0) | given


def in_threads(count, call):
    """What each thread's call returned or raised."""
    outcomes: list = []

    def run():
        try:
            outcomes.append(call())
        except BaseException as error:
            outcomes.append(error)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()

    def join():
        for thread in threads:
            thread.join(LONG)
            assert not thread.is_alive()
        return outcomes

    return join


A, B, C, D = (0, TOP, 0, 6), (1, TOP, 0, 6), (2, WRIST, 3, 9), (3, WRIST, 0, 20)
