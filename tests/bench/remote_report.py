"""The measurements as a table, and as answers to what was aimed at."""

from collections.abc import Iterator, Sequence

from tests.bench.remote_run import Condition, Measurement

HEADER = (
    f"{'condition':<20} {'in flight':>9}  {'method':<24} {'requests':>8} {'kB':>8} {'ms':>7} {'p50':>6} {'p99':>6} "
    f"{'CPU ms':>7} {'CPU/req':>7} {'frames/s':>8} {'bytes':>12} {'speed':>6}"
)
LEGEND = (
    "of one frame: requests, kB and ms (wall time of the run / frames), p50 and p99 of its latency in ms, CPU ms of the client and "
    "the same for each request; then frames/s, and against the first row of the group: bytes and frames/s"
)


def table_rows(group: Sequence[Measurement]) -> Iterator[str]:
    """Lines for the methods of one condition; the first is the one to compare with."""
    for row in group:
        byte_ratio, speed_ratio = ratios(row, group[0])
        fewer = f"{byte_ratio:.0f}x fewer" if byte_ratio >= 1.95 else f"{1 / byte_ratio:.2f}"
        yield (
            f"{row.condition!s:<20} {row.in_flight:>9}  {row.label:<24} {row.requests_per_frame:>8.2f} "
            f"{row.bytes_per_frame / 1e3:>8.1f} {row.seconds_per_frame * 1e3:>7.2f} {row.p50_seconds * 1e3:>6.1f} "
            f"{row.p99_seconds * 1e3:>6.1f} {row.cpu_seconds / row.frame_count * 1e3:>7.2f} "
            f"{row.cpu_seconds / row.request_count * 1e3:>7.2f} {row.frames_per_second:>8.1f} {fewer:>12} {speed_ratio:>5.1f}x"
        )
        if row.failures:
            yield f"    failed: {len(row.failures)} of {row.frame_count} frames, the first: {row.failures[0]}"


def ratios(row: Measurement, baseline: Measurement) -> tuple[float, float]:
    """How many times fewer bytes, and how many times the frames per second."""
    return baseline.bytes_per_frame / row.bytes_per_frame, row.frames_per_second / baseline.frames_per_second


def aim_lines(rows: Sequence[Measurement], *, baseline_label: str, label: str) -> Iterator[str]:
    """What was aimed at, for what was measured of it."""
    found = {(row.condition, row.in_flight, row.label): row for row in rows}
    near = Condition(0.02)
    aims = [
        (near, 1, 3.0),
        (Condition(0.02, 1e9), 16, 5.0),
        (Condition(0.02, 1e8), 16, 50.0),
    ]
    baseline, row = found.get((near, 1, baseline_label)), found.get((near, 1, label))
    if baseline is not None and row is not None:
        bytes_ratio, _ = ratios(row, baseline)
        yield _aim(f"bytes, against '{baseline_label}'", f"{bytes_ratio:.0f} times fewer", "100", bytes_ratio >= 100)
        requests = f"{row.requests_per_frame:.2f} against {baseline.requests_per_frame:.2f}"
        yield _aim("requests for a frame", requests, "1 against 3", row.requests_per_frame == 1.0)
    for condition, in_flight, aim in aims:
        baseline, row = (found.get((condition, in_flight, name)) for name in (baseline_label, label))
        if baseline is not None and row is not None:
            _, speed = ratios(row, baseline)
            what = f"frames/s at {condition}, {in_flight} in flight"
            yield _aim(what, f"{speed:.1f} times", f"{aim:.0f} times", speed >= aim)


def _aim(what: str, found: str, aim: str, is_met: bool) -> str:
    return f"{'pass' if is_met else 'MISS'}  {what}: {found} (aim: {aim} or more)"
