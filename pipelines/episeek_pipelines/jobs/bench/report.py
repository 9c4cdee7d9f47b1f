"""Make the report of a benchmark from the measurements of all ranks: one flat record with a fixed set of fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from episeek.version import __version__
from episeek_pipelines.jobs.bench.measurement import BatchCost, RankMeasurement
from episeek_pipelines.jobs.bench.options import BenchOptions, BenchOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class RankResult:
    """One rank's values of the fields that differ from rank to rank."""

    rank: int
    host: str
    samples_per_second: float
    first_batch_seconds: float
    batch_p99_seconds: float
    peak_rss_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchReport:
    """The result of a benchmark. docs/performance.md describes each field."""

    episeek_version: str
    root: str
    data_root: str | None
    episodes: int
    frames: int
    cameras: int
    order: BenchOrder
    seed: int
    batch_size: int
    workers: int
    batches: int
    delta_timestamps: Mapping[str, Sequence[float]] | None
    return_uint8: bool
    max_in_flight: int
    cache_dir: str | None
    cache_bytes: int | None
    world_size: int
    ranks_measured: int
    open_seconds: float
    first_batch_seconds: float
    seconds: float
    samples: int
    samples_per_second: float
    decoded_frames: int
    decoded_frames_per_second: float
    batch_p50_seconds: float
    batch_p95_seconds: float
    batch_p99_seconds: float
    fetch_share: float
    decode_share: float
    cpu_seconds_per_sample: float | None
    requests: int
    requests_per_sample: float
    bytes: int
    bytes_per_sample: float
    distinct_episodes: float
    order_correlation: float | None
    peak_rss_bytes: int | None
    ranks: tuple[RankResult, ...]


def make_report(
    root: str, options: BenchOptions, world_size: int, measurements: Sequence[RankMeasurement]
) -> BenchReport:
    """Return the report of a benchmark.

    Args:
        root: The dataset.
        options: The options of the benchmark.
        world_size: Number of ranks of the job.
        measurements: The measurements of the ranks that were measured together, one or more.
    """
    cost = sum((measured.cost for measured in measurements), BatchCost())
    samples = sum(measured.samples for measured in measurements)
    # the ranks start together, so the job takes as long as its slowest rank
    seconds = max(measured.seconds for measured in measurements)
    waits = [wait for measured in measurements for wait in measured.batch_seconds]
    p50, p95, p99 = (float(value) for value in np.percentile(waits, [50, 95, 99]))
    cpu = [measured.cpu_seconds for measured in measurements if measured.cpu_seconds is not None]
    correlations = [m.order_correlation for m in measurements if m.order_correlation is not None]
    peaks = [measured.peak_rss_bytes for measured in measurements if measured.peak_rss_bytes is not None]
    first = measurements[0]
    return BenchReport(
        episeek_version=__version__,
        root=root,
        data_root=options.data_root,
        episodes=first.episodes,
        frames=first.frames,
        cameras=first.cameras,
        order=options.order,
        seed=options.seed,
        batch_size=options.batch_size,
        workers=options.workers,
        batches=options.batches,
        delta_timestamps=options.delta_timestamps,
        return_uint8=options.return_uint8,
        max_in_flight=options.max_in_flight,
        cache_dir=options.cache_dir,
        cache_bytes=options.cache_bytes,
        world_size=world_size,
        ranks_measured=len(measurements),
        open_seconds=max(measured.open_seconds for measured in measurements),
        first_batch_seconds=max(measured.first_batch_seconds for measured in measurements),
        seconds=seconds,
        samples=samples,
        samples_per_second=samples / seconds,
        decoded_frames=cost.decoded_frames,
        decoded_frames_per_second=cost.decoded_frames / seconds,
        batch_p50_seconds=p50,
        batch_p95_seconds=p95,
        batch_p99_seconds=p99,
        fetch_share=cost.fetch_seconds / cost.busy_seconds,
        decode_share=cost.decode_seconds / cost.busy_seconds,
        cpu_seconds_per_sample=sum(cpu) / samples if len(cpu) == len(measurements) else None,
        requests=cost.requests,
        requests_per_sample=cost.requests / samples,
        bytes=cost.bytes,
        bytes_per_sample=cost.bytes / samples,
        distinct_episodes=float(np.mean([measured.distinct_episodes for measured in measurements])),
        order_correlation=float(np.mean(correlations)) if correlations else None,
        peak_rss_bytes=max(peaks) if peaks else None,
        ranks=tuple(_rank_result(measured) for measured in measurements),
    )


def _rank_result(measured: RankMeasurement) -> RankResult:
    return RankResult(
        rank=measured.rank,
        host=measured.host,
        samples_per_second=measured.samples / measured.seconds,
        first_batch_seconds=measured.first_batch_seconds,
        batch_p99_seconds=float(np.percentile(measured.batch_seconds, 99)),
        peak_rss_bytes=measured.peak_rss_bytes,
    )
