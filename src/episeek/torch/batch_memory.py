"""Memory for the pictures of a batch, chosen so that the batch is written once.

A worker of a `DataLoader` gives its batches to the training process in shared memory. Where `collate` makes the batches, pictures
are written there at once, into memory of earlier batches that nobody holds any more. Where another function does, it makes tensors
of its own, and shared memory would be written twice.
"""

import sys
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import get_worker_info

_SMALL_BYTES: Final = 1 << 18
"""A stack of fewer bytes costs less than a message about a block."""
_ARRAY_TYPES: Final = frozenset(
    {torch.uint8, torch.uint16, torch.int16, torch.int32, torch.int64, torch.float16, torch.float32, torch.float64}
)

_passes_on = False
"""Whether this is a worker whose batches are passed on as they are. A worker belongs to one loader."""

if sys.platform == "linux":
    from episeek.torch.shared_blocks import SharedBlocks

    _blocks = SharedBlocks()


def note_batches_passed_on() -> None:
    """Take note, in a worker process, that batches are made of the memory of their items."""
    global _passes_on
    if not _passes_on:
        _passes_on = get_worker_info() is not None


def stacked(values: Sequence[Any]) -> torch.Tensor | None:
    """Return a stack of tensors of one shape and type, in memory that a worker shares and has used before.

    None for anything else, outside of workers, and where memory is shared as torch does it: for small tensors, and on other systems
    than Linux.
    """
    if not _passes_on or sys.platform != "linux" or not all(map(_has_array, values)):
        return None
    first = values[0]
    if first.nbytes * len(values) < _SMALL_BYTES:
        return None
    if any((one.shape, one.dtype) != (first.shape, first.dtype) for one in values):
        return None
    stack = _blocks.tensor((len(values), *first.shape), first[:0].numpy().dtype)
    return None if stack is None else torch.stack(list(values), out=stack)


def is_shared_again(tensor: torch.Tensor) -> bool:
    """Return whether a tensor needs no copy: it lies in memory that is used again, or this is no worker."""
    return not _passes_on or sys.platform != "linux" or _blocks.holds(tensor)


def empty(
    shape: tuple[int, ...], dtype: npt.DTypeLike, *, is_final: bool = True
) -> tuple[npt.NDArray[Any], torch.Tensor]:
    """Return an array that is not filled yet, and a tensor of the same memory.

    Args:
        shape: Its shape.
        dtype: Its type.
        is_final: Whether the values go into the batch as they are; otherwise other tensors are made of them before.
    """
    if _passes_on and is_final and sys.platform == "linux":
        shared = _blocks.tensor(shape, dtype)
        if shared is not None:
            return shared.numpy(), shared
    if not (_passes_on and is_final):
        array = np.empty(shape, dtype)
        return array, torch.from_numpy(array)
    kind = torch.from_numpy(np.empty(0, dtype)).dtype
    # as torch's default_collate does in workers
    storage = torch.UntypedStorage._new_shared(int(np.prod(shape)) * kind.itemsize)  # type: ignore[no-untyped-call]  # torch's
    tensor = torch.empty(0, dtype=kind).set_(storage).view(shape)
    return tensor.numpy(), tensor


def _has_array(value: Any) -> bool:
    """Return whether a value is a plain tensor that numpy can see."""
    if type(value) is not torch.Tensor or value.dtype not in _ARRAY_TYPES or value.requires_grad or not value.ndim:
        return False
    return value.layout == torch.strided and value.device.type == "cpu"
