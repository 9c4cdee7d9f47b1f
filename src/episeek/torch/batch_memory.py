"""Memory for the pictures of a batch, chosen so that the batch is written once.

A worker of a `DataLoader` gives its batches to the training process in shared memory. Where `collate` makes the batches, pictures
are written there at once. Where another function does, it makes tensors of its own, and shared memory would be written twice.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import get_worker_info

_passes_on = False
"""Whether this is a worker whose batches are passed on as they are. A worker belongs to one loader."""


def note_batches_passed_on() -> None:
    """Take note, in a worker process, that batches are made of the memory of their items."""
    global _passes_on
    if not _passes_on:
        _passes_on = get_worker_info() is not None


def empty(
    shape: tuple[int, ...], dtype: npt.DTypeLike, *, is_final: bool = True
) -> tuple[npt.NDArray[Any], torch.Tensor]:
    """Return an array that is not filled yet, and a tensor of the same memory.

    Args:
        shape: Its shape.
        dtype: Its type.
        is_final: Whether the values go into the batch as they are; otherwise other tensors are made of them before.
    """
    if not (_passes_on and is_final):
        array = np.empty(shape, dtype)
        return array, torch.from_numpy(array)
    kind = torch.from_numpy(np.empty(0, dtype)).dtype
    # as torch's default_collate does in workers
    storage = torch.UntypedStorage._new_shared(int(np.prod(shape)) * kind.itemsize)  # type: ignore[no-untyped-call]  # torch's
    tensor = torch.empty(0, dtype=kind).set_(storage).view(shape)
    return tensor.numpy(), tensor
