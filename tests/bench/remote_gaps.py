"""What merging near ranges of one file costs and saves: `read_clips` with several gaps."""

import random
import statistics
import time
from collections.abc import Iterator

import numpy as np

import episeek
from tests.bench.remote_dataset import CAMERA
from tests.bench.remote_run import Condition
from tests.servers.range_server import RangeServerProcess
from tests.support.large_video import LargeVideo

CONDITIONS = (Condition(0.02, 1e8), Condition(0.02, 1e9))
GAPS_KIB = (0, 16, 64, 256, 1024)
WINDOW_COUNT = 64
WINDOW_FRAMES = 8
ROUNDS = 3
SPREADS = (1.0, 0.1, 0.02)
"""Share of the file that the windows are drawn from."""


def bench_gaps(server: RangeServerProcess, index: episeek.ByteIndex, video: LargeVideo) -> Iterator[str]:
    """Lines of a table."""
    yield f"read_clips: {WINDOW_COUNT} random windows of {WINDOW_FRAMES} frames, 16 in flight, median of {ROUNDS} rounds"
    gaps = "".join(f"{f'gap {gap} KiB' if gap else 'no gap':>26}" for gap in GAPS_KIB)
    yield f"{'condition':<20} {'windows within':<16}{gaps}"
    for condition in CONDITIONS:
        server.shape(latency_seconds=condition.latency_seconds, bits_per_second=condition.bits_per_second)
        for spread in SPREADS:
            windows = _windows(video, spread)
            cells = [_measure(server, index, windows, gap << 10) for gap in GAPS_KIB]
            yield f"{condition!s:<20} {f'{spread * video.size_bytes / 1e6:.0f} MB':<16}" + "".join(
                f"{f'{requests} req, {count / 1e3:.0f} kB, {seconds * 1e3:.0f} ms':>26}"
                for requests, count, seconds in cells
            )


def _windows(video: LargeVideo, spread: float) -> list[tuple[int, str, int, int]]:
    rng = random.Random(1)
    long_enough = np.flatnonzero(np.array(video.episode_lengths) >= WINDOW_FRAMES)
    candidates = long_enough[: max(round(len(long_enough) * spread), 1)]
    windows = []
    for _ in range(WINDOW_COUNT):
        episode = int(rng.choice(candidates))
        start = rng.randrange(video.episode_lengths[episode] - WINDOW_FRAMES + 1)
        windows.append((episode, CAMERA, start, start + WINDOW_FRAMES))
    return windows


def _measure(
    server: RangeServerProcess,
    index: episeek.ByteIndex,
    windows: list[tuple[int, str, int, int]],
    gap_bytes: int,
) -> tuple[int, int, float]:
    """Requests, bytes and seconds of one call."""
    seconds = []
    for _ in range(ROUNDS):
        server.clear()
        start = time.perf_counter()
        index.read_clips(windows, max_in_flight=16, max_gap_bytes=gap_bytes)
        seconds.append(time.perf_counter() - start)
    exchanges = server.exchanges()
    return len(exchanges), sum(exchange.sent_bytes for exchange in exchanges), statistics.median(seconds)
