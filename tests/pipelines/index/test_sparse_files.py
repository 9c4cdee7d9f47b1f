"""A file of ten gigabytes costs what a small one costs: its header."""

import tracemalloc

import numpy as np
import pytest

from episeek.stores.byte_source import CountingSource
from episeek.stores.transports.local import LocalSource
from episeek_pipelines.video.header import read_video_header
from tests.features.encoding import Recipe, encode
from tests.features.muxer import Layout, mux, track_of
from tests.features.sources import H264, presented, with_times
from tests.support import bar_code
from tests.support.one_file_index import CAMERA, open_one_file, read_table
from tests.support.sparse_file import write_with_hole

TEN_GIGABYTES = 10 * (1 << 30)


@pytest.fixture(scope="module")
def mp4():
    source = encode(Recipe("libx264", b_frames=2, count=24))
    return mux(track_of(source, chunk_offsets="co64"), layout=Layout(mdat_size="64"))


def header_cost(path):
    source = CountingSource(LocalSource(str(path.parent)))
    read_video_header(source, path.name)  # imports and caches
    source = CountingSource(LocalSource(str(path.parent)))
    tracemalloc.start()
    read_video_header(source, path.name)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return source.request_count, source.byte_count, peak


def test_ten_gigabytes_are_indexed_for_the_price_of_their_header(tmp_path, mp4):
    large, small = tmp_path / "large.mp4", tmp_path / "small.mp4"
    write_with_hole(large, mp4, TEN_GIGABYTES)
    small.write_bytes(mp4)
    assert large.stat().st_size - small.stat().st_size == TEN_GIGABYTES
    assert large.stat().st_blocks * 512 < 1 << 20, "the file system keeps no holes"
    assert np.array_equal(read_table(large).offset, read_table(small).offset + TEN_GIGABYTES)
    requests, read_bytes, peak_bytes = header_cost(large)
    small_requests, small_bytes, small_peak = header_cost(small)
    assert requests <= small_requests + 1  # the small one fits into the first probe
    assert read_bytes <= small_bytes + 2 * LocalSource("").probe_bytes
    # other threads of this process are counted too
    assert peak_bytes <= small_peak + (1 << 20)


def test_an_episode_of_ten_gigabytes_has_wide_columns_and_exact_clips(tmp_path, mp4):
    """The hole lies between two samples of the episode. Other builds of the same file keep the narrow types."""
    path = tmp_path / "videos/large.mp4"
    write_with_hole(path, mp4, TEN_GIGABYTES, first_chunk=1)
    index = open_one_file(path, read_table(path), tmp_path)
    assert index.lookup(0, CAMERA).mdat_length > TEN_GIGABYTES
    columns = index.table("samples").columns
    assert {name: column.dtype for name, column in columns.items()} == {
        "byte_offset": np.uint64, "byte_size": np.uint32, "pts": np.int32, "is_sync": np.bool_,
    }  # fmt: skip
    for start, stop in ((0, 3), (12, 24), (23, 24)):
        clip = index.clip(0, CAMERA, start, stop)
        assert bar_code.read(clip.decode("pyav").data) == list(range(start, stop))


def test_a_minute_of_nanoseconds_has_wide_times_and_exact_clips(tmp_path):
    ticks = [3 * 10**9 * number for number in range(24)]
    moved = with_times(encode(H264), ticks, timescale=10**9, last=3 * 10**9)
    path = tmp_path / "videos/long.mp4"
    path.parent.mkdir()
    path.write_bytes(mux(presented(moved, header_version=1)))
    index = open_one_file(path, read_table(path), tmp_path)
    assert index.table("samples").columns["pts"].dtype == np.int64
    for start, stop in ((0, 24), (5, 9), (23, 24)):
        clip = index.clip(0, CAMERA, start, stop)
        assert clip.frame_ticks.tolist() == ticks[start:stop]
        assert bar_code.read(clip.decode("pyav").data) == list(range(start, stop))


def test_clips_beyond_four_gigabytes_are_exact(tmp_path, mp4):
    path = tmp_path / "videos/large.mp4"
    write_with_hole(path, mp4, TEN_GIGABYTES)
    index = open_one_file(path, read_table(path), tmp_path)
    for start, stop in ((0, 24), (5, 9), (23, 24)):
        frames = index.clip(0, CAMERA, start, stop).decode("pyav")
        assert bar_code.read(frames.data) == list(range(start, stop))
