"""Distribute an epoch over ranks. A step takes a window of consecutive positions, and each of n ranks gets every n-th position."""

from dataclasses import dataclass

import numpy as np

from episeek.orders.permutation import Int64Array


@dataclass(frozen=True, slots=True)
class Windows:
    """The steps of an epoch, from the position `start` to the end of the epoch.

    A step takes a window of positions, `batch_size` for each rank. If the last window would leave ranks without a position, the
    window before it is made shorter, so that all ranks make the same number of steps. With a batch size of 1, or with fewer
    positions than ranks, the window cannot be made shorter, and the last ranks make one step less.
    """

    start: int
    """The first position, which is the number of positions that all ranks together have consumed."""
    frame_count: int
    """Number of positions of the epoch."""
    batch_size: int
    """Number of positions that a rank gets in a step."""
    world_size: int
    drop_last: bool = False
    """Whether the positions at the end of the epoch are left out if they do not fill a step."""

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.world_size < 1:
            raise ValueError(
                f"found batch_size {self.batch_size}, world_size {self.world_size}; expected 1 or more for each"
            )
        if not 0 <= self.start <= self.frame_count:
            raise ValueError(f"found start {self.start}; expected 0 to {self.frame_count}, the length of the epoch")

    @property
    def _step(self) -> int:
        return self.batch_size * self.world_size

    def __len__(self) -> int:
        """Return the number of steps from `start` to the end of the epoch."""
        full, rest = divmod(self.frame_count - self.start, self._step)
        return full if self.drop_last or not rest else full + 1

    def stop(self, steps: int) -> int:
        """Return the number of positions that all ranks together have consumed after a number of steps.

        Args:
            steps: The number of steps, from 0 to `len()`.
        """
        if not 0 <= steps <= len(self):
            raise IndexError(f"found {steps} steps; expected 0 to {len(self)}")
        full, rest = divmod(self.frame_count - self.start, self._step)
        if not self.drop_last and steps > full:
            return self.frame_count
        position = self.start + steps * self._step
        is_short = not self.drop_last and 0 < rest < self.world_size and self.batch_size > 1
        return position - self.world_size if is_short and steps == full > 0 else position

    def positions(self, step: int, rank: int) -> Int64Array:
        """Return the positions of a rank in a step, ascending."""
        return np.arange(self.stop(step) + rank, self.stop(step + 1), self.world_size, dtype=np.int64)

    def steps_of(self, rank: int) -> int:
        """Return the number of steps in which a rank has a position."""
        count = len(self)
        return count - (count > 0 and self.stop(count) - self.stop(count - 1) <= rank)
