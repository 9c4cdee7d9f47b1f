"""How fast each transport of the runtime fetches many small ranges, and what of the client's CPU that takes."""

import random
import time
from collections.abc import Callable, Iterator
from functools import partial

from episeek.stores.open_source import Transport, open_source
from episeek.stores.processes.workers import map_in_threads
from episeek.stores.requests.retry import DEFAULT_POLICY
from episeek.stores.transports.http.range import get_range
from tests.bench.remote_dataset import VIDEO_PATH
from tests.bench.remote_run import Condition
from tests.servers.range_server import RangeServerProcess
from tests.support.large_video import LargeVideo

CONDITIONS = (Condition(0.0), Condition(0.02))
RANGE_COUNT = 1000
RANGE_BYTES = 7500
ROUNDS = 3

Range = tuple[int, int]


def bench_transports(server: RangeServerProcess, video: LargeVideo) -> Iterator[str]:
    """Lines of a table."""
    yield f"transports: {RANGE_COUNT} ranges of {RANGE_BYTES / 1e3} kB, 16 in flight, best of {ROUNDS} rounds"
    yield f"{'condition':<20} {'transport':<34} {'requests/s':>10} {'CPU ms/request':>15}"
    rng = random.Random(2)
    starts = [rng.randrange(video.size_bytes - RANGE_BYTES) for _ in range(RANGE_COUNT)]
    ranges = [(start, start + RANGE_BYTES) for start in starts]
    with open(video.path, "rb") as file:
        expected = []
        for start, _ in ranges:
            file.seek(start)
            expected.append(file.read(RANGE_BYTES))
    ways: dict[str, Callable[[], list[bytes]]] = {
        "obstore": partial(_by_source, server.url, "obstore", ranges),
        "fsspec (aiohttp)": partial(_by_source, server.url, "fsspec", ranges),
        "urllib3, as for the Hub": partial(_by_urllib3, f"{server.url}/{VIDEO_PATH}", ranges),
    }
    for condition in CONDITIONS:
        server.shape(latency_seconds=condition.latency_seconds, bits_per_second=condition.bits_per_second)
        best = {name: (float("inf"), float("inf")) for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                wall, cpu = time.perf_counter(), time.process_time()
                found = way()
                best[name] = min(best[name], (time.perf_counter() - wall, time.process_time() - cpu))
                if found != expected:
                    raise AssertionError(f"{name}: other bytes than the file's")
        for name, (wall, cpu) in best.items():
            yield f"{condition!s:<20} {name:<34} {RANGE_COUNT / wall:>10.0f} {cpu / RANGE_COUNT * 1e3:>15.3f}"


def _by_source(url: str, transport: Transport, ranges: list[Range]) -> list[bytes]:
    return open_source(url, transport=transport).get_ranges(VIDEO_PATH, ranges)


def _by_urllib3(url: str, ranges: list[Range]) -> list[bytes]:
    def get(byte_range: Range) -> bytes:
        return get_range(url, byte_range, headers={}, policy=DEFAULT_POLICY).data

    return map_in_threads(get, ranges, max_in_flight=16)
