"""An iterable dataset of whole batches, for code that wants one; its sequence is that of `EpisodeSampler`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch.utils.data import IterableDataset, get_worker_info

from episeek.torch.collate import collate as collate_items
from episeek.torch.dataset import EpisodeDataset, Item
from episeek.torch.sampler import EpisodeSampler


class EpisodeStream(IterableDataset[Any]):
    """The batches of a sampler, read from a dataset: use it with `DataLoader(stream, batch_size=None)`.

    With worker processes, worker j of n reads every n-th batch from the j-th, and the loader gives them in the order of the
    sampler: the sequence does not depend on the number of workers.

    Worker processes are started with a copy of the sampler, whose epoch does not move on here: call `set_epoch` before each
    epoch. State is taken and loaded here, in the process that trains: `state_dict(batches=...)` with the batches that the loop
    has had.

    Args:
        dataset: The dataset.
        sampler: Batches of its items.
        collate: Makes a batch of a list of items; None for `episeek.torch.collate`.
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
            batches: Batches that the training loop has had since the current iteration began; None, without worker processes,
                for those that were given.
        """
        return self.sampler.state_dict(batches)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state, as `EpisodeSampler.load_state_dict` does."""
        self.sampler.load_state_dict(state)
