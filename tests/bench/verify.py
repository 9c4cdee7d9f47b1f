"""Benchmark of verification at the level `layout`, of up to 25,000 episodes: headers, footers, metadata and keyframes."""

import multiprocessing
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from episeek_pipelines.jobs.index import index
from episeek_pipelines.jobs.verify import verify
from episeek_pipelines.verify import VerifyOptions
from tests.bench.large_dataset import write_large_dataset

EPISODES = (6_250, 25_000)
CAMERAS = 3
ROUNDS = 2
AIM_BYTES, AIM_RATIO = 2e9, 1.3
LAYOUT = VerifyOptions(level="layout")


def bench_verify(workdir: Path) -> Iterator[str]:
    """Verify datasets of several sizes, without sidecars and with them; gives lines to print."""
    write_large_dataset(workdir / "small", 10, cameras=CAMERAS)
    seconds: dict[tuple[int, bool], float] = {}
    for count in EPISODES:
        root = workdir / f"{count}-episodes"
        dataset = write_large_dataset(root, count, cameras=CAMERAS)
        for has_sidecars in (False, True):
            if has_sidecars:
                index(str(root))
            rounds = [_in_new_process(workdir / "small", root) for _ in range(ROUNDS)]
            least_seconds, most_bytes = min(s for s, _ in rounds), max(b for _, b in rounds)
            seconds[count, has_sidecars] = least_seconds
            yield (
                f"verify layout, {_name(has_sidecars)}: {count:,} episodes of {CAMERAS} cameras, {dataset.frames:,} frames, "
                f"{dataset.data_files} data and {dataset.video_files} video files, in {least_seconds:.1f} s, "
                f"{count / least_seconds:,.0f} episodes/s; {most_bytes / 1e6:.0f} MB (aim: less than {AIM_BYTES / 1e6:.0f})"
            )
        shutil.rmtree(root)
    few, most = EPISODES[0], EPISODES[-1]
    for has_sidecars in (False, True):
        ratio = seconds[most, has_sidecars] / most * few / seconds[few, has_sidecars]
        yield (
            f"verify layout, {_name(has_sidecars)}: {ratio:.2f} of the time per episode with {most:,} episodes, "
            f"against {few:,} (aim: {AIM_RATIO} or less)"
        )


def _name(has_sidecars: bool) -> str:
    return "with sidecars" if has_sidecars else "no sidecars"


def _in_new_process(small: Path, root: Path) -> tuple[float, int]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (small, root))


def _measure(small: Path, root: Path) -> tuple[float, int]:
    """(seconds, peak bytes of the process, mapped pages of sidecars included) of one verification; imports are paid for before."""
    verify(str(small), options=LAYOUT)
    start = time.perf_counter()
    report = verify(str(root), options=LAYOUT)
    seconds = time.perf_counter() - start
    if report.findings:
        raise AssertionError(f"{len(report.findings)} findings, the first of them: {report.findings[0]}")
    return seconds, _peak_resident_bytes()


def _peak_resident_bytes() -> int:
    """VmHWM; `getrusage` would give a spawned process the peak of its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
