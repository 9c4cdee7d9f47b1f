"""The orders of an epoch. An order maps the positions [0, N) one to one to the N frames of a dataset.

The frame at any position is computed directly, without the frames at other positions. An order depends on the seed, the epoch and
the lengths of the episodes, but not on the number of ranks, the number of workers or the batch size. Its arrays have one value for
each episode, not for each frame.
"""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from episeek.orders.permutation import Int64Array, key_of, keys_of, permute, positions_of

MAX_LANES: Final = 64
"""Number of lanes of a `ClumpOrder`: sequences of frames that take turns in an epoch. Small datasets have fewer lanes.

If the number of ranks divides the number of lanes, ranks read different episodes.
"""

EPISODES_PER_LANE: Final = 16
"""Smallest number of episodes for each lane of a `ClumpOrder`. With fewer episodes, the order has fewer lanes."""

POOL_EPISODES: Final = 1024
"""Default number of episodes whose frames `episode_order` mixes with each other."""

POOL_CLUMPS: Final = 8192
"""Default number of clumps (runs of consecutive frames) whose frames `clump_order` mixes with each other."""

_GLOBAL, _CLUMPS, _BLOCKS = 1, 2, 3


class Order(Protocol):
    """Gives the frame at each position of an epoch."""

    @property
    def frame_count(self) -> int:
        """Number of frames of an epoch."""

    def frames(self, positions: npt.ArrayLike) -> Int64Array:
        """Return the frames at positions of the epoch, in the shape of `positions`.

        Raises:
            IndexError: A position is not in [0, frame_count).
        """


@dataclass(frozen=True, slots=True)
class SequentialOrder:
    """All frames in the order of the dataset."""

    frame_count: int

    def frames(self, positions: npt.ArrayLike) -> Int64Array:
        """Return the frames at positions of the epoch: the positions themselves."""
        return _checked(positions, self.frame_count)


@dataclass(frozen=True, slots=True)
class GlobalOrder:
    """All frames in random order."""

    frame_count: int
    seed: int = 0
    epoch: int = 0

    def frames(self, positions: npt.ArrayLike) -> Int64Array:
        """Return the frames at positions of the epoch."""
        return permute(positions, self.frame_count, key_of(_GLOBAL, self.seed, self.epoch))


