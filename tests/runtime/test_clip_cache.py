"""The cache of clips: what it counts, keeps and drops; one fetch for many; prefetching; errors; closing; threads."""

import dataclasses
import gc
import pickle
import random
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import episeek
from episeek.errors import FrameRangeError, MissingFileError, ReadError, WaitLimitError
from episeek.retry import RetryPolicy
from tests.servers.faults import Fault
from tests.servers.range_server import RangeServer
from tests.support import bar_code
from tests.support.build_index import CAMERAS, DATA

TOP, WRIST = CAMERAS
NAME = "h264_bframes"
LONG = 10.0
"""Seconds that nothing here takes: a wait that long is a failure."""
QUICK = RetryPolicy(max_attempts=3, max_seconds=20, first_wait_seconds=0.01, max_wait_seconds=0.01)
SHORTEST = 20
"""Frames of the shortest episode."""


def wait_until(condition):
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


class Watched:
    """A source that notes what it is asked for, holds it back and fails where it is told to."""

    def __init__(self, source):
        self.source = source
        self.asked: list = []
        self.gate = threading.Event()
        self.gate.set()
        self.failure: BaseException | None = None
        self.interruptions: list = []
        """Raised once each, before `failure`."""

    def __getattr__(self, name):
        return getattr(self.source, name)

    def get_ranges(self, path, ranges):
        self.asked.append((path, *ranges[0]))
        assert self.gate.wait(LONG)
        if self.interruptions:
            raise self.interruptions.pop()
        if self.failure is not None:
            raise self.failure
        return self.source.get_ranges(path, ranges)


@pytest.fixture
def index(sidecar_roots):
    """Its own one for each test, with a watched source."""
    index = episeek.open(sidecar_roots[NAME], data_root=DATA / NAME, retry=QUICK)
    source = index.source = Watched(index.source)
    yield index
    source.gate.set()


@pytest.fixture
def truth(indexes):
    """The bytes of a clip's range, from the file."""

    def read(request):
        clip = indexes[NAME].clip(*request)
        return (DATA / NAME / clip.file_path).read_bytes()[slice(*clip.byte_range)]

    return read


@pytest.fixture(scope="module")
def server():
    with RangeServer(DATA / NAME) as server:
        yield server


@pytest.fixture
def served(server, sidecar_roots):
    """Over HTTP; only sizes are checked: a request for each range that is read, and no other one."""
    server.clear_faults()
    server.shape()
    server.clear()
    return episeek.open(sidecar_roots[NAME], data_root=server.url, verify="size", retry=QUICK)


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


# --- asking ---------------------------------------------------------------------------------------------------------------


def test_a_miss_then_hits(index, truth):
    with episeek.ClipCache(index) as cache:
        assert counts(cache) == expected_counts()
        first, again = cache.get(*A), cache.get(*A)
        size = size_of(index, A)
        assert counts(cache) == expected_counts(
            hits=1, misses=1, requests=1, bytes_fetched=size, bytes_wanted=2 * size, bytes_held=size, waits=1
        )
        assert first.fetch() == again.fetch() == truth(A)
        assert len(index.source.asked) == 1


def test_a_cached_clip_reads_and_decodes_without_a_request(index, indexes):
    with episeek.ClipCache(index) as cache:
        clip = cache.get(0, TOP, 20, 30)
        asked = list(index.source.asked)
        plain = indexes[NAME].clip(0, TOP, 20, 30)
        for lead_in in ("hidden", "shown"):
            assert clip.read(lead_in) == plain.read(lead_in)
        assert bar_code.read(np.asarray(clip.decode("pyav").data)) == list(range(20, 30))
        assert pickle.loads(pickle.dumps(clip)).read() == plain.read()
        assert index.source.asked == asked
    assert clip.read() == plain.read()  # the bytes are the clip's, the cache is closed


