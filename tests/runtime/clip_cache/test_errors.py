"""The cache of clips: errors and counts, also over HTTP."""

import pytest

import episeek
from episeek.errors import MissingFileError, ReadError, WaitLimitError
from episeek.stores.requests.retry import RetryPolicy
from tests.servers.faults import Fault
from tests.support.build_index import CAMERAS
from tests.support.clip_caching import A, B, C, counts, in_threads, settled, size_of, wait_until


def test_an_error_of_a_prefetch_is_raised_once_by_each_of_its_clips(index, truth):
    with episeek.ClipCache(index) as cache:
        index.source.failure = MissingFileError("here", "this", "that")
        assert cache.prefetch([A, B]) == 2  # one request
        settled(cache)
        index.source.failure = None
        assert cache.get(*C).fetch() == truth(C)
        for request in (A, B):
            with pytest.raises(MissingFileError, match="here"):
                cache.get(*request)
            assert cache.get(*request).fetch() == truth(request)
        assert counts(cache)["requests"] == 4


def test_prefetching_again_forgets_the_error(index, truth):
    with episeek.ClipCache(index) as cache:
        index.source.failure = ReadError("here", "this", "that")
        cache.prefetch([A])
        settled(cache)
        index.source.failure = None
        cache.prefetch([A])
        settled(cache)
        assert cache.get(*A).fetch() == truth(A)


@pytest.mark.parametrize("is_ahead", [False, True])
def test_who_waits_gets_the_error_and_who_comes_later_tries_again(index, truth, is_ahead):
    with episeek.ClipCache(index) as cache:
        index.source.gate.clear()
        index.source.failure = ReadError("here", "this", "that")
        if is_ahead:
            cache.prefetch([A])
            wait_until(lambda: index.source.requested)
        join = in_threads(5, lambda: cache.get(*A))
        wait_until(lambda: cache.stats.hits + cache.stats.misses == 5)
        index.source.gate.set()
        assert [type(outcome) for outcome in join()] == [ReadError] * 5
        assert len(index.source.requested) == 1
        index.source.failure = None
        assert cache.get(*A).fetch() == truth(A)


def test_an_interruption_is_not_kept_for_other_clips(index, truth):
    """Ctrl-C interrupts a `get` that took over a queued request: the other clip of the request is not affected."""
    with episeek.ClipCache(index, max_in_flight=1) as cache:
        index.source.gate.clear()
        cache.prefetch([C])
        wait_until(lambda: index.source.requested)
        cache.prefetch([A, B])  # one request, behind C
        index.source.failure = KeyboardInterrupt()
        get = in_threads(1, lambda: cache.get(*A))
        wait_until(lambda: len(index.source.requested) == 2)
        index.source.gate.set()
        assert [type(outcome) for outcome in get()] == [KeyboardInterrupt]
        settled(cache)
        index.source.failure = None
        for request in (A, B, C):
            assert cache.get(*request).fetch() == truth(request)
        assert cache._state.get()._ahead_bytes == 0


def test_a_fetch_that_never_ends_is_a_named_error(index):
    index.retry = RetryPolicy(max_seconds=0.02)
    with episeek.ClipCache(index) as cache:
        index.source.gate.clear()
        cache.prefetch([A])
        wait_until(lambda: index.source.requested)
        with pytest.raises(WaitLimitError, match=r"file-000\.mp4, bytes .* no answer after 0\.08 s"):
            cache.get(*A)
        index.source.gate.set()


def test_faults_of_the_network_are_raised_by_get_and_counted(server, served, truth):
    with episeek.ClipCache(served, max_gap_bytes=0) as cache:
        server.inject(Fault("status", status=503, times=2))
        assert cache.get(*A).fetch() == truth(A)
        server.inject(Fault("status", status=503, times=3))
        assert cache.prefetch([B]) == 1
        settled(cache)
        with pytest.raises(ReadError, match=r"status 503 \(3 tries"):
            cache.get(*B)
        assert cache.get(*B).fetch() == truth(B)
        stats = cache.stats
        assert (stats.hits, stats.misses, stats.requests, stats.retries) == (0, 3, 3, 4)
        assert (stats.waits, stats.bytes_fetched) == (2, size_of(served, A, B))
        assert stats.waited_seconds > stats.retry_wait_seconds / 2 > 0
        assert len(server.exchanges()) == stats.requests + stats.retries


@pytest.mark.parametrize("kind", ["drop", "reset", "truncate", "not_http", "gone"])
def test_prefetch_never_raises_what_the_network_does(server, served, kind):
    with episeek.ClipCache(served, max_gap_bytes=0) as cache:
        server.inject(Fault(kind, times=1000))
        assert cache.prefetch([A, B, C]) == 3
        settled(cache)
        for request in (A, B, C):
            with pytest.raises(ReadError):
                cache.get(*request)


def test_the_server_sees_what_the_cache_says(server, served, truth):
    with episeek.ClipCache(served) as cache:
        requests = [(episode, camera, 2, 12) for episode in range(6) for camera in CAMERAS]
        assert cache.prefetch(requests) == 12
        for request in requests:
            assert cache.get(*request).fetch() == truth(request)
        stats = cache.stats
        assert len(server.exchanges()) == stats.requests == 2
        assert sum(log.sent_bytes for log in server.exchanges()) == stats.bytes_fetched
        assert stats.bytes_wanted == size_of(served, *requests) <= stats.bytes_fetched
