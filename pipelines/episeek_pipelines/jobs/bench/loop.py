"""Run a training loop that only reads, and measure how long it waits for batches and how much CPU and memory it uses.

Only the standard library is imported here, so that other environments can measure with the same loop.
"""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from episeek_pipelines.jobs.bench.process_tree import PeakMemory, cpu_seconds

T = TypeVar("T")

PREFETCHED: Final = 2
"""Number of batches that a worker reads ahead, the default of `DataLoader`."""


@dataclass(frozen=True, slots=True)
class LoopMeasurement:
    """The measurements of one training loop: the time of each batch, CPU time and memory."""

    first_batch_seconds: float
    batch_seconds: tuple[float, ...]
    cpu_seconds: float | None
    """CPU seconds of the process and its workers during the measurement; None on a system without /proc."""
    peak_rss_bytes: int | None

    @property
    def seconds(self) -> float:
        """Seconds that all measured batches took together."""
        return sum(self.batch_seconds)


def run_loop(
    loader: Iterable[T], take: Callable[[T], None], *, workers: int, batches: int, max_seconds: float | None = None
) -> LoopMeasurement:
    """Read batches from a loader, and measure how long each one takes.

    The batches that the workers prepare during the wait for the first batch are read before the measurement begins. The loader has
    to yield enough batches for both.

    Args:
        loader: Yields batches.
        take: Called with each measured batch. The time of the call is not measured.
        workers: Number of worker processes of the loader.
        batches: Number of batches to measure.
        max_seconds: Seconds after which the measurement stops, if it has at least two batches; None for no limit.
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
    # deleting the iterator ends the workers
    del iterator
    return LoopMeasurement(first_batch_seconds, tuple(waits), None if peak is None else cpu, peak)
