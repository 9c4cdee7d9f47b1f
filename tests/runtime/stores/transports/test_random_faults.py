"""Random clips, 10,000 of them in a full run, while servers fail at random: right bytes or an error, never wrong bytes."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

import episeek
from episeek.errors import EpiseekError
from episeek.stores.requests.retry import RetryPolicy
from tests.servers.faults import Fault, FaultKind
from tests.support.amount import amount
from tests.support.build_index import CAMERAS, DATA
from tests.support.served_file import serve
from tests.support.survival import record

NAMES = ("av1_multifile", "h264_bframes", "hevc")

PATIENCE = RetryPolicy(
    max_attempts=8,
    max_seconds=60,
    first_wait_seconds=0.001,
    max_wait_seconds=0.01,
    connect_seconds=1.5,
    stall_seconds=1.5,
)

HONEST = [  # a fault that a source cannot take for an answer
    Fault("truncate", method=".*", at_byte=50),
    Fault("truncate_reset", method=".*", at_byte=50),
    Fault("drop", method=".*"),
    Fault("reset", method=".*"),
    Fault("status", method=".*", status=429),
    Fault("status", method=".*", status=500),
    Fault("status", method=".*", status=503),
    Fault("ignore_range", method=".*"),
    Fault("wrong_range", method=".*"),
    Fault("short_range", method=".*", at_byte=50),
    Fault("not_http", method=".*"),
]

RUNS = {  # how many clips of each kind of source; s3fs waits between its own tries
    "http obstore": amount(3500, 120),
    "hub": amount(2500, 120),
    "http fsspec": amount(2000, 100),
    "s3 obstore": amount(1000, 60),
    "hub bucket": amount(700, 60),
    "s3 fsspec": amount(300, 40),
}


def random_requests(index, count, seed):
    chance = random.Random(seed)
    for _ in range(count):
        episode, camera = chance.randrange(index.episode_count), chance.choice(CAMERAS)
        frames = index.lookup(episode, camera).frame_count
        start = chance.randrange(frames)
        yield episode, camera, start, chance.randint(start + 1, min(frames, start + 12))


def test_ten_thousand():
    assert sum(RUNS.values()) == amount(10_000, 500)


@pytest.mark.parametrize("name", RUNS)
def test_random_clips_under_random_faults(name, indexes, sidecar_roots, tmp_path, record_property):
    files = {path.relative_to(DATA).as_posix(): path for path in DATA.rglob("*.mp4")}
    with serve(name, files, tmp_path) as served:
        opened = [
            episeek.open(
                sidecar_roots[dataset],
                data_root=f"{served.url}/{dataset}",
                storage_options=served.storage_options,
                retry=PATIENCE,
                transport=served.transport,
            )
            for dataset in NAMES
        ]
        served.server.randomly(0.08, [*HONEST, Fault("stall", method=".*", seconds=3.5)], seed=len(name))

        def one(job):
            number, request = job
            expected = indexes[NAMES[number]].clip(*request).read()
            try:
                return "right" if opened[number].clip(*request).read() == expected else "WRONG BYTES"
            except EpiseekError as error:
                return type(error).__name__

        jobs = [
            (number, request)
            for number in range(len(NAMES))
            for request in random_requests(opened[number], -(-RUNS[name] // len(NAMES)), seed=number)
        ][: RUNS[name]]
        with ThreadPoolExecutor(16) as pool:
            outcomes = Counter(pool.map(one, jobs))
        served.server.clear_faults()
        hit = sum(bool(exchange.fault) for exchange in served.server.exchanges())
    assert outcomes["WRONG BYTES"] == 0
    assert outcomes.total() == RUNS[name]
    assert hit > RUNS[name] * 0.05
    assert outcomes["right"] > amount(97, 95) / 100 * RUNS[name]
    summary = ", ".join(f"{count} {kind}" for kind, count in outcomes.most_common())
    record(record_property, fault="random clips, random faults", source=name, outcome=f"{summary} ({hit} faults)")


def test_random_clips_with_corrupted_bytes(indexes, sidecar_roots, tmp_path):
    """Bits flip as well, anywhere. Every range is read twice: only two reads with the same flipped bit would be accepted."""
    with serve(
        "http obstore", {path.relative_to(DATA).as_posix(): path for path in DATA.rglob("*.mp4")}, tmp_path
    ) as served:
        index = episeek.open(
            sidecar_roots["hevc"], data_root=f"{served.url}/hevc", retry=PATIENCE, transport="obstore", verify="bytes"
        )
        kinds: list[FaultKind | Fault] = [*HONEST, *(["corrupt"] * 8)]  # type: ignore[list-item]  # a literal, repeated
        served.server.randomly(0.1, kinds, seed=3)
        outcomes: Counter[str] = Counter()
        for request in random_requests(index, 500, seed=9):
            try:
                is_right = index.clip(*request).read() == indexes["hevc"].clip(*request).read()
                outcomes["right" if is_right else "WRONG BYTES"] += 1
            except EpiseekError as error:
                outcomes[type(error).__name__] += 1
    assert outcomes["WRONG BYTES"] == 0
    assert outcomes["CorruptBytesError"] > 10
    assert outcomes["right"] > 300
