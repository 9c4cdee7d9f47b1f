"""Writing of packed files: what is in memory, large offsets, and sources in a store."""

import struct
import tracemalloc
from dataclasses import replace

import numpy as np

from episeek.mp4.clip_header import ClipSamples, TrackProperties, clip_header
from episeek.mp4.sample_table import parse_sample_table
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.pack.write import write_packed_file
from tests.features.encoding import Recipe, encode
from tests.features.muxer import Layout, mux, track_of
from tests.features.sources import h264_b
from tests.pipelines.pack.packing import numbers, pack_files, pictures, places
from tests.support.sparse_file import write_with_hole

HOLE = 10 << 30
SAMPLE_BYTES = 6 << 20


def test_a_source_of_ten_gigabytes_takes_no_more_memory_than_its_samples(tmp_path):
    small = mux(h264_b(chunk_offsets="co64", chunk_sizes=[8, 8, 8]), layout=Layout(mdat_size="64"))
    packed = pack_files(tmp_path, [small], [[24]])
    (file,) = packed.plan.files
    source = Root(str(tmp_path / "source"))
    write_with_hole(tmp_path / "source/000.mp4", small, HOLE, first_chunk=1)
    # the same file but for the hole: another header, another version
    digest = _digest(source)
    part = replace(file.parts[0], version=source.version_of("000.mp4"), header_digest=digest)
    tracemalloc.start()
    try:
        write_packed_file(source, Root(str(tmp_path / "again")), replace(file, parts=(part,)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tmp_path / "again" / file.path).read_bytes() == places(packed)[0][0].read_bytes()
    assert peak < 4 << 20


def test_media_passes_through_a_few_megabytes_of_memory(tmp_path):
    source = encode(Recipe("mjpeg", pixels="yuvj420p", count=6))
    samples = [replace(sample, data=sample.data.ljust(SAMPLE_BYTES, b"\0")) for sample in source.samples]
    packed = pack_files(tmp_path, [mux(track_of(source, samples=samples))], [[6]])
    (file,) = packed.plan.files
    del samples
    tracemalloc.start()
    try:
        write_packed_file(Root(str(tmp_path / "source")), Root(str(tmp_path / "again")), file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert file.media_bytes == 6 * SAMPLE_BYTES
    assert peak < 24 << 20
    assert (tmp_path / "again" / file.path).read_bytes() == places(packed)[0][0].read_bytes()


def test_offsets_beyond_four_gigabytes_have_64_bits():
    size = np.full(5, 1 << 30)
    samples = ClipSamples(np.cumsum(size) - size, size, 512 * np.arange(5), np.ones(5, np.bool_))
    entry = mux(h264_b())
    place = entry.index(b"stsd") - 4
    track = TrackProperties(entry[place : place + struct.unpack_from(">I", entry, place)[0]], 15360, 96, 64, 512)
    header = clip_header(
        samples, track, payload_bytes=5 << 30, shown_from=0, shown_until=2560, last_end=2560, chunk_bytes=1 << 20
    )
    start = header.index(b"moov") - 4
    (length,) = struct.unpack_from(">I", header, start)
    table = parse_sample_table(header[start : start + length], file_size=len(header) + (5 << 30), where="large")
    assert table.offset.tolist() == [len(header) + (number << 30) for number in range(5)]
    assert b"co64" in header


def test_files_in_a_store_are_packed_as_those_on_this_machine(tmp_path):
    packed = pack_files(tmp_path, [mux(h264_b()), mux(h264_b(), layout=Layout(gap=b"\0" * 100))], [[24], [16]])
    (file,) = packed.plan.files
    store = Root("memory://pack-source")
    for path in sorted((tmp_path / "source").iterdir()):
        store.write_bytes(path.name, path.read_bytes())
    parts = tuple(replace(part, version=store.version_of(part.path)) for part in file.parts)
    write_packed_file(store, Root(str(tmp_path / "again")), replace(file, parts=parts))
    store.remove("")
    assert (tmp_path / "again" / file.path).read_bytes() == places(packed)[0][0].read_bytes()
    assert numbers(pictures(tmp_path / "again" / file.path)) == [*range(24), *range(16)]


def _digest(source: Root) -> str:
    from episeek.mp4.header import read_header

    return read_header(source.source(), "000.mp4").digest
