"""Run a benchmark: a training loop that only reads, on this rank, and the report of all ranks."""

import itertools
import os
import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from episeek.errors import MetadataError
from episeek_pipelines.jobs.bench.loop import run_loop
from episeek_pipelines.jobs.bench.measurement import BatchCost, RankMeasurement
from episeek_pipelines.jobs.bench.meeting import Meeting, open_meeting
from episeek_pipelines.jobs.bench.options import BenchOptions
from episeek_pipelines.jobs.bench.report import BenchReport, make_report
from episeek_pipelines.jobs.bench.shuffling import distinct_share, order_correlation
from episeek_schemas import lerobot

if TYPE_CHECKING:
    from episeek.torch import EpisodeSampler


def bench(root: str | os.PathLike[str], options: BenchOptions | None = None) -> BenchReport | None:
    """Read batches of a prepared dataset as a training loop does, and return a report of time, memory and transfers.

    The loop does nothing with a batch, so it waits only for reading. Batches that the workers prepared during the wait for the
    first batch are not measured. If one epoch has too few batches, further epochs follow.

    In a job of several ranks (environment variables RANK and WORLD_SIZE), each rank reads its part of each global batch. If
    MASTER_ADDR and MASTER_PORT are set, too, the ranks start together, and the report covers all of them.

    Args:
        root: A prepared dataset, or an overlay (a prepared copy without videos): a path or URL.
        options: The options; None for the defaults.

    Returns:
        The report. If it covers all ranks, the ranks other than 0 return None.

    Raises:
        EpiseekError: The dataset cannot be opened or read, or has no frames for a rank.
        ModuleNotFoundError: torch is not installed.
        RanksError: The ranks do not find each other.
        ValueError: `delta_timestamps` do not fit the dataset.
    """
    options = BenchOptions() if options is None else options
    meeting = open_meeting()
    texts = meeting.gather(measure(os.fspath(root), options, meeting).to_json())
    if texts is None:
        return None
    return make_report(os.fspath(root), options, meeting.world_size, list(map(RankMeasurement.from_json, texts)))


def measure(root: str, options: BenchOptions, meeting: Meeting) -> RankMeasurement:
    """Read batches as one rank, and return the measurement. Raises the same errors as `bench`."""
    from torch.utils.data import DataLoader

    from episeek.torch import EpisodeDataset, EpisodeSampler
    from episeek_pipelines.jobs.bench.counted import CountedBatch, CountedDataset, collate_counted

    started = time.perf_counter()
    dataset = EpisodeDataset(
        root,
        data_root=options.data_root,
        delta_timestamps=options.delta_timestamps,
        return_uint8=options.return_uint8,
        max_in_flight=options.max_in_flight,
        cache_dir=options.cache_dir,
        cache_bytes=options.cache_bytes,
    )
    sampler = EpisodeSampler(
        dataset,
        options.batch_size,
        order=options.order,
        seed=options.seed,
        rank=meeting.rank,
        world_size=meeting.world_size,
    )
    open_seconds = time.perf_counter() - started
    if not len(sampler):
        place = f"rank {meeting.rank} of {meeting.world_size}"
        raise MetadataError(root, f"a frame count of {len(dataset)}, too low for {place}", "frames for every rank")
    loader: DataLoader[CountedBatch] = DataLoader(
        CountedDataset(dataset),
        batch_sampler=_Epochs(sampler),
        num_workers=options.workers,
        collate_fn=collate_counted,  # type: ignore[arg-type]  # it receives any result of __getitems__
    )
    costs, episodes, frames = BatchCost(), [], []

    def take(batch: CountedBatch) -> None:
        nonlocal costs
        costs += batch.cost
        episodes.append(batch.values[lerobot.EPISODE_INDEX].numpy())
        frames.extend(batch.values[lerobot.INDEX].tolist())

    meeting.wait("start")
    measured = run_loop(loader, take, workers=options.workers, batches=options.batches)
    return RankMeasurement(
        rank=meeting.rank,
        host=socket.gethostname(),
        episodes=dataset.num_episodes,
        frames=dataset.num_frames,
        cameras=len(dataset.meta.camera_keys),
        open_seconds=open_seconds,
        first_batch_seconds=measured.first_batch_seconds,
        batch_seconds=measured.batch_seconds,
        samples=len(frames),
        cost=costs,
        cpu_seconds=measured.cpu_seconds,
        distinct_episodes=distinct_share(episodes),
        order_correlation=order_correlation(frames),
        peak_rss_bytes=measured.peak_rss_bytes,
    )


class _Epochs:
    """Yields the batches of one epoch after another, without end."""

    def __init__(self, sampler: "EpisodeSampler") -> None:
        self._sampler = sampler

    def __iter__(self) -> Iterator[list[int]]:
        for epoch in itertools.count():
            self._sampler.set_epoch(epoch)
            yield from self._sampler
