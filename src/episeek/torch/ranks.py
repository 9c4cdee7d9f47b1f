"""Find the rank and the world size of this process."""

import os
import sys


def rank_and_world_size(rank: int | None, world_size: int | None) -> tuple[int, int]:
    """Return the rank of this process and the number of ranks.

    Both numbers come from the first of these sources that has them: the arguments, accelerate, torch.distributed, and the
    environment variables RANK and WORLD_SIZE. If none of the sources has them, the result is rank 0 of 1.

    Raises:
        ValueError: Only one of the arguments is given, or the rank is not in [0, world_size).
    """
    if (rank is None) != (world_size is None):
        raise ValueError(f"found rank {rank}, world_size {world_size}; expected both arguments or neither")
    if rank is None or world_size is None:
        rank, world_size = _of_accelerate() or _of_torch() or _of_environment() or (0, 1)
    if not 0 <= rank < world_size:
        raise ValueError(f"found rank {rank} of world_size {world_size}; expected a rank from 0 to {world_size - 1}")
    return rank, world_size


def _of_accelerate() -> tuple[int, int] | None:
    state = sys.modules.get("accelerate.state")
    # All instances of PartialState share this dictionary, which is empty until accelerate is used.
    shared = getattr(getattr(state, "PartialState", None), "_shared_state", None)
    if not shared or "process_index" not in shared:
        return None
    return int(shared["process_index"]), int(shared["num_processes"])


def _of_torch() -> tuple[int, int] | None:
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return int(distributed.get_rank()), int(distributed.get_world_size())


def _of_environment() -> tuple[int, int] | None:
    rank, world_size = os.environ.get("RANK"), os.environ.get("WORLD_SIZE")
    if rank is None or world_size is None:
        return None
    return int(rank), int(world_size)
