"""The cache of clips is closed, cleared and pickled, and does not keep a program from ending."""

import gc
import pickle
import random
import subprocess
import sys
import threading
import time

import pytest

import episeek
from episeek.errors import ReadError
from tests.servers.faults import Fault
from tests.support.build_index import CAMERAS
from tests.support.clip_caching import NAME, TOP, A, B, C, counts, expected_counts, in_threads, settled, wait_until


def test_a_closed_cache(index):
    cache = episeek.ClipCache(index)
    cache.get(*A)
    for _ in range(2):
        cache.close()
    for ask in (lambda: cache.get(*A), lambda: cache.prefetch([A]), lambda: cache.prefetch([])):
        with pytest.raises(ValueError, match="the cache is closed"):
            ask()
    assert cache.stats.bytes_held == 0
    assert cache.stats.misses == 1


def test_a_cache_that_was_never_used(index):
    with episeek.ClipCache(index) as cache:
        pass
    with pytest.raises(ValueError, match="the cache is closed"):
        cache.get(*A)


def test_closing_while_the_first_thread_begins(index):
    cache = episeek.ClipCache(index)
    make = cache._new_state

    def closing():
        state = make()
        cache.close()
        return state

    cache._state._make = closing
    with pytest.raises(ValueError, match="the cache is closed"):
        cache.prefetch([A])
    assert index.source.requested == []


def test_closing_with_requests_under_way_and_queued(index, truth):
    cache = episeek.ClipCache(index, max_in_flight=1, max_gap_bytes=0)
    index.source.gate.clear()
    cache.prefetch([A, B, C])
    wait_until(lambda: index.source.requested)
    under_way = in_threads(3, lambda: cache.get(*A).fetch())
    wait_until(lambda: cache.stats.hits == 3)
    before = time.monotonic()
    cache.close()
    assert time.monotonic() - before < 30
    index.source.gate.set()
    assert under_way() == [truth(A)] * 3
    time.sleep(0.02)
    assert len(index.source.requested) == 1  # nothing more is started
    assert cache.stats.bytes_held == 0


def test_who_waits_for_what_was_not_started_gets_a_named_error(index):
    cache = episeek.ClipCache(index)
    state = cache._open_state()
    start = state.start

    def closing(fetch):
        cache.close()  # between claiming and starting
        return start(fetch)

    state.start = closing  # type: ignore[method-assign]
    with pytest.raises(ReadError, match=r"file-000\.mp4, bytes .* found a cache that was closed"):
        cache.get(*A)
    assert index.source.requested == []


def test_closing_at_any_moment(index, truth):
    """Each call ends with bytes or with one of the two errors of a closed cache."""
    generator = random.Random(3)
    requests = [(episode, camera, 0, 3) for episode in range(6) for camera in CAMERAS]
    allowed = {truth(request) for request in requests}
    for _ in range(30):
        cache = episeek.ClipCache(index, max_in_flight=2, max_gap_bytes=0)

        def use(cache=cache):
            for request in generator.sample(requests, 8):
                cache.prefetch(requests)
                assert cache.get(*request).fetch() in allowed

        join = in_threads(4, use)
        time.sleep(generator.random() * 0.01)
        cache.close()
        for outcome in join():
            assert outcome is None or (isinstance(outcome, ValueError | ReadError) and "closed" in str(outcome))


def test_a_cache_that_was_dropped_leaves_no_thread(index):
    def threads():
        return [thread for thread in threading.enumerate() if thread.name.startswith("episeek-prefetch")]

    wait_until(lambda: not threads())
    cache = episeek.ClipCache(index)
    cache.prefetch([A, B])
    settled(cache)
    assert threads()
    del cache
    gc.collect()
    wait_until(lambda: not threads())


def test_a_cache_pickles_as_an_empty_one(index, served):
    cache = episeek.ClipCache(served, max_bytes=12345, max_in_flight=3, max_gap_bytes=7)
    cache.get(0, TOP, 0, 1)
    again = pickle.loads(pickle.dumps(cache))
    assert (again.max_bytes, again.max_in_flight, again.max_gap_bytes) == (12345, 3, 7)
    assert counts(again) == expected_counts()
    assert again.get(0, TOP, 0, 1).read() == cache.get(0, TOP, 0, 1).read()
    assert len(pickle.dumps(cache)) < 1000
    assert repr(again) == repr(cache)


PROGRAM = """
import sys, time
import episeek
from episeek.stores.requests.retry import RetryPolicy
sidecars, url, transport = sys.argv[1:]
index = episeek.open(sidecars, data_root=url, verify="size", transport=transport)
cache = episeek.ClipCache(index, max_gap_bytes=0)
cache.prefetch([(episode, "observation.images.top", 0, 3) for episode in range(6)])
end = time.monotonic() + 10
while cache.stats.requests < 6 and time.monotonic() < end:
    time.sleep(0.01)
time.sleep(0.2)
print(cache.stats.requests, cache.stats.bytes_fetched)
"""


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
def test_a_program_ends_while_a_prefetch_hangs(server, served, sidecar_roots, transport):
    server.inject(Fault("stall", seconds=60, times=100))
    before = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(sidecar_roots[NAME]), server.url, transport],
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "6 0\n", "")
    assert time.monotonic() - before < 38  # a stall lasts a minute
