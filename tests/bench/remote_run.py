"""Measuring one method under one condition: workers take frames in turn until all are done."""

import itertools
import math
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tests.bench.remote_dataset import Frame
from tests.bench.remote_methods import Method, Worker
from tests.servers.faults import Exchange
from tests.servers.range_server import RangeServerProcess

_MIN_SECONDS = 1.0
"""A round that is shorter goes over the frames again until it is as long."""

_SECONDS_FOR_ROUNDS = 7.0
"""No further round begins after this; the best one counts, so that a busy moment of the machine does not."""


@dataclass(frozen=True, slots=True)
class Condition:
    """How far away the server is."""

    latency_seconds: float
    bits_per_second: float | None = None

    def __str__(self) -> str:
        bits = self.bits_per_second
        link = "uncapped" if bits is None else f"{bits / 1e9:g} Gbit/s" if bits >= 1e9 else f"{bits / 1e6:g} Mbit/s"
        return f"{self.latency_seconds * 1000:.0f} ms, {link}"


@dataclass(frozen=True, slots=True)
class Measurement:
    """Of one method, over `frame_count` frames."""

    condition: Condition
    in_flight: int
    label: str
    frame_count: int
    request_count: int
    byte_count: int
    wall_seconds: float
    cpu_seconds: float
    """Of this process, all threads."""
    p50_seconds: float
    p99_seconds: float
    failures: tuple[str, ...]

    @property
    def requests_per_frame(self) -> float:
        return self.request_count / self.frame_count

    @property
    def bytes_per_frame(self) -> float:
        return self.byte_count / self.frame_count

    @property
    def seconds_per_frame(self) -> float:
        return self.wall_seconds / self.frame_count

    @property
    def frames_per_second(self) -> float:
        return self.frame_count / self.wall_seconds


def measure(
    server: RangeServerProcess,
    condition: Condition,
    method: Method,
    frames: Sequence[Frame],
    *,
    in_flight: int,
    max_rounds: int,
) -> Measurement:
    """The best of some rounds over all frames; each worker has read one frame before, so that what it keeps is there."""
    server.shape(latency_seconds=condition.latency_seconds, bits_per_second=condition.bits_per_second)
    workers = _warm_workers(method, frames, in_flight)
    run, exchanges = _round(server, workers, frames)
    passes = math.ceil(_MIN_SECONDS / run.wall_seconds)
    rounds = [(run, exchanges)] if passes == 1 else []
    started = time.perf_counter() - run.wall_seconds
    while len(rounds) < max_rounds and (not rounds or time.perf_counter() - started < _SECONDS_FOR_ROUNDS):
        rounds.append(_round(server, workers, list(frames) * passes))
    run, exchanges = min(rounds, key=lambda one: one[0].wall_seconds)
    latencies = np.array([seconds for worker in run.latencies for seconds in worker])
    p50, p99 = np.percentile(latencies, [50, 99]) if len(latencies) else (math.nan, math.nan)
    return Measurement(
        condition=condition,
        in_flight=in_flight,
        label=method.label,
        frame_count=run.frame_count,
        request_count=len(exchanges),
        byte_count=sum(exchange.sent_bytes for exchange in exchanges),
        wall_seconds=run.wall_seconds,
        cpu_seconds=run.cpu_seconds,
        p50_seconds=float(p50),
        p99_seconds=float(p99),
        failures=tuple(failure for one, _ in rounds for failure in one.failures),
    )


def _round(
    server: RangeServerProcess, workers: Sequence[Worker], frames: Sequence[Frame]
) -> tuple["_Run", list[Exchange]]:
    run = _Run(workers, frames)
    server.clear()
    run.start()
    return run, server.exchanges()


def _warm_workers(method: Method, frames: Sequence[Frame], count: int) -> list[Worker]:
    workers: list[Worker] = []

    def prepare(number: int) -> None:
        worker = method.worker()
        worker(frames[number % len(frames)])
        workers.append(worker)

    _in_threads([lambda number=number: prepare(number) for number in range(count)])
    if len(workers) != count:
        raise RuntimeError(f"{method.label}: {len(workers)} of {count} workers could read their first frame")
    return workers


class _Run:
    def __init__(self, workers: Sequence[Worker], frames: Sequence[Frame]) -> None:
        self._workers = workers
        self._frames = frames
        self._next = itertools.count()
        self.frame_count = len(frames)
        self.latencies: list[list[float]] = [[] for _ in workers]
        self.failures: list[str] = []
        self.wall_seconds = self.cpu_seconds = 0.0

    def start(self) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        _in_threads([lambda number=number: self._work(number) for number in range(len(self._workers))])
        self.wall_seconds, self.cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu

    def _work(self, number: int) -> None:
        worker, latencies = self._workers[number], self.latencies[number]
        while (place := next(self._next)) < self.frame_count:
            start = time.perf_counter()
            try:
                worker(self._frames[place])
            except Exception as error:  # a method that fails is a result
                self.failures.append(f"{self._frames[place]}: {type(error).__name__}: {str(error)[:200]}")
            else:
                latencies.append(time.perf_counter() - start)


def _in_threads(calls: Sequence[object]) -> None:
    threads = [threading.Thread(target=call, daemon=True) for call in calls]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def compare_pictures(
    methods: Sequence[Method], frames: Sequence[Frame], reference: Sequence[torch.Tensor], *, in_flight: int
) -> dict[str, list[Frame]]:
    """For each method the frames it does not give as the reference has them; several workers, as when measuring."""
    wrong: dict[str, list[Frame]] = {}
    for method in methods:
        found: list[Frame] = []
        places = itertools.count()

        def work(method: Method = method, found: list[Frame] = found, places: Iterator[int] = places) -> None:
            worker = method.worker()
            while (place := next(places)) < len(frames):
                try:
                    picture = worker(frames[place])
                    is_same = picture is not None and torch.equal(picture, reference[place])
                except Exception:
                    is_same = False
                if not is_same:
                    found.append(frames[place])

        _in_threads([work] * in_flight)
        wrong[method.label] = found
    return wrong
