"""A training loop that only reads: how long it waits for batches, and what its processes take.

Nothing is imported here but the standard library, so that other environments measure with the same loop.
"""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from episeek_pipelines.jobs.bench.process_tree import PeakMemory, cpu_seconds

T = TypeVar("T")

PREFETCHED: Final = 2
"""Batches that a worker reads ahead, the default of `DataLoader`."""


@dataclass(frozen=True, slots=True)
class LoopMeasurement:
    """The measurements of one loop."""

    first_batch_seconds: float
    batch_seconds: tuple[float, ...]
    cpu_seconds: float | None
    """Of the process and its workers while they were measured; None where /proc does not say."""
    peak_rss_bytes: int | None

    @property
    def seconds(self) -> float:
        """How long the measured batches took together."""
        return sum(self.batch_seconds)


def run_loop(
    loader: Iterable[T], take: Callable[[T], None], *, workers: int, batches: int, max_seconds: float | None = None
) -> LoopMeasurement:
    """Read batches of a loader, and return what that took. The loader has to give enough of them.

    Batches that the workers prepare while the first one is waited for are read and not measured.

    Args:
        loader: Gives batches.
        take: Called with each measured batch, outside of what is measured.
        workers: Worker processes of the loader.
        batches: Batches to measure.
        max_seconds: No batch is begun when those before took longer together, except the first two; None for no limit.
    """
    pid = os.getpid()
    started = time.perf_counter()
    iterator = iter(loader)
    with PeakMemory() as memory:
        next(iterator)
        first_batch_seconds = time.perf_counter() - started
        for _ in range(PREFETCHED * workers):
            next(iterator)
        cpu_before = cpu_seconds(pid)
        waits: list[float] = []
        for _ in range(batches):
            if max_seconds is not None and len(waits) > 1 and sum(waits) > max_seconds:
                break
            started = time.perf_counter()
            batch = next(iterator)
            waits.append(time.perf_counter() - started)
            take(batch)
            del batch
        cpu, peak = cpu_seconds(pid) - cpu_before, memory.peak_bytes
    # ends the workers
    del iterator
    return LoopMeasurement(first_batch_seconds, tuple(waits), None if peak is None else cpu, peak)
