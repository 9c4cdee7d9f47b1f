"""The state of a cache of clips in one process: its bytes, the fetches in progress, the failures not yet raised, and counts."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from episeek.stores.processes.workers import WorkerPool
from episeek.stores.requests.range_plan import WantedRange, plan_requests
from episeek.stores.transfers import Transfers

Key = tuple[str, int, int]
"""The key of a clip: its file, and the start and stop of its bytes."""

_MAX_FAILURES = 10_000
"""Greatest number of failed prefetches whose errors are kept. If an error was dropped, a request for the clip fetches it again."""


@dataclass(slots=True, eq=False)
class Fetch:
    """One range request, with a future for each cache key whose bytes it fetches."""

    path: str
    start: int
    stop: int
    is_ahead: bool
    """Whether a prefetch made this fetch, before a caller requested one of its keys."""
    futures: dict[Key, "Future[bytes]"] = field(default_factory=dict)
    is_started: bool = False


class CacheState:
    """The state of a cache. Thread-safe; no method holds the lock for long."""

    def __init__(self, max_bytes: int, transfers_before: Transfers) -> None:
        self.transfers_before = transfers_before
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._used: OrderedDict[Key, bytes] = OrderedDict()
        """Bytes that callers have requested, the least recently used first."""
        self._ahead: OrderedDict[Key, bytes] = OrderedDict()
        """Bytes that were fetched ahead and not requested yet, the oldest first."""
        self._pending: dict[Key, Fetch] = {}
        self._failures: OrderedDict[Key, BaseException] = OrderedDict()
        self._ahead_bytes = 0
        """Number of bytes that were fetched ahead and not requested yet, or are being fetched ahead."""
        self._held_bytes = 0
        self._pool: WorkerPool | None = None
        self._is_closed = False
        self._counts: dict[str, Any] = dict.fromkeys(
            ("hits", "misses", "requests", "bytes_fetched", "bytes_wanted", "evicted", "waits"), 0
        )
        self._counts["waited_seconds"] = 0.0

    # --- requests of callers ---

    def look_up(self, key: Key) -> bytes | Fetch:
        """Return the bytes of a key. If they are not in the cache, return the fetch of the key, which may have to be started.

        The method is atomic. If the cache and the fetches were searched in two steps, a key whose bytes arrive in between would be
        fetched and counted twice.

        Raises:
            ValueError: The state is closed.
            Exception: A prefetch of this key failed with this exception, which is raised once.
        """
        with self._lock:
            if self._is_closed:
                raise ValueError("the cache is closed")
            failure = self._failures.pop(key, None)
            if failure is not None:
                self._counts["misses"] += 1
                raise failure
            payload = self._use(key)
            found = self._pending.get(key) if payload is None else payload
            self._counts["misses" if found is None else "hits"] += 1
            return self._new_fetch(*key, keys=[key], is_ahead=False) if found is None else found

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._is_closed

    def forget_failure(self, key: Key) -> None:
        """Forget the failure of a key after a caller has received it."""
        with self._lock:
            self._failures.pop(key, None)

    def note_wait(self, seconds: float) -> None:
        """Count a caller that had to wait, and its waiting time."""
        with self._lock:
            self._counts["waits"] += 1
            self._counts["waited_seconds"] += seconds

    def note_given(self, key: Key, byte_count: int) -> None:
        """Count the bytes of a clip that a caller receives, and mark the clip as the most recently used one."""
        with self._lock:
            self._counts["bytes_wanted"] += byte_count
            self._use(key)

    # --- fetching ahead ---

    def plan_ahead(self, keys: Sequence[Key], *, max_gap_bytes: int) -> tuple[list[Fetch], int]:
        """Return new fetches for the keys that are not in the cache, in order, and the number of keys that were accepted.

        Keys are accepted, from the first one on, as long as the cache has room for them. Keys that are already in the cache stay
        there until they are used. A key with more bytes than the cache may contain is accepted, but not fetched.

        Raises:
            ValueError: The state is closed.
        """
        chosen: dict[Key, None] = {}
        accepted = len(keys)
        with self._lock:
            if self._is_closed:
                raise ValueError("the cache is closed")
            room = self._max_bytes - self._ahead_bytes
            for number, key in enumerate(keys):
                byte_count = key[2] - key[1]
                if key in chosen or key in self._ahead or key in self._pending or byte_count > self._max_bytes:
                    continue
                room -= byte_count
                if room < 0:
                    accepted = number
                    break
                payload = self._used.pop(key, None)
                if payload is not None:
                    self._ahead[key] = payload
                    self._ahead_bytes += byte_count
                    continue
                chosen[key] = None
                self._failures.pop(key, None)
            wanted = list(chosen)
            planned = plan_requests([WantedRange(*key) for key in wanted], max_gap_bytes=max_gap_bytes)
            planned.sort(key=lambda request: min(request.members))
            fetches = [
                self._new_fetch(
                    request.path, request.start, request.stop, keys=[wanted[n] for n in request.members], is_ahead=True
                )
                for request in planned
            ]
        return fetches, accepted

    def submit(self, call: Callable[[], None], max_in_flight: int) -> None:
        """Run a call in the background, unless the state is closed."""
        with self._lock:
            if self._is_closed:
                return
            if self._pool is None:
                self._pool = WorkerPool(max_in_flight, name="episeek-prefetch")
            self._pool.submit(call)

    # --- the life of a fetch ---

    def start(self, fetch: Fetch) -> bool:
        """Return whether the caller has to run a fetch: True for the first call with this fetch, and False for later calls.

        A caller that needs the bytes can thus run a fetch itself, and does not wait for a free thread of the pool. The result is
        always False in a closed cache.
        """
        with self._lock:
            is_first = not fetch.is_started and not self._is_closed
            fetch.is_started = fetch.is_started or is_first
            if is_first:
                self._counts["requests"] += 1
            return is_first

    def arrive(self, fetch: Fetch, body: bytes) -> None:
        """Keep the bytes that arrived, and pass them to all waiting callers."""
        payloads = {key: body[key[1] - fetch.start : key[2] - fetch.start] for key in fetch.futures}
        with self._lock:
            self._counts["bytes_fetched"] += len(body)
            for key, payload in payloads.items():
                self._pending.pop(key, None)
                if fetch.is_ahead:
                    self._ahead_bytes -= len(payload)
                if self._is_closed or len(payload) > self._max_bytes:
                    continue
                if fetch.is_ahead:
                    self._ahead[key] = payload
                    self._ahead_bytes += len(payload)
                else:
                    self._used[key] = payload
                self._held_bytes += len(payload)
            self._evict()
        for key, payload in payloads.items():
            fetch.futures[key].set_result(payload)

    def fail(self, fetch: Fetch, error: BaseException) -> None:
        """Pass an error to all waiting callers. If a prefetch made the fetch, keep the error for the next caller.

        An interruption of this thread, such as KeyboardInterrupt, is not passed to other threads. Their futures are cancelled
        instead.
        """
        is_error = isinstance(error, Exception)
        with self._lock:
            for key in fetch.futures:
                self._pending.pop(key, None)
                if fetch.is_ahead:
                    self._ahead_bytes -= key[2] - key[1]
                if fetch.is_ahead and is_error and not self._is_closed:
                    self._failures[key] = error
            while len(self._failures) > _MAX_FAILURES:
                self._failures.popitem(last=False)
        for future in fetch.futures.values():
            if is_error:
                future.set_exception(error)
            else:
                future.cancel()

    def close(self) -> None:
        """Drop all clips and failures, and cancel the futures of fetches that have not started."""
        with self._lock:
            self._is_closed = True
            waiting = {id(fetch): fetch for fetch in self._pending.values() if not fetch.is_started}
            for fetch in waiting.values():
                for key in fetch.futures:
                    self._pending.pop(key, None)
            self._used.clear()
            self._ahead.clear()
            self._failures.clear()
            self._held_bytes = self._ahead_bytes = 0
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()
        for fetch in waiting.values():
            for future in fetch.futures.values():
                future.cancel()

    def clear(self) -> None:
        """Drop all bytes and failures. Fetches in progress continue."""
        with self._lock:
            self._ahead_bytes -= sum(map(len, self._ahead.values()))
            self._used.clear()
            self._ahead.clear()
            self._failures.clear()
            self._held_bytes = 0

    def counts(self) -> dict[str, Any]:
        """Return the counts as a dict with the names of the fields of `CacheStats`."""
        with self._lock:
            return {**self._counts, "bytes_held": self._held_bytes}

    def _new_fetch(self, path: str, start: int, stop: int, *, keys: list[Key], is_ahead: bool) -> Fetch:
        fetch = Fetch(path, start, stop, is_ahead, {key: Future() for key in keys})
        for key in keys:
            self._pending[key] = fetch
            if is_ahead:
                self._ahead_bytes += key[2] - key[1]
        return fetch

    def _use(self, key: Key) -> bytes | None:
        """Return the bytes of a key and mark them as just used, or return None if they are not in the cache."""
        payload = self._ahead.pop(key, None)
        if payload is None:
            payload = self._used.pop(key, None)
        else:
            self._ahead_bytes -= len(payload)
        if payload is not None:
            self._used[key] = payload
        return payload

    def _evict(self) -> None:
        while self._held_bytes > self._max_bytes:
            held = self._used or self._ahead
            _, payload = held.popitem(last=False)
            if held is self._ahead:
                self._ahead_bytes -= len(payload)
            self._held_bytes -= len(payload)
            self._counts["evicted"] += 1