def test_the_least_recently_used_clips_go_first(index):
    with episeek.ClipCache(index, max_bytes=size_of(index, A, B, C)) as cache:
        for request in (A, B, C, A, (4, TOP, 0, 1)):  # B is the oldest then
            cache.get(*request)
        assert cache.stats.evicted == 1
        asked = len(index.source.asked)
        for request in (A, C, (4, TOP, 0, 1)):
            cache.get(*request)
        assert len(index.source.asked) == asked
        cache.get(*B)
        assert len(index.source.asked) == asked + 1


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
    """Frames of one group of pictures may need the same range."""
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
    """Looking and claiming are one step."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    requests = [(episode, camera, 0, 3) for episode in range(6) for camera in CAMERAS]
    try:
        for _ in range(40):
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
        wait_until(lambda: index.source.asked)
        others = in_threads(3, lambda: cache.get(*A).fetch())
        wait_until(lambda: cache.stats.hits == 3)
        index.source.gate.set()
        assert [type(outcome) for outcome in first()] == [KeyboardInterrupt]
        assert others() == [truth(A)] * 3
        assert cache.stats.requests == len(index.source.asked) == 2


@pytest.mark.parametrize("wrong", [(0, TOP, 5, 5), (0, TOP, 0, 1 << 70)])
def test_wrong_windows_are_not_counted(index, wrong):
    with episeek.ClipCache(index) as cache:
        with pytest.raises(FrameRangeError):
            cache.get(*wrong)
        with pytest.raises(FrameRangeError):
            cache.prefetch([A, wrong])
        assert counts(cache) == expected_counts()
        assert index.source.asked == []


@pytest.mark.parametrize(("name", "value"), [("max_bytes", 0), ("max_in_flight", 0), ("max_gap_bytes", -1)])
def test_limits_are_checked(index, name, value):
    with pytest.raises(ValueError, match=f"{name}: found {value}"):
        episeek.ClipCache(index, **{name: value})


# --- fetching ahead -------------------------------------------------------------------------------------------------------


def test_prefetched_clips_are_there(index, truth):
    with episeek.ClipCache(index, max_gap_bytes=0) as cache:
        assert cache.prefetch([A, B, C]) == 3
        settled(cache)
        asked = list(index.source.asked)
        assert [cache.get(*request).fetch() for request in (A, B, C)] == [truth(request) for request in (A, B, C)]
        assert index.source.asked == asked
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
        assert index.source.asked == [(clip.file_path, *clip.byte_range) for clip in index.clips(requests)]


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_requests_than_allowed_are_under_way(index, most):
    with episeek.ClipCache(index, max_in_flight=most, max_gap_bytes=0) as cache:
        index.source.gate.clear()
        cache.prefetch([(episode, TOP, 0, 2) for episode in range(6)])
        wait_until(lambda: len(index.source.asked) == most)
        time.sleep(0.05)
        assert len(index.source.asked) == most
        index.source.gate.set()
        settled(cache)
        assert len(index.source.asked) == 6


def test_prefetching_again_fetches_once(index):
    with episeek.ClipCache(index, max_gap_bytes=0) as cache:
        index.source.gate.clear()
        assert in_threads(4, lambda: cache.prefetch([A, B, C]))() == [3] * 4
        index.source.gate.set()
        settled(cache)
        assert cache.prefetch([A, B, C]) == 3
        settled(cache)
        assert len(index.source.asked) == 3


def test_a_queued_clip_that_is_asked_for_does_not_queue(index, truth):
    with episeek.ClipCache(index, max_in_flight=1, max_gap_bytes=0) as cache:
        gate = index.source.gate
        gate.clear()
        cache.prefetch([A, B, C])
        wait_until(lambda: index.source.asked)
        get = in_threads(1, lambda: cache.get(*C).fetch())
        wait_until(lambda: len(index.source.asked) == 2)  # while the only thread that prefetches is held back
        gate.set()
        assert get() == [truth(C)]
        settled(cache)
        assert [path_and_range[0] for path_and_range in index.source.asked] == [
            index.clip(*request).file_path for request in (A, C, B)
        ]
        assert cache.stats.requests == 3


def test_only_what_there_is_room_for_is_fetched_ahead(index):
    with episeek.ClipCache(index, max_bytes=size_of(index, A, B), max_gap_bytes=0) as cache:
        assert cache.prefetch([A, B, C]) == 2
        assert cache.prefetch([C]) == 0
        settled(cache)
        assert cache.prefetch([C]) == 0
        assert len(index.source.asked) == 2
        cache.get(*A)
        assert cache.prefetch([(4, TOP, 0, 1)]) == 1  # A may go now
        settled(cache)
        cache.get(*B)
        assert len(index.source.asked) == 3
        assert cache.stats.evicted == 1


def test_clips_fetched_ahead_are_not_driven_out_by_others(index):
    with episeek.ClipCache(index, max_bytes=size_of(index, A, B), max_gap_bytes=0) as cache:
        cache.prefetch([A, B])
        settled(cache)
        for episode in range(2, 6):
            cache.get(episode, TOP, 0, 2)
            cache.prefetch([(episode, WRIST, 0, 2)])
        settled(cache)
        asked = len(index.source.asked)
        cache.get(*A)
        cache.get(*B)
        assert len(index.source.asked) == asked


def test_clips_that_are_there_already_stay_when_they_are_prefetched(index):
    """What `prefetch` says of them has to be true when they are asked for."""
    with episeek.ClipCache(index, max_bytes=size_of(index, A, B), max_gap_bytes=0) as cache:
        cache.get(*A)
        assert cache.prefetch([A, B, C]) == 2
        settled(cache)
        cache.get(*C)  # has to go again at once
        asked = len(index.source.asked)
        cache.get(*A)
        cache.get(*B)
        assert len(index.source.asked) == asked == 3


def test_a_clip_too_large_for_the_cache_does_not_stand_in_the_way(index, truth):
    small = [(4, TOP, 0, 1), (5, TOP, 0, 1)]
    with episeek.ClipCache(index, max_bytes=size_of(index, D) - 1, max_gap_bytes=0) as cache:
        assert cache.prefetch([small[0], D, small[1]]) == 3
        settled(cache)
        assert len(index.source.asked) == 2
        assert cache.get(*D).fetch() == truth(D)
        assert cache.get(*small[1]).fetch() == truth(small[1])
        assert len(index.source.asked) == 3


# --- errors ---------------------------------------------------------------------------------------------------------------


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
            wait_until(lambda: index.source.asked)
        join = in_threads(5, lambda: cache.get(*A))
        wait_until(lambda: cache.stats.hits + cache.stats.misses == 5)
        index.source.gate.set()
        assert [type(outcome) for outcome in join()] == [ReadError] * 5
        assert len(index.source.asked) == 1
        index.source.failure = None
        assert cache.get(*A).fetch() == truth(A)


def test_an_interruption_is_not_kept_for_other_clips(index, truth):
    """Ctrl-C in a `get` that took over what was queued: the other clip of that request was not interrupted."""
    with episeek.ClipCache(index, max_in_flight=1) as cache:
        index.source.gate.clear()
        cache.prefetch([C])
        wait_until(lambda: index.source.asked)
        cache.prefetch([A, B])  # one request, behind C
        index.source.failure = KeyboardInterrupt()
        get = in_threads(1, lambda: cache.get(*A))
        wait_until(lambda: len(index.source.asked) == 2)
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
        wait_until(lambda: index.source.asked)
        with pytest.raises(WaitLimitError, match=r"file-000\.mp4, bytes .* nothing after 0\.08 s"):
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


# --- over HTTP ------------------------------------------------------------------------------------------------------------


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


# --- the end --------------------------------------------------------------------------------------------------------------


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
    assert index.source.asked == []


def test_closing_with_requests_under_way_and_queued(index, truth):
    cache = episeek.ClipCache(index, max_in_flight=1, max_gap_bytes=0)
    index.source.gate.clear()
    cache.prefetch([A, B, C])
    wait_until(lambda: index.source.asked)
    under_way = in_threads(3, lambda: cache.get(*A).fetch())
    wait_until(lambda: cache.stats.hits == 3)
    before = time.monotonic()
    cache.close()
    assert time.monotonic() - before < 1
    index.source.gate.set()
    assert under_way() == [truth(A)] * 3
    time.sleep(0.02)
    assert len(index.source.asked) == 1  # nothing more is started
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
    assert index.source.asked == []


def test_closing_at_any_moment(index, truth):
    """Each call ends, in bytes or one of the two errors of a closed cache."""
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
from episeek.retry import RetryPolicy
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
    assert time.monotonic() - before < 12


# --- any order of things --------------------------------------------------------------------------------------------------

WINDOWS = st.tuples(
    st.integers(0, 5), st.sampled_from(CAMERAS), st.integers(0, SHORTEST - 1), st.integers(1, SHORTEST)
).map(lambda window: (*window[:2], *sorted((window[2], max(window[3], window[2] + 1)))))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("get"), WINDOWS),
        st.tuples(st.just("prefetch"), st.lists(WINDOWS, max_size=6)),
        st.tuples(st.just("fail"), st.lists(WINDOWS, max_size=3)),
    ),
    max_size=25,
)


class Model:
    """What may be said at any moment, seen from inside."""

    def __init__(self, cache):
        self.cache = cache
        state = cache._state.get()
        evict = state._evict

        def checked_evict():
            evict()
            self.check()

        state._evict = checked_evict

    def check(self):
        state = self.cache._state.get()
        assert not state._used.keys() & state._ahead.keys()
        held = sum(map(len, state._used.values())) + sum(map(len, state._ahead.values()))
        assert held == state._held_bytes <= self.cache.max_bytes
        pending = sum(stop - start for (_, start, stop), fetch in state._pending.items() if fetch.is_ahead)
        assert sum(map(len, state._ahead.values())) + pending == state._ahead_bytes <= self.cache.max_bytes


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.sampled_from([1, 500, 3000, 20_000, 1 << 30]), st.sampled_from([0, 700, 1 << 16]))
def test_no_more_than_max_bytes_are_held_and_counts_agree(index, truth, steps, max_bytes, gap):
    index.source.asked.clear()
    asked = given_bytes = 0
    with episeek.ClipCache(index, max_bytes=max_bytes, max_in_flight=2, max_gap_bytes=gap) as cache:
        model = Model(cache)
        for step, argument in steps:
            if step == "get":
                assert cache.get(*argument).fetch() == truth(argument)
                asked += 1
                given_bytes += size_of(index, argument)
            elif step == "prefetch":
                accepted = cache.prefetch(argument)
                settled(cache)
                before = len(index.source.asked)
                for request in argument[:accepted]:
                    fits = size_of(index, request) <= max_bytes
                    assert cache.get(*request).fetch() == truth(request)
                    asked += 1
                    given_bytes += size_of(index, request)
                    before += not fits
                assert len(index.source.asked) == before
            else:
                index.source.failure = ReadError("here", "this", "that")
                cache.prefetch(argument)
                settled(cache)
                index.source.failure = None
                cache.prefetch(argument)
                settled(cache)
            model.check()
        stats = cache.stats
        assert stats.hits + stats.misses == asked
        assert stats.bytes_wanted == given_bytes
        assert stats.requests == len(index.source.asked)


def test_threads_that_do_anything(index, truth):
    requests = [
        (episode, camera, start, start + 5) for episode in range(6) for camera in CAMERAS for start in (0, 5, 15)
    ]
    right = {request: truth(request) for request in requests}
    with episeek.ClipCache(index, max_bytes=6000, max_in_flight=3, max_gap_bytes=300) as cache:
        Model(cache)
        given_bytes = []

        def use(seed):
            generator = random.Random(seed)
            for _ in range(150):
                if generator.random() < 0.4:
                    cache.prefetch(generator.sample(requests, 4))
                request = generator.choice(requests)
                assert cache.get(*request).fetch() == right[request]
                given_bytes.append(len(right[request]))

        seeds = iter(range(8))
        assert in_threads(8, lambda: use(next(seeds)))() == [None] * 8
        stats = settled(cache).stats
        assert stats.hits + stats.misses == 8 * 150
        assert stats.bytes_wanted == sum(given_bytes)
        assert stats.requests == len(index.source.asked)
        assert stats.evicted > 0
        assert stats.bytes_held <= 6000


def test_clear_makes_room_for_what_is_asked_for_next(indexes):
    """Clips that were fetched ahead are kept for who asks; after a loop that was broken off nobody does."""
    index = indexes["hevc"]
    clips = [(episode, camera) for episode in range(index.episode_count) for camera in index.cameras]
    largest = max(len(index.clip(*clip).fetch()) for clip in clips)
    with episeek.ClipCache(index, max_bytes=largest) as cache:
        assert cache.prefetch(clips[:1]) == 1
        cache.get(*clips[0])
        cache.prefetch(clips[1:2])
        while cache.stats.bytes_fetched < sum(len(index.clip(*clip).fetch()) for clip in clips[:2]):
            time.sleep(0.001)
        assert cache.prefetch([clips[0], clips[2], clips[3]]) < 3
        cache.clear()
        assert cache.stats.bytes_held == 0
        assert cache.prefetch(clips[2:3]) == 1
        assert cache.get(*clips[2]).read() == index.clip(*clips[2]).read()
