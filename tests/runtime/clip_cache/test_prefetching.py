"""The cache of clips fetches ahead."""

import random
import time

import pytest

import episeek
from tests.support.build_index import CAMERAS
from tests.support.clip_caching import (
    TOP,
    WRIST,
    A,
    B,
    C,
    D,
    counts,
    expected_counts,
    in_threads,
    settled,
    size_of,
    wait_until,
)


def test_prefetched_clips_are_there(index, truth):
    with episeek.ClipCache(index, max_gap_bytes=0) as cache:
        assert cache.prefetch([A, B, C]) == 3
        settled(cache)
        requested = list(index.source.requested)
        assert [cache.get(*request).fetch() for request in (A, B, C)] == [truth(request) for request in (A, B, C)]
        assert index.source.requested == requested
        size = size_of(index, A, B, C)
        assert counts(cache) == expected_counts(
            hits=3, requests=3, bytes_fetched=size, bytes_wanted=size, bytes_held=size
        )


def test_near_clips_share_a_request_and_gaps_are_counted(index, truth):
    with episeek.ClipCache(index) as cache:
        assert cache.prefetch([B, A, C, A]) == 4
        settled(cache)
        a, b = index.clip(*A).byte_range, index.clip(*B).byte_range
        assert cache.stats.requests == 2
        assert cache.stats.bytes_fetched == b[1] - a[0] + size_of(index, C)
        assert cache.stats.bytes_held == size_of(index, A, B, C)
        assert [cache.get(*request).fetch() for request in (A, B, C)] == [truth(request) for request in (A, B, C)]


def test_the_first_clips_are_fetched_first(index):
    with episeek.ClipCache(index, max_in_flight=1, max_gap_bytes=0) as cache:
        requests = [(episode, camera, 0, 2) for episode in range(6) for camera in CAMERAS]
        random.Random(5).shuffle(requests)
        cache.prefetch(requests)
        settled(cache)
        assert index.source.requested == [(clip.file_path, *clip.byte_range) for clip in index.clips(requests)]


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_requests_than_allowed_are_under_way(index, most):
    with episeek.ClipCache(index, max_in_flight=most, max_gap_bytes=0) as cache:
        index.source.gate.clear()
        cache.prefetch([(episode, TOP, 0, 2) for episode in range(6)])
        wait_until(lambda: len(index.source.requested) == most)
        time.sleep(0.05)
        assert len(index.source.requested) == most
        index.source.gate.set()
        settled(cache)
        assert len(index.source.requested) == 6


def test_prefetching_again_fetches_once(index):
    with episeek.ClipCache(index, max_gap_bytes=0) as cache:
        index.source.gate.clear()
        assert in_threads(4, lambda: cache.prefetch([A, B, C]))() == [3] * 4
        index.source.gate.set()
        settled(cache)
        assert cache.prefetch([A, B, C]) == 3
        settled(cache)
        assert len(index.source.requested) == 3


def test_a_queued_clip_that_is_asked_for_does_not_queue(index, truth):
    with episeek.ClipCache(index, max_in_flight=1, max_gap_bytes=0) as cache:
        gate = index.source.gate
        gate.clear()
        cache.prefetch([A, B, C])
        wait_until(lambda: index.source.requested)
        get = in_threads(1, lambda: cache.get(*C).fetch())
        wait_until(lambda: len(index.source.requested) == 2)  # while the only thread that prefetches is held back
        gate.set()
        assert get() == [truth(C)]
        settled(cache)
        assert [path_and_range[0] for path_and_range in index.source.requested] == [
            index.clip(*request).file_path for request in (A, C, B)
        ]
        assert cache.stats.requests == 3


def test_only_what_there_is_room_for_is_fetched_ahead(index):
    with episeek.ClipCache(index, max_bytes=size_of(index, A, B), max_gap_bytes=0) as cache:
        assert cache.prefetch([A, B, C]) == 2
        assert cache.prefetch([C]) == 0
        settled(cache)
        assert cache.prefetch([C]) == 0
        assert len(index.source.requested) == 2
        cache.get(*A)
        assert cache.prefetch([(4, TOP, 0, 1)]) == 1  # A may go now
        settled(cache)
        cache.get(*B)
        assert len(index.source.requested) == 3
        assert cache.stats.evicted == 1


def test_clips_fetched_ahead_are_not_driven_out_by_others(index):
    with episeek.ClipCache(index, max_bytes=size_of(index, A, B), max_gap_bytes=0) as cache:
        cache.prefetch([A, B])
        settled(cache)
        for episode in range(2, 6):
            cache.get(episode, TOP, 0, 2)
            cache.prefetch([(episode, WRIST, 0, 2)])
        settled(cache)
        requested = len(index.source.requested)
        cache.get(*A)
        cache.get(*B)
        assert len(index.source.requested) == requested


def test_clips_that_are_there_already_stay_when_they_are_prefetched(index):
    """Clips that `prefetch` has accepted must be there when they are requested."""
    with episeek.ClipCache(index, max_bytes=size_of(index, A, B), max_gap_bytes=0) as cache:
        cache.get(*A)
        assert cache.prefetch([A, B, C]) == 2
        settled(cache)
        cache.get(*C)  # has to go again at once
        requested = len(index.source.requested)
        cache.get(*A)
        cache.get(*B)
        assert len(index.source.requested) == requested == 3


def test_a_clip_too_large_for_the_cache_does_not_stand_in_the_way(index, truth):
    small = [(4, TOP, 0, 1), (5, TOP, 0, 1)]
    with episeek.ClipCache(index, max_bytes=size_of(index, D) - 1, max_gap_bytes=0) as cache:
        assert cache.prefetch([small[0], D, small[1]]) == 3
        settled(cache)
        assert len(index.source.requested) == 2
        assert cache.get(*D).fetch() == truth(D)
        assert cache.get(*small[1]).fetch() == truth(small[1])
        assert len(index.source.requested) == 3
