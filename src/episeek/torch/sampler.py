"""A batch sampler for map-style datasets, which yields each frame once per epoch and can resume with another number of ranks."""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, Protocol

import numpy as np
import numpy.typing as npt

from episeek.errors import SamplerStateError
from episeek.orders.order import ClumpOrder, GlobalOrder, Order, SequentialOrder, clump_order, episode_order
from episeek.orders.windows import Windows
from episeek.torch.automatic_order import choose_order
from episeek.torch.ranks import rank_and_world_size

OrderName = Literal["global", "clump", "episode", "sequential"]
ORDER_NAMES: Final[tuple[OrderName, ...]] = ("global", "clump", "episode", "sequential")

_STATE_VERSION: Final = 1

_LOGGER = logging.getLogger("episeek")


class HasEpisodes(Protocol):
    """The attributes of a dataset that a sampler needs. `EpisodeDataset` has them."""

    @property
    def episode_lengths(self) -> npt.NDArray[np.int64]:
        """Number of frames of each episode, in the order of the dataset's items, shape [episodes]."""

    @property
    def fps(self) -> float:
        """Frames per second."""


class EpisodeSampler:
    """Yields batches of item indices for `torch.utils.data.DataLoader(dataset, batch_sampler=...)`.

    The sequence of samples in an epoch depends only on the seed, the epoch, the order and the lengths of the episodes. In each
    step, all ranks together take the next samples of the sequence. Besides these settings, the state contains one number: how many
    samples of the epoch all ranks together have consumed. A job that loads the state continues the same sequence, even with another
    number of ranks or workers or another batch size.

    An iteration yields the rest of the current epoch. The next iteration yields the next epoch, unless `set_epoch` selects another.

    Args:
        dataset: The dataset; its `episode_lengths` and `fps` are used.
        batch_size: Number of samples in a batch of one rank.
        order: "global", "clump", "episode" or "sequential"; or "auto", which chooses the first of "global", "clump" and "episode"
            that costs little more to fetch than the cheapest of the three. `order_reason` and the log give the reason. The state
            contains the chosen order, so that a job that loads the state does not choose again.
        seed: Any whole number; the same on all ranks.
        rank: The rank of this process; None takes the rank and the number of ranks from accelerate, torch.distributed, or the
            environment variables RANK and WORLD_SIZE.
        world_size: The number of ranks, which is given together with `rank`.
        drop_last: Whether to leave out the samples at the end of an epoch that do not fill a batch on every rank.
        clump_frames: Number of consecutive frames that "clump" order keeps together; None for about one second.
    """

    def __init__(
        self,
        dataset: HasEpisodes,
        batch_size: int,
        *,
        order: OrderName | Literal["auto"] = "global",
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        drop_last: bool = False,
        clump_frames: int | None = None,
    ) -> None:
        if order not in (*ORDER_NAMES, "auto"):
            raise ValueError(f"order: found {order!r}; expected auto or one of {', '.join(ORDER_NAMES)}")
        if batch_size < 1:
            raise ValueError(f"batch_size: found {batch_size}; expected 1 or more")
        self.batch_size = batch_size
        self.order: OrderName = "global"
        """The order of the epochs; with "auto", the order that was chosen."""
        self.order_reason = ""
        """A sentence that gives the reason for the chosen order; empty if the order was given."""
        self.seed = seed
        self.drop_last = drop_last
        self.rank, self.world_size = rank_and_world_size(rank, world_size)
        self._lengths = np.asarray(dataset.episode_lengths, np.int64)
        self._frame_count = int(self._lengths.sum())
        self._clump_frames = max(round(dataset.fps), 1) if clump_frames is None else clump_frames
        self.epoch = 0
        self._windows = self._windows_from(0)
        self._yielded = 0
        self._is_started = False
        self._dataset = dataset
        self._chooses_order = order == "auto"
        self._use_order(self._choose_order() if order == "auto" else order)

    def __len__(self) -> int:
        """Return the number of batches that the next iteration yields on this rank."""
        windows = self._windows_from(0) if self._is_over() else self._windows
        return windows.steps_of(self.rank)

    def __iter__(self) -> Iterator[list[int]]:
        if self._is_over():
            self.set_epoch(self.epoch + 1)
        elif self._is_started:
            # The previous iteration was not finished. This iteration starts at the same position of the epoch.
            self._yielded = 0
        self._is_started = True
        windows, order = self._windows, self.order_of(self.epoch)
        for step in range(windows.steps_of(self.rank)):
            batch = order.frames(windows.positions(step, self.rank)).tolist()
            self._yielded = step + 1
            yield batch
        self._yielded = len(windows)

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch. If this epoch is already in progress, the position does not change."""
        if epoch < 0:
            raise ValueError(f"epoch: found {epoch}; expected 0 or more")
        if epoch == self.epoch and not self._is_over():
            return
        self.epoch = epoch
        self._windows = self._windows_from(0)
        self._yielded = 0
        self._is_started = False

    def order_of(self, epoch: int) -> Order:
        """Return the order in which an epoch reads the frames of the dataset."""
        if self.order == "sequential":
            return SequentialOrder(self._frame_count)
        if self.order == "global":
            return GlobalOrder(self._frame_count, self.seed, epoch)
        if self.order == "clump":
            return clump_order(self._lengths, clump_frames=self._clump_frames, seed=self.seed, epoch=epoch)
        return episode_order(self._lengths, seed=self.seed, epoch=epoch)

    def state_dict(self, batches: int | None = None) -> dict[str, Any]:
        """Return the state after a number of batches, to be stored in a checkpoint.

        Args:
            batches: Number of batches that the training loop has received since the current iteration began. None takes the number
                of batches that the sampler has yielded. Use None only without worker processes, or if the caller stores the state
                with each batch, as torchdata's StatefulDataLoader does.
        """
        steps = self._yielded if batches is None else batches
        if not 0 <= steps <= len(self._windows):
            raise ValueError(f"batches: found {steps}; expected 0 to {len(self._windows)}")
        return {
            "version": _STATE_VERSION,
            "seed": self.seed,
            "epoch": self.epoch,
            "consumed": self._frame_count if steps == len(self._windows) else self._windows.stop(steps),
            "order": self.order,
            "sequence": self._sequence(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `state_dict` returned, possibly in a job with another world size or batch size.

        Raises:
            SamplerStateError: The state has another version, or this sampler has another order, seed or dataset than the state.
        """
        where = "the state of an EpisodeSampler"
        if state.get("version") != _STATE_VERSION:
            raise SamplerStateError(where, f"version {state.get('version')!r}", f"version {_STATE_VERSION}")
        if self._chooses_order and state.get("order") in ORDER_NAMES and state["order"] != self.order:
            self._use_order(state["order"])
            self.order_reason = "The loaded state has this order."
        for name, own in (("order", self.order), ("seed", self.seed), ("sequence", self._sequence())):
            if state.get(name) != own:
                expected = (
                    f"{name} {own!r} (use the episodes, seed, order and clump_frames with which the state was saved)"
                )
                raise SamplerStateError(where, f"{name} {state.get(name)!r}", expected)
        self.epoch = int(state["epoch"])
        self._windows = self._windows_from(int(state["consumed"]))
        self._yielded = 0
        self._is_started = False

    def _pool_frames(self) -> int:
        """Return the number of frames that the order mixes with each other."""
        order = self.order_of(0)
        if isinstance(order, ClumpOrder):
            return min(order.lanes * order.block_frames, self._frame_count)
        return 0 if self.order == "sequential" else self._frame_count

    def _choose_order(self) -> OrderName:
        costs = getattr(self._dataset, "fetch_costs", None)
        if costs is None:
            self.order_reason = "The dataset does not say what fetching costs: it has no attribute fetch_costs."
            return "global"
        chosen = choose_order(costs, clump_frames=self._clump_frames)
        self.order_reason = chosen.reason
        if self.rank == 0:
            _LOGGER.info("order %s: %s", chosen.order, chosen.reason)
        return chosen.order

    def _use_order(self, order: OrderName) -> None:
        self.order = order
        use_order = getattr(self._dataset, "use_order", None)
        if use_order is not None:
            use_order(order, clump_frames=self._clump_frames, pool_frames=self._pool_frames())

    def _is_over(self) -> bool:
        return self._yielded >= len(self._windows) and (self._is_started or self._windows.start > 0)

    def _windows_from(self, start: int) -> Windows:
        return Windows(start, self._frame_count, self.batch_size, self.world_size, self.drop_last)

    def _sequence(self) -> str:
        """Return a digest of the order, `clump_frames` and the episode lengths, which determine the sequence for a given seed."""
        clump = self._clump_frames if self.order == "clump" else 0
        digest = hashlib.sha256(f"{self.order} {clump} ".encode() + self._lengths.astype("<i8").tobytes())
        return digest.hexdigest()[:32]