class ClumpOrder:
    """An order that shuffles clumps of consecutive frames, and shuffles frames within blocks of many clumps.

    Each episode is cut into clumps from its start; its last clump may be shorter. All clumps are put in random order, and the
    sequence is cut into lanes with the same number of frames. Position p of the epoch belongs to lane p % lanes. A lane is cut
    into blocks, and the frames of each block are put in random order. While a block is read, only its clumps are needed. Readers
    whose positions differ modulo a divisor of `lanes` read different lanes, and thus need different clumps, except for clumps that
    extend over the border of two lanes.

    Args:
        lengths: Number of frames of each episode, 1 or more, shape [episodes].
        clump_frames: Number of frames of a clump; None for whole episodes.
        pool_frames: Number of frames that are mixed at the same time: one block of each lane.
        lanes: Number of lanes; None for a number that suits the number of episodes.
        seed: Any whole number.
        epoch: The epoch, from 0.
    """

    def __init__(
        self,
        lengths: npt.ArrayLike,
        *,
        clump_frames: int | None,
        pool_frames: int,
        lanes: int | None = None,
        seed: int = 0,
        epoch: int = 0,
    ) -> None:
        length = np.asarray(lengths, np.int64)
        if length.ndim != 1 or (length < 1).any():
            raise ValueError(
                "lengths: found other values; expected a one-dimensional array of frame counts, 1 or more each"
            )
        if clump_frames is not None and clump_frames < 1:
            raise ValueError(f"clump_frames: found {clump_frames}; expected 1 or more, or None")
        if pool_frames < 1:
            raise ValueError(f"pool_frames: found {pool_frames}; expected 1 or more")
        self.frame_count = int(length.sum())
        if lanes is None:
            lanes = min(MAX_LANES, max(1, len(length) // EPISODES_PER_LANE))
        if lanes < 1:
            raise ValueError(f"lanes: found {lanes}; expected 1 or more")
        self.lanes = lanes
        self.block_frames = -(-pool_frames // lanes)
        """Number of frames of a block of one lane."""
        self._block_key = key_of(_BLOCKS, seed, epoch)
        self._clumps = _ShuffledClumps(length, clump_frames, key_of(_CLUMPS, seed, epoch))

    def frames(self, positions: npt.ArrayLike) -> Int64Array:
        """Return the frames at positions of the epoch."""
        p = _checked(positions, self.frame_count)
        lane, inside = p % self.lanes, p // self.lanes
        whole, rest = divmod(self.frame_count, self.lanes)
        lane_frames = whole + (lane < rest)
        lane_start = lane * whole + np.minimum(lane, rest)
        block, within = inside // self.block_frames, inside % self.block_frames
        block_start = block * self.block_frames
        block_frames = np.minimum(self.block_frames, lane_frames - block_start)
        keys = keys_of(self._block_key, block * self.lanes + lane)
        return self._clumps.frames(lane_start + block_start + permute(within, block_frames, keys))


def episode_order(
    lengths: npt.ArrayLike, *, pool_episodes: int = POOL_EPISODES, seed: int = 0, epoch: int = 0
) -> ClumpOrder:
    """Return an order in which each episode is needed only during a short part of the epoch.

    Args:
        lengths: Number of frames of each episode, 1 or more, shape [episodes].
        pool_episodes: Number of episodes whose frames are mixed with each other.
        seed: Any whole number.
        epoch: The epoch, from 0.
    """
    return ClumpOrder(
        lengths, clump_frames=None, pool_frames=_pool_frames(lengths, pool_episodes), seed=seed, epoch=epoch
    )


def clump_order(
    lengths: npt.ArrayLike, *, clump_frames: int, pool_clumps: int = POOL_CLUMPS, seed: int = 0, epoch: int = 0
) -> ClumpOrder:
    """Return an order in which each clump of consecutive frames is needed only during a short part of the epoch.

    Args:
        lengths: Number of frames of each episode, 1 or more, shape [episodes].
        clump_frames: Number of frames of a clump.
        pool_clumps: Number of clumps whose frames are mixed with each other.
        seed: Any whole number.
        epoch: The epoch, from 0.
    """
    return ClumpOrder(
        lengths, clump_frames=clump_frames, pool_frames=max(pool_clumps * clump_frames, 1), seed=seed, epoch=epoch
    )


def _pool_frames(lengths: npt.ArrayLike, episodes: int) -> int:
    length = np.asarray(lengths, np.int64)
    return max(int(np.ceil(length.mean() * episodes)), 1) if length.size else 1


class _ShuffledClumps:
    """All frames, clump after clump, with the clumps in random order.

    All clumps have the same number of frames, except that the last clump of an episode may be shorter. The frame at a position is
    therefore found with arithmetic and a search among the shorter clumps.
    """

    def __init__(self, length: Int64Array, clump_frames: int | None, key: int) -> None:
        self._size = int(length.max(initial=1)) if clump_frames is None else clump_frames
        self._key = key
        self._first_frame = np.cumsum(length) - length
        whole, rest = np.divmod(length, self._size)
        self._first_whole = np.cumsum(whole) - whole
        self._whole_count = int(whole.sum())
        # clumps of full length have the first numbers, and shorter clumps the numbers after them
        short_episode = np.flatnonzero(rest)
        self._count = self._whole_count + len(short_episode)
        self._short_frame = (self._first_frame + whole * self._size)[short_episode]
        slot = positions_of(self._whole_count + np.arange(len(short_episode)), self._count, key)
        by_slot = np.argsort(slot, kind="stable")
        # for each shorter clump, in ascending order of slots: its slot, its length, the position of its first frame
        self._slot = slot[by_slot]
        self._short_length = rest[short_episode][by_slot]
        missing = self._size - self._short_length
        self._place = self._slot * self._size - (np.cumsum(missing) - missing)

    def frames(self, places: Int64Array) -> Int64Array:
        """Return the frames at the positions `places` of the sequence of shuffled clumps. Positions are in [0, frame_count)."""
        slot, offset = np.divmod(places, self._size)
        if len(self._slot):
            before = np.searchsorted(self._place, places, side="right") - 1
            last = np.maximum(before, 0)
            since = places - self._place[last] - self._short_length[last]
            is_after, is_within = (before >= 0) & (since >= 0), (before >= 0) & (since < 0)
            slot = np.where(is_after, self._slot[last] + 1 + since // self._size, slot)
            offset = np.where(is_after, since % self._size, offset)
            slot = np.where(is_within, self._slot[last], slot)
            offset = np.where(is_within, places - self._place[last], offset)
        clump = permute(slot, self._count, self._key)
        is_whole = clump < self._whole_count
        first = np.empty_like(clump)
        whole = clump[is_whole]
        episode = np.searchsorted(self._first_whole, whole, side="right") - 1
        first[is_whole] = self._first_frame[episode] + (whole - self._first_whole[episode]) * self._size
        first[~is_whole] = self._short_frame[clump[~is_whole] - self._whole_count]
        return first + offset


def _checked(positions: npt.ArrayLike, frame_count: int) -> Int64Array:
    p = np.asarray(positions, np.int64)
    if p.size and (p.min() < 0 or p.max() >= frame_count):
        raise IndexError(f"found positions {p.min()} to {p.max()}; expected positions within [0, {frame_count})")
    return p
