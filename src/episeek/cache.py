"""A bounded cache of clips that fetches ahead, for training loops.

It keeps the fetched bytes by file and range, and drops the least recently used ones first. A clip that several threads request is
fetched once. The cache opens nothing until it is used. It starts empty in a forked child process and after unpickling.
"""

import time
from collections.abc import Iterable
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as WaitTimeoutError
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Any, Self

from episeek.byte_index import ByteIndex, ClipRequest
from episeek.cache_state import CacheState, Fetch, Key
from episeek.clip import Clip
from episeek.errors import ReadError, WaitLimitError
from episeek.stores.byte_source import range_name
from episeek.stores.processes.per_process import PerProcess
from episeek.stores.requests.range_plan import DEFAULT_GAP_BYTES
from episeek.stores.transports.fetched_range import FetchedRange


@dataclass(frozen=True, slots=True)
class CacheStats:
    """Counts of a cache in this process since the cache was created."""

    hits: int
    """Number of requested clips that were in the cache, or being fetched, when they were requested."""
    misses: int
    """Number of requested clips that were neither in the cache nor being fetched."""
    requests: int
    """Number of range requests. Retries are not included: `retries` counts them."""
    bytes_fetched: int
    """Number of bytes that arrived, including gaps between ranges of one request, and clips that were never requested."""
    bytes_wanted: int
    """Number of bytes of the clips that were returned."""
    bytes_held: int
    """Number of bytes of the clips that are in the cache now."""
    evicted: int
    """Number of clips that were dropped to make room."""
    waits: int
    """Number of clips for which a caller had to wait, because their fetch was in progress or had not begun."""
    waited_seconds: float
    """Seconds that callers waited for clips, summed over threads."""
    retries: int
    """Number of retries of all readers of the index in this process."""
    retry_wait_seconds: float
    """Seconds of waiting before retries, of all readers of the index, summed over threads."""


