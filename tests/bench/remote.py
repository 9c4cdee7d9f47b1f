"""`python -m tests.bench.remote`: random frames of a 200 MB file on a server, by every way there is, in one run.

The server is a process of its own on this machine; latency is added before each response, and all connections share its link.
Connecting costs nothing here: with a new connection for each frame a real network would add one or two round trips to the cold
rows.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from torchcodec.decoders import VideoDecoder  # type: ignore[attr-defined]  # the package exports it without saying so

import episeek
from tests.bench.remote_dataset import CAMERA, index_behind, random_frames, realistic_video
from tests.bench.remote_gaps import bench_gaps
from tests.bench.remote_methods import EpiseekBytes, picture_methods
from tests.bench.remote_report import HEADER, LEGEND, aim_lines, table_rows
from tests.bench.remote_run import Condition, compare_pictures, measure
from tests.bench.remote_stages import bench_stages
from tests.bench.remote_transports import bench_transports
from tests.servers.range_server import RangeServerProcess

CACHE = Path("bench-output")
CONDITIONS = (
    Condition(0.0),
    Condition(0.02),
    Condition(0.05),
    Condition(0.02, 1e9),
    Condition(0.02, 1e8),
)
QUICK_CONDITION = Condition(0.02)
FRAME_COUNT = {1: 80, 16: 128}
"""Frames for each number in flight; the first of one list."""
QUICK_FRAME_COUNT = {1: 50, 16: 80}
MAX_ROUNDS, QUICK_MAX_ROUNDS = 2, 1


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.remote", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"the table for {QUICK_CONDITION} only")
    arguments = parser.parse_args()
    os.environ.setdefault("SVT_LOG", "1")  # errors only, from the encoder
    for line in bench_remote(is_quick=arguments.quick):
        print(line, flush=True)


def bench_remote(*, is_quick: bool) -> Iterator[str]:
    """Lines to print."""
    started = time.monotonic()
    video = realistic_video(CACHE)
    counts = QUICK_FRAME_COUNT if is_quick else FRAME_COUNT
    max_rounds = QUICK_MAX_ROUNDS if is_quick else MAX_ROUNDS
    frames = random_frames(video, max(counts.values()), seed=0)
    served = video.path.parents[3]
    with tempfile.TemporaryDirectory(prefix="episeek-bench-") as folder, RangeServerProcess(served) as server:
        sidecars = index_behind(server.url, video, Path(folder))
        index = episeek.open(sidecars, data_root=server.url)
        clips = [index.clip(f.episode_index, CAMERA, f.frame_index, f.frame_index + 1) for f in frames]
        clip_bytes = [clip.byte_range[1] - clip.byte_range[0] for clip in clips]
        yield (
            f"file: {video.size_bytes / 1e6:.0f} MB, {video.width}x{video.height} AV1, {video.frame_count} frames, "
            f"{len(video.episode_lengths)} episodes, moov {video.moov_bytes / 1e3:.0f} kB in front; "
            f"a clip of one frame: {sum(clip_bytes) / len(clips) / 1e3:.1f} kB on average, "
            f"{sum(len(clip.samples.size) for clip in clips) / len(clips):.1f} samples"
        )
        methods = picture_methods(server.url, sidecars, index)
        decoder = VideoDecoder(video.path, seek_mode="exact")
        reference = list(decoder.get_frames_at([frame.index_in_file for frame in frames]).data)
        for label, wrong in compare_pictures(methods, frames, reference, in_flight=4).items():
            if wrong:
                yield f"DIFFERENT PICTURES: {label}: {len(wrong)} of {len(frames)} frames, the first {wrong[0]}"
            else:
                yield f"pictures of '{label}': all {len(frames)} equal, pixel by pixel, the local file decoded by TorchCodec"
        del reference
        yield f"\n{HEADER}"
        rows = []
        for condition in (QUICK_CONDITION,) if is_quick else CONDITIONS:
            for in_flight, count in counts.items():
                group = [
                    measure(server, condition, way, frames[:count], in_flight=in_flight, max_rounds=max_rounds)
                    for way in [*methods, EpiseekBytes(index)]
                ]
                rows += group
                yield from table_rows(group)
        yield f"{LEGEND}\n"
        yield from aim_lines(rows, baseline_label=methods[0].label, label=methods[-1].label)
        if not is_quick:
            yield ""
            yield from bench_gaps(server, index, video)
            yield ""
            yield from bench_transports(server, video)
            yield ""
            yield from bench_stages(server, index, frames, url=server.url, sidecars=sidecars)
    yield f"\n{time.monotonic() - started:.0f} s in all"


if __name__ == "__main__":  # the server is started as another process
    main()
