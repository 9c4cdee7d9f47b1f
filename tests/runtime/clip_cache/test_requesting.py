"""The cache of clips: requested clips are held and dropped, and one fetch serves many callers."""

import pickle
import sys
import threading

import numpy as np
import pytest

import episeek
from episeek.errors import FrameRangeError
from tests.support import bar_code
from tests.support.amount import amount
from tests.support.build_index import CAMERAS
from tests.support.clip_caching import (
    LONG,
    NAME,
    TOP,
    A,
    B,
    C,
    D,
    counts,
    expected_counts,
    in_threads,
    size_of,
    wait_until,
)


def test_a_miss_then_hits(index, truth):
    with episeek.ClipCache(index) as cache:
        assert counts(cache) == expected_counts()
        first, again = cache.get(*A), cache.get(*A)
        size = size_of(index, A)
        assert counts(cache) == expected_counts(
            hits=1, misses=1, requests=1, bytes_fetched=size, bytes_wanted=2 * size, bytes_held=size, waits=1
        )
        assert first.fetch() == again.fetch() == truth(A)
        assert len(index.source.requested) == 1


def test_a_cached_clip_reads_and_decodes_without_a_request(index, indexes):
    with episeek.ClipCache(index) as cache:
        clip = cache.get(0, TOP, 20, 30)
        requested = list(index.source.requested)
        plain = indexes[NAME].clip(0, TOP, 20, 30)
        for lead_in in ("hidden", "shown"):
            assert clip.read(lead_in) == plain.read(lead_in)
        assert bar_code.read(np.asarray(clip.decode("pyav").data)) == list(range(20, 30))
        assert pickle.loads(pickle.dumps(clip)).read() == plain.read()
        assert index.source.requested == requested
    assert clip.read() == plain.read()  # the bytes are the clip's, the cache is closed


def test_the_least_recently_used_clips_go_first(index):
    with episeek.ClipCache(index, max_bytes=size_of(index, A, B, C)) as cache:
        for request in (A, B, C, A, (4, TOP, 0, 1)):  # B is the oldest then
            cache.get(*request)
        assert cache.stats.evicted == 1
        requested = len(index.source.requested)
        for request in (A, C, (4, TOP, 0, 1)):
            cache.get(*request)
        assert len(index.source.requested) == requested
        cache.get(*B)
        assert len(index.source.requested) == requested + 1


def test_a_clip_larger_than_the_cache_is_given_and_not_kept(index, truth):
    with episeek.ClipCache(index, max_bytes=size_of(index, A)) as cache:
        cache.get(*A)
        for _ in range(2):
            assert cache.get(*D).fetch() == truth(D)
        assert cache.get(*A).fetch() == truth(A)
        large, small = size_of(index, D), size_of(index, A)
        assert counts(cache) == expected_counts(
            hits=1,
            misses=3,
            requests=3,
            bytes_fetched=2 * large + small,
            bytes_wanted=2 * large + 2 * small,
            bytes_held=small,
            waits=3,
        )


def test_windows_of_the_same_bytes_are_one_entry(index):
    """Frames of one group of pictures can need the same range."""
    same = [(0, TOP, 0, stop) for stop in range(1, 12)]
    ranges = {index.clip(*request).byte_range for request in same}
    with episeek.ClipCache(index) as cache:
        for request in same:
            assert cache.get(*request).read() == index.clip(*request).mux(cache.get(*request).fetch())
        assert cache.stats.requests == len(ranges)


def test_many_threads_are_one_request(index, truth):
    with episeek.ClipCache(index) as cache:
        index.source.gate.clear()
        join = in_threads(16, lambda: cache.get(*A).fetch())
        wait_until(lambda: cache.stats.hits == 15)
        index.source.gate.set()
        assert set(join()) == {truth(A)}
        size = size_of(index, A)
        assert counts(cache) == expected_counts(
            hits=15, misses=1, requests=1, bytes_fetched=size, bytes_wanted=16 * size, bytes_held=size, waits=16
        )
        assert cache.stats.waited_seconds > 0


def test_a_clip_that_arrives_while_another_thread_asks_is_not_fetched_again(index):
    """A lookup and a claim are one step."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    requests = [(episode, camera, 0, 3) for episode in range(6) for camera in CAMERAS]
    try:
        for _ in range(amount(40, 10)):
            with episeek.ClipCache(index) as cache:
                barrier = threading.Barrier(6)

                def get_all(cache=cache, barrier=barrier):
                    barrier.wait(LONG)
                    for request in requests:
                        cache.get(*request)

                assert in_threads(6, get_all)() == [None] * 6
                assert cache.stats.requests == cache.stats.misses == len(requests)
                assert cache.stats.bytes_held == cache.stats.bytes_fetched == size_of(index, *requests)
    finally:
        sys.setswitchinterval(interval)


def test_who_waits_is_not_interrupted_with_the_thread_that_fetches(index, truth):
    with episeek.ClipCache(index) as cache:
        index.source.gate.clear()
        index.source.interruptions.append(KeyboardInterrupt())
        first = in_threads(1, lambda: cache.get(*A))
        wait_until(lambda: index.source.requested)
        others = in_threads(3, lambda: cache.get(*A).fetch())
        wait_until(lambda: cache.stats.hits == 3)
        index.source.gate.set()
        assert [type(outcome) for outcome in first()] == [KeyboardInterrupt]
        assert others() == [truth(A)] * 3
        assert cache.stats.requests == len(index.source.requested) == 2


@pytest.mark.parametrize("wrong", [(0, TOP, 5, 5), (0, TOP, 0, 1 << 70)])
def test_wrong_windows_are_not_counted(index, wrong):
    with episeek.ClipCache(index) as cache:
        with pytest.raises(FrameRangeError):
            cache.get(*wrong)
        with pytest.raises(FrameRangeError):
            cache.prefetch([A, wrong])
        assert counts(cache) == expected_counts()
        assert index.source.requested == []


@pytest.mark.parametrize(("name", "value"), [("max_bytes", 0), ("max_in_flight", 0), ("max_gap_bytes", -1)])
def test_limits_are_checked(index, name, value):
    with pytest.raises(ValueError, match=f"{name}: found {value}"):
        episeek.ClipCache(index, **{name: value})
