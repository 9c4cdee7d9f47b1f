"""Collate items into a batch without copying pictures that already follow each other in memory."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import default_collate

from episeek.torch.batch_memory import is_shared_again, note_batches_passed_on, stacked


def collate(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the same batch as torch's `default_collate`. Pass this function as `DataLoader(..., collate_fn=collate)`.

    An `EpisodeDataset` writes the pictures of a batch one after another into memory. A worker process shares this memory with the
    training process. `collate` returns a view of the pictures instead of a copy.

    Args:
        items: Items with the same keys.
    """
    note_batches_passed_on()
    batch = {}
    for key in items[0]:
        values = [item[key] for item in items]
        together = _side_by_side(values)
        if together is None or not is_shared_again(together):
            # If no shared memory can be reused, tensors that follow each other in memory still need no copy.
            stack = stacked(values)
            together = together if stack is None else stack
        batch[key] = default_collate(values) if together is None else together
    return batch


def _side_by_side(values: Sequence[Any]) -> torch.Tensor | None:
    """Return a stack of tensors without a copy if they follow each other in the same memory, or None for any other values."""
    first = values[0]
    if not isinstance(first, torch.Tensor) or first.storage_offset() or not first.is_contiguous():
        return None
    size, storage = first.numel(), first.untyped_storage()
    if not size or storage.nbytes() != len(values) * first.nbytes:
        return None
    for number, value in enumerate(values):
        if (
            not isinstance(value, torch.Tensor)
            or value.untyped_storage().data_ptr() != storage.data_ptr()
            or value.storage_offset() != number * size
            or value.shape != first.shape
            or value.dtype != first.dtype
            or not value.is_contiguous()
        ):
            return None
    return first.as_strided((len(values), *first.shape), (size, *first.stride()), 0)
