"""An iterable dataset that yields whole batches, in the sequence of an `EpisodeSampler`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch.utils.data import IterableDataset, get_worker_info

from episeek.torch.collate import collate as collate_items
from episeek.torch.dataset import EpisodeDataset, Item
from episeek.torch.sampler import EpisodeSampler


class EpisodeStream(IterableDataset[Any]):
    """An iterable dataset of whole batches, which a sampler chooses. Use it with `DataLoader(stream, batch_size=None)`.

    With n worker processes, worker j reads every n-th batch, beginning with batch j, and the loader returns the batches in the
    order of the sampler. The sequence does not depend on the number of workers.

    Each worker process iterates over its copy of the sampler, so the sampler of the training process does not advance. Therefore
    call `set_epoch` before each epoch. Save and load the state in the training process, with `state_dict(batches=...)` and the
    number of batches that the training loop has received.

    Args:
        dataset: The dataset.
        sampler: The sampler that yields the item indices of each batch.
        collate: A function that makes a batch from a list of items; None for `episeek.torch.collate`.
    """

    def __init__(
        self,
        dataset: EpisodeDataset,
        sampler: EpisodeSampler,
        *,
        collate: Callable[[Sequence[Item]], Any] | None = None,
    ) -> None:
        self.dataset = dataset
        self.sampler = sampler
        self._collate = collate_items if collate is None else collate

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for number, batch in enumerate(self.sampler):
            if number % step == first:
                yield self._collate(self.dataset.__getitems__(batch))

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch, as `EpisodeSampler.set_epoch` does."""
        self.sampler.set_epoch(epoch)

    def state_dict(self, batches: int | None = None) -> dict[str, Any]:
        """Return the state after a number of batches, as `EpisodeSampler.state_dict` does.

        Args:
            batches: Number of batches that the training loop has received since the current iteration began. None takes the number
                of batches that the sampler has yielded. Use None only without worker processes.
        """
        return self.sampler.state_dict(batches)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state, as `EpisodeSampler.load_state_dict` does."""
        self.sampler.load_state_dict(state)
