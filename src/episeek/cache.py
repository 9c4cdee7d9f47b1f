"""A bounded cache of clips that fetches ahead: what a training loop reads through.

What is kept are the fetched bytes, by file and range; least recently used ones go first. A clip that several threads ask for is
fetched once. The cache opens nothing until it is used; a forked child, or a process it is pickled to, starts with an empty one.
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
from episeek.stores.transports.fetched_range import PayloadSource


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What a cache has done, in this process."""

    hits: int
    """Clips that were there, or on their way, when they were asked for."""
    misses: int
    """Clips that were not."""
    requests: int
    """Ranges asked for; tries again are `retries`."""
    bytes_fetched: int
    """That arrived: with gaps between ranges that were fetched together, and clips that nobody asked for in the end."""
    bytes_wanted: int
    """Of the clips given out."""
    bytes_held: int
    """Of the clips in the cache now."""
    evicted: int
    """Clips that had to go."""
    waits: int
    """Clips that were on their way when they were asked for, or not even that: what the cache did not hide."""
    waited_seconds: float
    """For those, summed over threads."""
    retries: int
    """Of all readers of the index, in this process."""
    retry_wait_seconds: float
    """Between tries of all readers of the index, summed over threads."""


class ClipCache:
    """Clips of an index through a byte-bounded, least-recently-used cache with prefetch. Thread-safe.

    Args:
        index: An open index.
        max_bytes: Of fetched bytes held; a clip that is larger is fetched and not kept. Beside them there are the bodies of up to
            `max_in_flight` requests, of 32 MiB or one clip at most.
        max_in_flight: Requests that prefetching has under way at the same time; `get` fetches what is missing in the calling
            thread.
        max_gap_bytes: Ranges of one `prefetch` with no more than this between them share a request.

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
        """Drop what is held, and failures that nobody has seen: after a loop that was broken off, say, whose clips were fetched
        ahead and would be kept for it.
        """
        state = self._state.peek()
        if state is not None:
            state.clear()

    def close(self) -> None:
        """Drop what is held and start nothing more. May be called twice. Who waits for a clip that was not started gets a
        ReadError; requests under way end by themselves, and nothing waits for them.
        """
        self._is_closed = True
        state = self._state.peek()
        if state is not None:
            state.close()

    def get(self, episode_index: int, camera_key: str, start: int = 0, stop: int | None = None) -> Clip:
        """The clip of `ByteIndex.clip` with its bytes in memory: its `read` and `decode` fetch nothing.

        Raises:
            EpisodeNotFoundError, CameraNotFoundError, FrameRangeError: As `ByteIndex.clip`.
            ChangedFileError, MissingFileError, ReadError: As `Clip.read`, also when it was a prefetch that failed; the next
                call tries again.
            WaitLimitError: A request that another thread has under way does not end.
            ValueError: The cache is closed.
        """
        clip = self.index.clip(episode_index, camera_key, start, stop)
        state = self._open_state()
        key = (clip.file_path, *clip.byte_range)
        found = state.look_up(key)
        payload = found if isinstance(found, bytes) else self._awaited(state, found, key)
        state.note_given(key, len(payload))
        return replace(clip, source=PayloadSource(clip.source.root, clip.file_path, clip.byte_range, payload))

    def prefetch(self, requests: Iterable[ClipRequest]) -> int:
        """Start fetching clips that will be asked for soon, the first ones in front; returns without waiting.

        Returns:
            How many of the clips, from the first, are in the cache or on their way. The others would not fit into `max_bytes`
            beside those that were fetched ahead and are not yet asked for: prefetch them again later. Clips larger than
            `max_bytes` are counted and not fetched ahead: `get` does it.

        Raises:
            EpisodeNotFoundError, CameraNotFoundError, FrameRangeError, FileNotIndexedError: As `ByteIndex.clips`, before
                anything is fetched. What goes wrong in fetching is raised by `get` of that clip.
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
        """What the cache has done so far, in this process; a snapshot."""
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
        if self._is_closed:  # while the state was made
            state.close()
        return state

    def _run_if_unclaimed(self, state: CacheState, fetch: Fetch) -> None:
        if state.start(fetch):
            self._run(state, fetch)

    def _run(self, state: CacheState, fetch: Fetch) -> None:
        """Fetch, and give everybody who waits the bytes or the error."""
        try:
            body = self.index.source.get_ranges(fetch.path, [(fetch.start, fetch.stop)])[0]
        except BaseException as error:
            state.fail(fetch, error)
            if not isinstance(error, Exception):  # the thread is being stopped
                raise
        else:
            state.arrive(fetch, body)

    def _awaited(self, state: CacheState, fetch: Fetch, key: Key) -> bytes:
        """What a fetch gives, which this thread runs where no other one does."""
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
        limit = 4 * self.index.retry.max_seconds  # who fetches it has limits of its own, which are shorter
        future = fetch.futures[key]
        try:
            return future.result(timeout=limit)
        except WaitTimeoutError:
            if future.done():  # a store's own TimeoutError, or bytes in the last moment
                return future.result()
            raise WaitLimitError(self._where(key), f"nothing after {limit:g} s", "bytes, or an error") from None
        except CancelledError:
            if not state.is_closed:  # the thread that fetched it was interrupted: this one does it
                found = state.look_up(key)
                return found if isinstance(found, bytes) else self._awaited(state, found, key)
            raise ReadError(self._where(key), "a cache that was closed", "an open cache") from None

    def _where(self, key: Key) -> str:
        return range_name(f"{self.index.source.root}/{key[0]}", key[1:])


def _reopen(index: ByteIndex, max_bytes: int, max_in_flight: int, max_gap_bytes: int) -> ClipCache:
    return ClipCache(index, max_bytes=max_bytes, max_in_flight=max_in_flight, max_gap_bytes=max_gap_bytes)
