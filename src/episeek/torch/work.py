"""Counts of what reading items took in one process: the time for fetching and for decoding, pictures, requests and bytes."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from episeek.stores.processes.per_process import PerProcess
from episeek.stores.transfers import Transfers


@dataclass(frozen=True, slots=True)
class Work:
    """Time, transfers and decoded frames of the items that one process has read so far."""

    fetch_seconds: float = 0.0
    """Time in which bytes were waited for, and rows were read: of the store, of a cache, of other processes that fetch."""
    decode_seconds: float = 0.0
    """Time for decoding pictures, of videos and of rows."""
    decoded_frames: int = 0
    """Pictures that decoding gave; one that several items of a batch share counts once."""
    transfers: Transfers = field(default_factory=Transfers)
    """Requests and bytes of everything that the dataset reads: videos, rows, metadata and sidecars."""


class WorkCounter:
    """Counts for `Work` that several threads may add to. They start at zero in a forked or spawned process."""

    def __init__(self) -> None:
        self._counts: PerProcess[_Counts] = PerProcess(_Counts)

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """Count the time of a block as fetching."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._add(fetch_seconds=time.perf_counter() - started)

    @contextmanager
    def decoding(self, frame_count: int) -> Iterator[None]:
        """Count the time of a block as decoding of a number of pictures."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._add(decode_seconds=time.perf_counter() - started, decoded_frames=frame_count)

    def snapshot(self, transfers: Transfers) -> Work:
        """Return the counts so far, with those of the sources."""
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
