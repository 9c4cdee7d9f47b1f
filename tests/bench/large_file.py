"""Benchmark of indexing a file of 10 GB, nearly all of it a hole, against the same pictures in a small one."""

from pathlib import Path

from episeek.stores.transports.local import LocalSource
from episeek_pipelines.video.header import read_video_header
from tests.bench.timing import best_interleaved
from tests.features.encoding import Recipe, encode
from tests.features.muxer import Layout, mux, track_of
from tests.support.sparse_file import write_with_hole

HOLE_BYTES = 10 * (1 << 30)
ROUNDS = 50


def bench_large_file(workdir: Path) -> list[str]:
    """Read the header of both; returns lines to print."""
    source = encode(Recipe("libx264", b_frames=2, count=24))
    mp4 = mux(track_of(source, chunk_offsets="co64"), layout=Layout(mdat_size="64"))
    (workdir / "small.mp4").write_bytes(mp4)
    write_with_hole(workdir / "large.mp4", mp4, HOLE_BYTES)
    root = LocalSource(str(workdir))
    large_seconds, small_seconds = best_interleaved(
        lambda: read_video_header(root, "large.mp4"), lambda: read_video_header(root, "small.mp4"), rounds=ROUNDS
    )
    return [
        f"large file: a header in 10 GB takes {large_seconds / small_seconds:.2f} times as long as in "
        f"{len(mp4) / 1000:.0f} kB (aim: 2 or less); {large_seconds * 1000:.2f} ms against {small_seconds * 1000:.2f} ms"
    ]
