"""Count the cost of reading items in one process: the time for fetching and decoding, the pictures, requests and bytes."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from episeek.stores.processes.per_process import PerProcess
from episeek.stores.transfers import Transfers


@dataclass(frozen=True, slots=True)
class Work:
    """The time, the requests and bytes, and the number of decoded frames of all items that one process has read so far."""

    fetch_seconds: float = 0.0
    """Seconds spent reading rows, and waiting for bytes from a store, a cache or another process that fetches the same bytes."""
    decode_seconds: float = 0.0
    """Seconds spent decoding pictures of videos and of rows."""
    decoded_frames: int = 0
    """Number of decoded pictures. A picture that several items of a batch share counts once."""
    transfers: Transfers = field(default_factory=Transfers)
    """Requests and bytes of everything that the dataset has read: videos, rows, metadata and sidecars."""


class WorkCounter:
    """Thread-safe counters for the fields of `Work`. In a forked or spawned process, they start at zero."""

    def __init__(self) -> None:
        self._counts: PerProcess[_Counts] = PerProcess(_Counts)

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """Add the time of a `with` block to the time of fetching."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._add(fetch_seconds=time.perf_counter() - started)

    @contextmanager
    def decoding(self, frame_count: int) -> Iterator[None]:
        """Add the time of a `with` block to the time of decoding, and `frame_count` to the number of decoded pictures."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._add(decode_seconds=time.perf_counter() - started, decoded_frames=frame_count)

    def snapshot(self, transfers: Transfers) -> Work:
        """Return the counts so far, together with the requests and bytes in `transfers`."""
        counts = self._counts.get()
        with counts.lock:
            return Work(counts.fetch_seconds, counts.decode_seconds, counts.decoded_frames, transfers)

    def _add(self, *, fetch_seconds: float = 0.0, decode_seconds: float = 0.0, decoded_frames: int = 0) -> None:
        counts = self._counts.get()
        with counts.lock:
            counts.fetch_seconds += fetch_seconds
            counts.decode_seconds += decode_seconds
            counts.decoded_frames += decoded_frames


class _Counts:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.fetch_seconds = self.decode_seconds = 0.0
        self.decoded_frames = 0
