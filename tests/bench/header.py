"""Benchmark of the header parser: a moov of 50,000 samples, against the straightforward way in plain Python."""

import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from episeek.mp4.sample_table import SampleTable, parse_sample_table
from tests.bench.timing import best_interleaved
from tests.support.mp4_boxes import array, elst, full_box, moov, runs, sample_boxes, track

SAMPLE_COUNT = 50_000
SAMPLES_PER_CHUNK = 4
ROUNDS = 7


def make_moov() -> tuple[bytes, int]:
    """A moov as encoders with reordered frames write it, and the size of its file."""
    rng = random.Random(0)
    sizes = [rng.randrange(2_000, 30_000) for _ in range(SAMPLE_COUNT)]
    per_chunk = [SAMPLES_PER_CHUNK] * (SAMPLE_COUNT // SAMPLES_PER_CHUNK)
    offsets, position = [], 48
    for chunk in range(len(per_chunk)):
        offsets.append(position)
        position += sum(sizes[chunk * SAMPLES_PER_CHUNK :][:SAMPLES_PER_CHUNK]) + 300  # sound between the chunks
    boxes = sample_boxes(sizes, per_chunk, offsets, [512] * SAMPLE_COUNT)
    boxes["ctts"] = full_box(b"ctts", 0, runs([(1024, 2560, 1024, 0, 512)[k % 5] for k in range(SAMPLE_COUNT)], "I"))
    boxes["stss"] = full_box(b"stss", 0, array("I", range(1, SAMPLE_COUNT + 1, 30)))
    milliseconds = SAMPLE_COUNT * 512 * 1000 // 15360
    return moov(track(boxes, edits=elst([(milliseconds, 1024, 0x10000)]))), position


def parse_plainly(raw: bytes, file_size: int) -> dict[str, list[Any]]:
    """The same columns with `struct` and loops, as one writes it from the specification."""

    def children(start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
        while start < end:
            size, kind = struct.unpack_from(">I4s", raw, start)
            yield kind, start + 8, start + size
            start += size

    def find(box: tuple[bytes, int, int], *path: bytes) -> tuple[bytes, int, int]:
        for name in path:
            box = next(child for child in children(box[1], box[2]) if child[0] == name)
        return box

    root = (b"moov", 8, len(raw))
    trak = find(root, b"trak")
    tables = {kind: payload for kind, payload, _ in children(*find(trak, b"mdia", b"minf", b"stbl")[1:])}
    (timescale,) = struct.unpack_from(">I", raw, find(trak, b"mdia", b"mdhd")[1] + 12)
    (movie_timescale,) = struct.unpack_from(">I", raw, find(root, b"mvhd")[1] + 12)
    shown_milli, media_time = struct.unpack_from(">Ii", raw, find(trak, b"edts", b"elst")[1] + 8)

    (count,) = struct.unpack_from(">I", raw, tables[b"stsz"] + 8)
    size = [struct.unpack_from(">I", raw, tables[b"stsz"] + 12 + 4 * k)[0] for k in range(count)]
    duration: list[int] = []
    for k in range(struct.unpack_from(">I", raw, tables[b"stts"] + 4)[0]):
        run, value = struct.unpack_from(">II", raw, tables[b"stts"] + 8 + 8 * k)
        duration.extend([value] * run)
    composition: list[int] = []
    for k in range(struct.unpack_from(">I", raw, tables[b"ctts"] + 4)[0]):
        run, value = struct.unpack_from(">Ii", raw, tables[b"ctts"] + 8 + 8 * k)
        composition.extend([value] * run)
    is_sync = [False] * count
    for k in range(struct.unpack_from(">I", raw, tables[b"stss"] + 4)[0]):
        is_sync[struct.unpack_from(">I", raw, tables[b"stss"] + 8 + 4 * k)[0] - 1] = True
    (chunk_count,) = struct.unpack_from(">I", raw, tables[b"stco"] + 4)
    (run_count,) = struct.unpack_from(">I", raw, tables[b"stsc"] + 4)
    starts = [struct.unpack_from(">II", raw, tables[b"stsc"] + 8 + 12 * k) for k in range(run_count)]
    offset: list[int] = []
    run_index = sample = 0
    for chunk in range(chunk_count):
        if run_index + 1 < run_count and starts[run_index + 1][0] == chunk + 1:
            run_index += 1
        (position,) = struct.unpack_from(">I", raw, tables[b"stco"] + 8 + 4 * chunk)
        for _ in range(starts[run_index][1]):
            offset.append(position)
            position += size[sample]
            sample += 1
    shown = shown_milli * timescale // movie_timescale
    dts, pts, is_presented, now = [], [], [], 0
    for k in range(count):
        time_shown = now + composition[k] - media_time
        dts.append(now)
        pts.append(time_shown)
        is_presented.append(0 <= time_shown < shown)
        if offset[k] + size[k] > file_size:
            raise ValueError(f"sample {k} reaches past the end of the file")
        now += duration[k]
    columns = {"offset": offset, "size": size, "dts": dts, "pts": pts, "duration": duration}
    return columns | {"is_sync": is_sync, "is_presented": is_presented}


def bench_header(workdir: Path) -> list[str]:
    """Parse one moov both ways, after comparing every value; returns lines to print."""
    raw, file_size = make_moov()
    table = parse_sample_table(raw, file_size=file_size, where="bench")
    for name, values in parse_plainly(raw, file_size).items():
        if getattr(table, name).tolist() != values:
            raise AssertionError(f"{name}: the two parsers differ")

    def ours() -> SampleTable:
        return parse_sample_table(raw, file_size=file_size, where="bench")

    our_seconds, plain_seconds = best_interleaved(ours, lambda: parse_plainly(raw, file_size), rounds=ROUNDS)
    return [
        f"header parse: {plain_seconds / our_seconds:.0f} times as fast as plain Python (aim: 20 or more); "
        f"{SAMPLE_COUNT} samples in {our_seconds * 1000:.2f} ms against {plain_seconds * 1000:.1f} ms"
    ]