class ClipCache:
    """A cache of clips with a limit in bytes, least-recently-used eviction and prefetching. Thread-safe.

    Args:
        index: An open index.
        max_bytes: Limit of the bytes in the cache. A clip with more bytes is fetched but not kept. In addition to the cache, up to
            `max_in_flight` responses are in memory, each of at most 32 MiB or one clip.
        max_in_flight: Largest number of requests that prefetching has in progress at the same time. `get` fetches a missing
            clip in the calling thread.
        max_gap_bytes: Ranges of one `prefetch` with at most this many bytes between them share a request.

    Example:
        >>> with episeek.ClipCache(index, max_bytes=1 << 30) as cache:
        ...     cache.prefetch([(episode, camera, 0, 8) for episode in batch])
        ...     frames = cache.get(batch[0], camera, 0, 8).decode()
    """

    def __init__(
        self,
        index: ByteIndex,
        *,
        max_bytes: int = 1 << 30,
        max_in_flight: int = 16,
        max_gap_bytes: int = DEFAULT_GAP_BYTES,
    ) -> None:
        for name, value, least in (
            ("max_bytes", max_bytes, 1),
            ("max_in_flight", max_in_flight, 1),
            ("max_gap_bytes", max_gap_bytes, 0),
        ):
            if value < least:
                raise ValueError(f"{name}: found {value}; expected {least} or more")
        self.index = index
        self.max_bytes = max_bytes
        self.max_in_flight = max_in_flight
        self.max_gap_bytes = max_gap_bytes
        self._is_closed = False
        self._state: PerProcess[CacheState] = PerProcess(self._new_state)

    def __repr__(self) -> str:
        return f"ClipCache({self.index!r}, max_bytes={self.max_bytes}, max_in_flight={self.max_in_flight})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.index, self.max_bytes, self.max_in_flight, self.max_gap_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def clear(self) -> None:
        """Drop all clips, and all failures that have not been raised yet.

        Call this method after a loop that ended early. Otherwise clips that were fetched ahead for it would stay in the cache.
        """
        state = self._state.peek()
        if state is not None:
            state.clear()

    def close(self) -> None:
        """Drop all clips and start no more requests. A second call has no effect.

        Callers that wait for a clip whose request has not started get a ReadError. Requests in progress continue to their end.
        """
        self._is_closed = True
        state = self._state.peek()
        if state is not None:
            state.close()

    def get(self, episode_index: int, camera_key: str, start: int = 0, stop: int | None = None) -> Clip:
        """Return the clip of `ByteIndex.clip` with its bytes in memory, so that its `read` and `decode` fetch nothing.

        Raises:
            EpisodeNotFoundError, CameraNotFoundError, FrameRangeError: As for `ByteIndex.clip`.
            ChangedFileError, MissingFileError, ReadError: As for `Clip.read`. The error of a failed prefetch is raised once. The
                next call fetches the clip again.
            WaitLimitError: Another thread is fetching this clip, and its request does not end in time.
            ValueError: The cache is closed.
        """
        clip = self.index.clip(episode_index, camera_key, start, stop)
        state = self._open_state()
        key = (clip.file_path, *clip.byte_range)
        found = state.look_up(key)
        payload = found if isinstance(found, bytes) else self._awaited(state, found, key)
        state.note_given(key, len(payload))
        return replace(clip, source=FetchedRange(clip.source.root, clip.file_path, clip.byte_range, payload))

    def prefetch(self, requests: Iterable[ClipRequest]) -> int:
        """Start to fetch clips that will be needed soon, in the given order, and return without waiting for them.

        If the rows of `samples` that locate the clips are not on this machine, the call first fetches these rows and waits for
        them.

        Returns:
            The number of accepted requests, counted from the first one. Their clips are in the cache or being fetched, except for
            clips larger than `max_bytes`, which only `get` fetches. The remaining clips do not fit into `max_bytes` together with
            clips that were fetched ahead and not yet requested. Prefetch them again later.

        Raises:
            EpisodeNotFoundError, CameraNotFoundError, FrameRangeError, FileNotIndexedError: As for `ByteIndex.clips`, before
                anything is fetched. If fetching a clip fails, `get` of that clip raises the error.
            ValueError: The cache is closed.
        """
        clips = self.index.clips(requests)
        state = self._open_state()
        keys = [(clip.file_path, *clip.byte_range) for clip in clips]
        fetches, accepted = state.plan_ahead(keys, max_gap_bytes=self.max_gap_bytes)
        for fetch in fetches:
            state.submit(partial(self._run_if_unclaimed, state, fetch), self.max_in_flight)
        return accepted

    @property
    def stats(self) -> CacheStats:
        """The counts since the cache was created, in this process."""
        state = self._state.get()
        now, before = self.index.source.transfers(), state.transfers_before
        return CacheStats(
            **state.counts(),
            retries=now.retry_count - before.retry_count,
            retry_wait_seconds=now.wait_seconds - before.wait_seconds,
        )

    def _new_state(self) -> CacheState:
        return CacheState(self.max_bytes, self.index.source.transfers())

    def _open_state(self) -> CacheState:
        if self._is_closed:
            raise ValueError("the cache is closed")
        state = self._state.get()
        if self._is_closed:
            # another thread closed the cache while this thread made the state
            state.close()
        return state

    def _run_if_unclaimed(self, state: CacheState, fetch: Fetch) -> None:
        if state.start(fetch):
            self._run(state, fetch)

    def _run(self, state: CacheState, fetch: Fetch) -> None:
        """Send the request of a fetch, and pass the bytes or the error to all waiting callers."""
        try:
            body = self.index.source.get_ranges(fetch.path, [(fetch.start, fetch.stop)])[0]
        except BaseException as error:
            state.fail(fetch, error)
            if not isinstance(error, Exception):
                # this thread was interrupted, for example by KeyboardInterrupt
                raise
        else:
            state.arrive(fetch, body)

    def _awaited(self, state: CacheState, fetch: Fetch, key: Key) -> bytes:
        """Return the bytes of a key from a fetch. This thread runs the fetch unless another thread does."""
        started = time.monotonic()
        if state.start(fetch):
            self._run(state, fetch)
        try:
            payload = self._wait(state, fetch, key)
        except BaseException:
            state.forget_failure(key)
            raise
        state.note_wait(time.monotonic() - started)
        return payload

    def _wait(self, state: CacheState, fetch: Fetch, key: Key) -> bytes:
        # this limit is a last resort: the thread that fetches stops much earlier
        limit = 4 * self.index.retry.max_seconds
        future = fetch.futures[key]
        try:
            return future.result(timeout=limit)
        except WaitTimeoutError:
            if future.done():
                # the store raised a TimeoutError, or the bytes arrived at the last moment
                return future.result()
            raise WaitLimitError(self._where(key), f"no answer after {limit:g} s", "bytes or an error") from None
        except CancelledError:
            if not state.is_closed:
                # the thread that fetched the clip was interrupted, so this thread takes over
                found = state.look_up(key)
                return found if isinstance(found, bytes) else self._awaited(state, found, key)
            raise ReadError(self._where(key), "a cache that was closed", "an open cache") from None

    def _where(self, key: Key) -> str:
        return range_name(f"{self.index.source.root}/{key[0]}", key[1:])


def _reopen(index: ByteIndex, max_bytes: int, max_in_flight: int, max_gap_bytes: int) -> ClipCache:
    return ClipCache(index, max_bytes=max_bytes, max_in_flight=max_in_flight, max_gap_bytes=max_gap_bytes)
