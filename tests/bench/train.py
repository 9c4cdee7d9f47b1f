"""`python -m tests.bench.train`: a training loop's reading, by every way there is, in one run.

Each measurement is a process of its own, and rounds go over all of them in turn; the server is another process of this machine,
and adds 20 ms before each response.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torchcodec.decoders import VideoDecoder  # type: ignore[attr-defined]  # the package exports it without saying so

import episeek
from episeek_pipelines.api import prepare
from episeek_pipelines.jobs.bench.loop import PREFETCHED
from tests.bench.train_dataset import HEIGHT, WIDTH, files_of, training_dataset
from tests.bench.train_report import HEADER, LEGEND, Row, aim_lines, best, memory_lines, table_line
from tests.bench.train_ways import CAMERA
from tests.servers.range_server import RangeServerProcess

REPOSITORY = Path(__file__).parents[2]
CACHE = REPOSITORY / "bench-output"
LATENCY_SECONDS = 0.02
ORDERS = ("global", "clump", "episode")
FRAME_AIM = 1.15
EPOCH_AIM = 1.1
ROUNDS = 2
MEASURED_SECONDS = 4.0
SLOW_BATCH_SIZE = 8
"""Of ways that take a tenth of a second and more for a sample."""
PICTURE_BYTES = 3 * WIDTH * HEIGHT * 4


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.train", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="small and once: whether it runs; its figures mean nothing"
    )
    parser.add_argument("--peer", help="the Python of an environment with LeRobot, to measure LeRobotDataset as well")
    arguments = parser.parse_args()
    os.environ.setdefault("SVT_LOG", "1")  # errors only, from the encoder
    for line in bench_train(is_quick=arguments.quick, peer=arguments.peer):
        print(line, flush=True)


def bench_train(*, is_quick: bool, peer: str | None) -> Iterator[str]:
    """Lines to print."""
    started = time.monotonic()
    root = training_dataset(CACHE, 20 if is_quick else 400)
    files = files_of(root)
    with tempfile.TemporaryDirectory(prefix="episeek-bench-", dir=CACHE) as work:
        prepared = Path(work, "prepared")
        prepare(str(root), str(prepared), videos="hardlink")
        with RangeServerProcess(prepared) as server:
            yield from _bench(root, prepared, files, server, Path(work), peer=peer, is_quick=is_quick)
    yield f"\n{time.monotonic() - started:.0f} s in all"


def _bench(
    root: Path,
    prepared: Path,
    files: dict[str, Any],
    server: RangeServerProcess,
    work: Path,
    *,
    peer: str | None,
    is_quick: bool,
) -> Iterator[str]:
    batches, batch_size, seconds = (2, 8, 0.0) if is_quick else (60, 32, MEASURED_SECONDS)
    cases = list(_cases(peer))
    measured: list[list[Row]] = [[] for _ in cases]
    for round_number, (number, case) in itertools.product(range(1 if is_quick else ROUNDS), enumerate(cases)):
        if round_number and (case["place"] != "local" or case["way"] == "LeRobotDataset"):
            # one round of what takes long: these ratios are far from their aims, or waiting is most of the time
            continue
        # LeRobot reads the dataset as it was recorded
        local = str(root if case["way"] == "LeRobotDataset" else prepared)
        is_slow = case["way"].startswith("read-ahead")
        request = {
            **case,
            "root": local if case["place"] == "local" else server.url,
            "files": files,
            "batch_size": min(batch_size, SLOW_BATCH_SIZE) if is_slow else batch_size,
            "batches": batches,
            "max_seconds": seconds,
            "is_epoch": False,
            "result": str(work / "result.json"),
        }
        if case["place"] != "local" and case["order"] in ("clump", "episode"):
            # a whole epoch: what is fetched at its beginning is read until its end
            request["cache_dir"] = str(work / f"ranges-{number}")
            request["episodes"] = _episodes_of_first_file(episeek.open(prepared))
            if not is_quick:
                # without the first one, and those that are read ahead of it
                request["batches"] = files["frames"][0] // batch_size - 1 - PREFETCHED * case["workers"]
                request["max_seconds"] = None
        measured[number].append(_measure(request, server, peer))
    rows = [best(of_case) for of_case in measured]
    yield HEADER
    yield from map(table_line, rows)
    yield f"{LEGEND}\n"
    yield from aim_lines(rows)
    yield from memory_lines(rows, batch_bytes=batch_size * PICTURE_BYTES)
    yield _epoch_line(prepared, server, work, batch_size)
    yield _frame_line(prepared, frames=10 if is_quick else 300)


def _cases(peer: str | None) -> Iterator[dict[str, Any]]:
    for workers in (0, 2, 4):
        yield {"place": "local", "way": "kept decoder", "order": "random", "workers": workers}
        for order in ORDERS:
            yield {"place": "local", "way": "episeek", "order": order, "workers": workers}
        if workers == 4:
            continue
        if peer:
            yield {"place": "local", "way": "LeRobotDataset", "order": "random", "workers": workers}
        for way in ("read-ahead, kept", "read-ahead, new"):
            yield {"place": "20 ms", "way": way, "order": "random", "workers": workers}
        for order in ORDERS:
            yield {"place": "20 ms", "way": "episeek", "order": order, "workers": workers}


def _measure(request: dict[str, Any], server: RangeServerProcess, peer: str | None) -> Row:
    result = _run(request, server, peer)
    row = Row(place=request["place"], way=request["way"], order=request["order"], workers=request["workers"], **result)
    if request["place"] == "local":
        return row
    exchanges = server.exchanges()
    # the first batch and those read ahead were read too
    read = row.samples + (1 + 2 * request["workers"]) * request["batch_size"]
    return replace(
        row,
        requests_per_sample=len(exchanges) / read,
        bytes_per_sample=sum(exchange.sent_bytes for exchange in exchanges) / read,
    )


def _run(request: dict[str, Any], server: RangeServerProcess, peer: str | None) -> Any:
    """Run a request in a process of its own, and return its result."""
    server.shape(latency_seconds=LATENCY_SECONDS)
    server.clear()
    python = peer if request["way"] == "LeRobotDataset" and peer else sys.executable
    paths = (REPOSITORY, REPOSITORY / "src", REPOSITORY / "pipelines", REPOSITORY / "schemas")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [python, "-m", "tests.bench.train_ways"],
        input=json.dumps(request),
        env=environment,
        cwd=REPOSITORY,
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{request['way']}, {request['place']}, {request['workers']} workers failed:\n{done.stderr[-3000:]}")
    return json.loads(Path(request["result"]).read_text())


def _epoch_line(prepared: Path, server: RangeServerProcess, work: Path, batch_size: int) -> str:
    """Bytes of a whole epoch of the episodes of the first video, in episode order with four workers and a cache."""
    index = episeek.open(prepared)
    path = index.file(0).file_path
    episodes = _episodes_of_first_file(index)
    request = {
        "place": "20 ms",
        "way": "episeek",
        "order": "episode",
        "workers": 4,
        "root": server.url,
        "episodes": episodes,
        "batch_size": batch_size,
        "is_epoch": True,
        "cache_dir": str(work / "ranges-epoch"),
        "result": str(work / "result.json"),
    }
    frames = _run(request, server, None)["frames"]
    if frames != list(range(sum(index.lookup(e, CAMERA).frame_count for e in episodes))):
        raise AssertionError(f"an epoch of {len(frames)} frames")
    sent = sum(exchange.sent_bytes for exchange in server.exchanges())
    places, info = index.dataset_rows.places, index.dataset_rows.info.info
    numbers = set(zip(places.chunk_index[episodes].tolist(), places.file_index[episodes].tolist(), strict=True))
    held = sum((prepared / name).stat().st_size for name in [path, *(info.data_file(*number) for number in numbers)])
    ratio = sent / held
    return (
        f"{'pass' if ratio <= EPOCH_AIM else 'MISS'}  20 ms, episode order, 4 workers, an epoch of {len(episodes)} episodes: "
        f"{ratio:.3f} of the bytes of their files ({sent / 1e6:.1f} of {held / 1e6:.1f} MB, with metadata and sidecars; "
        f"aim: {EPOCH_AIM} or less)"
    )


def _episodes_of_first_file(index: episeek.ByteIndex) -> list[int]:
    return [episode for episode in range(index.episode_count) if index.lookup(episode, CAMERA).file_id == 0]


def _frame_line(prepared: Path, *, frames: int) -> str:
    """CPU time of one random frame: a clip of it, against a decoder of the whole file that is kept open."""
    index = episeek.open(prepared)
    file = index.file(0)
    decoder = VideoDecoder(prepared / file.file_path, seek_mode="approximate")
    spans = [span for e in range(index.episode_count) if (span := index.lookup(e, CAMERA)).file_id == 0]
    starts = list(itertools.accumulate((span.frame_count for span in spans), initial=0))
    chosen = torch.randperm(starts[-1], generator=torch.Generator().manual_seed(0))[:frames].tolist()
    seconds = [0.0, 0.0]
    for place in chosen:
        number = next(n for n in range(len(spans)) if place < starts[n + 1])
        before = time.process_time()
        theirs = decoder.get_frames_at(indices=[place]).data[0]
        between = time.process_time()
        frame = place - starts[number]
        ours = index.clip(spans[number].episode_index, CAMERA, frame, frame + 1).decode().data[0]
        seconds[0] += between - before
        seconds[1] += time.process_time() - between
        if not torch.equal(torch.as_tensor(ours), theirs):
            raise AssertionError(f"frame {place}: different pictures")
    ratio = seconds[1] / seconds[0]
    return (
        f"{'pass' if ratio <= FRAME_AIM else 'MISS'}  one random frame, local: {ratio:.2f} of the CPU time of a kept decoder "
        f"({seconds[1] / len(chosen) * 1e3:.2f} ms against {seconds[0] / len(chosen) * 1e3:.2f}; aim: {FRAME_AIM} or less)"
    )


if __name__ == "__main__":  # the server is started as another process
    main()
