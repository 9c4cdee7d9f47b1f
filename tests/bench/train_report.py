"""The measurements of the training benchmark as a table, and as answers to what was aimed at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way under one condition; the best of its rounds."""

    place: str
    """"local", or "20 ms" for HTTP."""
    way: str
    order: str
    workers: int
    samples: int
    seconds: float
    first_batch_seconds: float
    batch_seconds: Sequence[float]
    cpu_seconds: float | None
    peak_rss_bytes: int | None
    distinct_episodes: float
    order_correlation: float | None
    requests_per_sample: float | None = None
    bytes_per_sample: float | None = None

    @property
    def samples_per_second(self) -> float:
        return self.samples / self.seconds


HEADER = (
    f"{'place':<6} {'way':<17} {'order':<8} {'workers':>7} {'samples/s':>9} {'CPU ms':>7} {'first s':>7} {'p50 ms':>7} "
    f"{'p95 ms':>7} {'p99 ms':>7} {'MB':>6} {'req.':>6} {'kB':>7} {'distinct':>8} {'corr.':>6}"
)
LEGEND = (
    "CPU ms: of all processes, a sample; MB: largest resident set of the tree; req., kB: a sample, of the whole run with opening "
    "and batches that were read ahead; distinct: episodes of a batch / its size; corr.: rank correlation with the dataset's order"
)

AIMS = (
    # (ours: place, order), (theirs: place, way), workers, least ratio
    (("local", "global"), ("local", "kept decoder"), 1.0),
    (("local", "episode"), ("local", "kept decoder"), 1.3),
    (("local", "global"), ("local", "LeRobotDataset"), 2.0),
    (("local", "episode"), ("local", "LeRobotDataset"), 3.0),
    (("20 ms", "global"), ("20 ms", "read-ahead, kept"), 5.0),
    (("20 ms", "global"), ("20 ms", "read-ahead, new"), 5.0),
)
OWN_AIMS = (("global", 0.5), ("clump", 0.8), ("episode", 0.8))
"""Orders, and the least part of the local speed that they keep over HTTP."""


PROCESS_BYTES = 512 << 20
"""The budget of a process: its libraries, rows and decoders."""


def best(rows: Sequence[Row]) -> Row:
    """The fastest of several rounds, so that a busy moment of the machine does not count."""
    return max(rows, key=lambda row: row.samples_per_second)


def table_line(row: Row) -> str:
    p50, p95, p99 = np.percentile(row.batch_seconds, [50, 95, 99]) * 1e3
    cpu = None if row.cpu_seconds is None else row.cpu_seconds / row.samples * 1e3
    memory = None if row.peak_rss_bytes is None else row.peak_rss_bytes / 1e6
    kilobytes = None if row.bytes_per_sample is None else row.bytes_per_sample / 1e3
    return (
        f"{row.place:<6} {row.way:<17} {row.order:<8} {row.workers:>7} {row.samples_per_second:>9.1f} {_cell(cpu, 7, 2)} "
        f"{row.first_batch_seconds:>7.2f} {p50:>7.1f} {p95:>7.1f} {p99:>7.1f} {_cell(memory, 6, 0)} "
        f"{_cell(row.requests_per_sample, 6, 2)} {_cell(kilobytes, 7, 1)} {row.distinct_episodes:>8.2f} "
        f"{_cell(row.order_correlation, 6, 3)}"
    )


def aim_lines(rows: Sequence[Row]) -> Iterator[str]:
    """What was aimed at, for what was measured of it."""
    ours = {(row.place, row.order, row.workers): row for row in rows if row.way == "episeek"}
    theirs = {(row.place, row.way, row.workers): row for row in rows if row.way != "episeek"}
    for (place, order), (their_place, way), aim in AIMS:
        for workers in sorted({row.workers for row in rows}):
            own, other = ours.get((place, order, workers)), theirs.get((their_place, way, workers))
            if own is not None and other is not None:
                yield _aim(own, other, f"{place}, {order} order, {workers} workers, against {way}", aim)
    for order, aim in OWN_AIMS:
        for workers in sorted({row.workers for row in rows}):
            own, local = ours.get(("20 ms", order, workers)), ours.get(("local", order, workers))
            if own is not None and local is not None:
                yield _aim(own, local, f"20 ms, {order} order, {workers} workers, against episeek, local", aim)


def memory_lines(rows: Sequence[Row], *, batch_bytes: int) -> Iterator[str]:
    """The memory of episeek's process trees, against a budget of a sum for each process and the batches on their way.

    Args:
        rows: What was measured.
        batch_bytes: Bytes of the pictures of a batch.
    """
    for workers in sorted({row.workers for row in rows}):
        peaks = [row.peak_rss_bytes or 0 for row in rows if row.way == "episeek" and row.workers == workers]
        # two that each worker has read ahead and one that it reads, and two in the training process
        budget = (workers + 1) * PROCESS_BYTES + (3 * workers + 2) * batch_bytes
        if any(peaks):
            peak = max(peaks)
            yield (
                f"{'pass' if peak <= budget else 'MISS'}  memory, {workers} workers: {peak / 1e6:.0f} MB at most "
                f"(aim: {budget / 1e6:.0f} or less, {PROCESS_BYTES >> 20} MiB a process and the batches on their way)"
            )


def _aim(own: Row, other: Row, what: str, aim: float) -> str:
    ratio = own.samples_per_second / other.samples_per_second
    cpu = ""
    if own.cpu_seconds and other.cpu_seconds:
        cpu = f", {own.cpu_seconds / own.samples / (other.cpu_seconds / other.samples):.2f} of its CPU time"
    return f"{'pass' if ratio >= aim else 'MISS'}  {what}: {ratio:.2f} times its samples/s{cpu} (aim: {aim:g} or more)"


def _cell(value: float | None, width: int, digits: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.{digits}f}"
