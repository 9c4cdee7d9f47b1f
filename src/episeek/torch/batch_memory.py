"""Choose the memory for the pictures of a batch, so that each picture is written only once.

A worker of a `DataLoader` passes its batches to the training process in shared memory. If `episeek.torch.collate` makes the
batches, pictures are decoded directly into the shared memory of earlier batches that no process uses any more. Any other collate
function copies the pictures into new tensors, so pictures are then decoded into ordinary memory.
"""

import sys
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import get_worker_info

_SMALL_BYTES: Final = 1 << 18
"""Smallest size in bytes of a stack that is sent as a shared block. For fewer bytes, torch's own function is faster."""
_ARRAY_TYPES: Final = frozenset(
    {torch.uint8, torch.uint16, torch.int16, torch.int32, torch.int64, torch.float16, torch.float32, torch.float64}
)

_passes_on = False
"""Whether this process is a worker of a `DataLoader` with `episeek.torch.collate`, whose batches use the memory of their items."""

if sys.platform == "linux":
    from episeek.torch.shared_blocks import SharedBlocks

    _blocks = SharedBlocks()


def note_batches_passed_on() -> None:
    """Record that this worker process makes batches without copying their items. Outside of worker processes, do nothing."""
    global _passes_on
    if not _passes_on:
        _passes_on = get_worker_info() is not None


def stacked(values: Sequence[Any]) -> torch.Tensor | None:
    """Return a stack of the values in reused shared memory, or None if such memory is not used for them.

    Reused shared memory is used only on Linux, in a worker process with `episeek.torch.collate`. The values must be CPU tensors of
    one shape and type, and have at least `_SMALL_BYTES` bytes together.
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
    """Return whether a batch can use a tensor without a copy.

    A tensor needs a copy only in a worker process on Linux, if it is not in reused shared memory yet.
    """
    return not _passes_on or sys.platform != "linux" or _blocks.holds(tensor)


def empty(
    shape: tuple[int, ...], dtype: npt.DTypeLike, *, is_final: bool = True
) -> tuple[npt.NDArray[Any], torch.Tensor]:
    """Return an uninitialized array, and a tensor that shares its memory.

    Args:
        shape: The shape of both.
        dtype: The type of both.
        is_final: Whether the tensor goes into the batch unchanged; False if other tensors are computed from it first.
    """
    if _passes_on and is_final and sys.platform == "linux":
        shared = _blocks.tensor(shape, dtype)
        if shared is not None:
            return shared.numpy(), shared
    if not (_passes_on and is_final):
        array = np.empty(shape, dtype)
        return array, torch.from_numpy(array)
    kind = torch.from_numpy(np.empty(0, dtype)).dtype
    # In workers, torch's default_collate allocates new shared memory in the same way.
    storage = torch.UntypedStorage._new_shared(int(np.prod(shape)) * kind.itemsize)  # type: ignore[no-untyped-call]  # torch's
    tensor = torch.empty(0, dtype=kind).set_(storage).view(shape)
    return tensor.numpy(), tensor


def _has_array(value: Any) -> bool:
    """Return whether a value is a plain CPU tensor whose memory NumPy can use."""
    if type(value) is not torch.Tensor or value.dtype not in _ARRAY_TYPES or value.requires_grad or not value.ndim:
        return False
    return value.layout == torch.strided and value.device.type == "cpu"
