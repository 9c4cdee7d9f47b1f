"""Show the report of a benchmark as lines of text and as a row of a CSV file."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from episeek_pipelines.words import counted

if TYPE_CHECKING:
    from episeek_pipelines.api import BenchReport


def report_lines(report: "BenchReport") -> Iterator[str]:
    """Yield the lines that show the report of a benchmark."""
    ranks = f", {report.ranks_measured} of {report.world_size} ranks" if report.world_size > 1 else ""
    yield (
        f"{report.root}: {counted(report.episodes, 'episode')}, {counted(report.frames, 'frame')}, "
        f"{counted(report.cameras, 'camera')}; {report.order} order, "
        f"batches of {report.batch_size}, {counted(report.workers, 'worker')}{ranks}"
    )
    yield (
        f"speed: {report.samples_per_second:,.1f} samples/s, {report.decoded_frames_per_second:,.1f} decoded frames/s "
        f"({report.samples:,} samples in {report.seconds:.2f} s{_cpu(report)})"
    )
    yield (
        f"waits: {report.open_seconds:.2f} s to open the dataset, {report.first_batch_seconds:.2f} s for the first batch; "
        f"per batch {_ms(report.batch_p50_seconds)} (p50), {_ms(report.batch_p95_seconds)} (p95), "
        f"{_ms(report.batch_p99_seconds)} (p99)"
    )
    other = max(1 - report.fetch_share - report.decode_share, 0)
    yield (
        f"time per process: {report.fetch_share:.0%} fetching, {report.decode_share:.0%} decoding, {other:.0%} other"
    )
    yield f"per sample: {report.requests_per_sample:.2f} requests, {report.bytes_per_sample / 1e3:,.1f} kB"
    correlation = (
        ""
        if report.order_correlation is None
        else f"; rank correlation {report.order_correlation:+.3f} with the dataset's order"
    )
    yield f"mixing: {report.distinct_episodes:.2f} different episodes per sample of a batch{correlation}"
    if report.peak_rss_bytes is not None:
        yield f"memory: at most {report.peak_rss_bytes / 1e6:,.0f} MB for all processes of one rank together"
    if len(report.ranks) > 1:
        slowest = min(report.ranks, key=lambda rank: rank.samples_per_second)
        yield f"slowest rank: {slowest.rank} on {slowest.host}, {slowest.samples_per_second:,.1f} samples/s"


def csv_values(report: "BenchReport") -> dict[str, object]:
    """Return the values of a report by column. Each field except `ranks` is a column. A field without a value is None."""
    values = asdict(report)
    del values["ranks"]
    deltas = values["delta_timestamps"]
    return {**values, "delta_timestamps": None if deltas is None else json.dumps(deltas)}


def _cpu(report: "BenchReport") -> str:
    seconds = report.cpu_seconds_per_sample
    return "" if seconds is None else f", {seconds * 1e3:.2f} ms of CPU per sample"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.1f} ms"
