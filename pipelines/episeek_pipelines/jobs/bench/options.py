"""Options of a benchmark: the batches to read, and their order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

BenchOrder = Literal["global", "clump", "episode", "sequential"]
BENCH_ORDERS: Final[tuple[BenchOrder, ...]] = get_args(BenchOrder)
"""The orders of `episeek.torch.EpisodeSampler`, repeated here so that listing them does not import torch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """Options of `bench`. They mean the same as in `EpisodeDataset`, `EpisodeSampler` and torch's `DataLoader`."""

    data_root: str | None = None
    order: BenchOrder = "global"
    seed: int = 0
    batch_size: int = 64
    workers: int = 4
    """Number of worker processes of each rank; 0 reads in the training process."""
    batches: int = 100
    """Number of batches that are measured on each rank, after the batches that fill the workers' queues."""
    delta_timestamps: Mapping[str, Sequence[float]] | None = None
    return_uint8: bool = False
    max_in_flight: int = 16
    cache_dir: str | None = None
    cache_bytes: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("workers", 0), ("batches", 1), ("max_in_flight", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: found {getattr(self, name)}; expected {least} or more")
        if self.order not in BENCH_ORDERS:
            raise ValueError(f"order: found {self.order!r}; expected one of {', '.join(BENCH_ORDERS)}")
