"""A dataset whose batches carry their cost (time, requests, bytes) from the process that made them."""

import time
from dataclasses import dataclass
from typing import Any

from torch.utils.data import Dataset, default_collate

from episeek.torch import EpisodeDataset
from episeek.torch.work import Work
from episeek_pipelines.jobs.bench.measurement import BatchCost


@dataclass(frozen=True, slots=True)
class CountedItems:
    """The items of a batch before they are collated, with the work that the process had done before and after it read them."""

    items: list[dict[str, Any]]
    started: float
    """The time at which reading began, from `time.perf_counter`."""
    before: Work
    after: Work


@dataclass(frozen=True, slots=True)
class CountedBatch:
    """A collated batch with its cost in the process that made it."""

    values: dict[str, Any]
    cost: BatchCost


class CountedDataset(Dataset[Any]):
    """The items of another dataset, for a `DataLoader` with `collate_fn=collate_counted`.

    Each worker process counts its own work, so the counts have to travel with the batches. A worker reads one batch at a time and
    fetches nothing between batches, so the cost of a batch is the difference of the counts before and after it.
    """

    def __init__(self, dataset: EpisodeDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, items: list[int]) -> CountedItems:
        """Read the items of a batch, and return them with the work of this process (`Work`) before and after reading."""
        before, started = self.dataset.work(), time.perf_counter()
        values = self.dataset.__getitems__(items)
        return CountedItems(values, started, before, self.dataset.work())


def collate_counted(read: CountedItems) -> CountedBatch:
    """Collate the items with torch's `default_collate`, in the process that read them."""
    values = default_collate(read.items)
    before, after = read.before, read.after
    return CountedBatch(
        values,
        BatchCost(
            busy_seconds=time.perf_counter() - read.started,
            fetch_seconds=after.fetch_seconds - before.fetch_seconds,
            decode_seconds=after.decode_seconds - before.decode_seconds,
            decoded_frames=after.decoded_frames - before.decoded_frames,
            requests=_requests(after) - _requests(before),
            bytes=after.transfers.byte_count - before.transfers.byte_count,
        ),
    )


def _requests(work: Work) -> int:
    return work.transfers.request_count + work.transfers.metadata_request_count
