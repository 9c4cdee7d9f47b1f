"""The cache of clips holds its promises for any calls, in any order and from several threads."""

import random
import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import episeek
from episeek.errors import ReadError
from tests.support.amount import examples
from tests.support.build_index import CAMERAS
from tests.support.clip_caching import SHORTEST, in_threads, settled, size_of

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
    """Assert what must hold at any moment, from inside the state."""

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


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.sampled_from([1, 500, 3000, 20_000, 1 << 30]), st.sampled_from([0, 700, 1 << 16]))
def test_no_more_than_max_bytes_are_held_and_counts_agree(index, truth, steps, max_bytes, gap):
    index.source.requested.clear()
    requested = given_bytes = 0
    with episeek.ClipCache(index, max_bytes=max_bytes, max_in_flight=2, max_gap_bytes=gap) as cache:
        model = Model(cache)
        for step, argument in steps:
            if step == "get":
                assert cache.get(*argument).fetch() == truth(argument)
                requested += 1
                given_bytes += size_of(index, argument)
            elif step == "prefetch":
                accepted = cache.prefetch(argument)
                settled(cache)
                before = len(index.source.requested)
                for request in argument[:accepted]:
                    fits = size_of(index, request) <= max_bytes
                    assert cache.get(*request).fetch() == truth(request)
                    requested += 1
                    given_bytes += size_of(index, request)
                    before += not fits
                assert len(index.source.requested) == before
            else:
                index.source.failure = ReadError("here", "this", "that")
                cache.prefetch(argument)
                settled(cache)
                index.source.failure = None
                cache.prefetch(argument)
                settled(cache)
            model.check()
        stats = cache.stats
        assert stats.hits + stats.misses == requested
        assert stats.bytes_wanted == given_bytes
        assert stats.requests == len(index.source.requested)


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
        assert stats.requests == len(index.source.requested)
        assert stats.evicted > 0
        assert stats.bytes_held <= 6000


def test_clear_makes_room_for_what_is_asked_for_next(indexes):
    """Clips that were fetched ahead are held until they are requested; after a loop that ended early, nobody does."""
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
