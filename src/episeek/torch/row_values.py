"""Collect the values of one column for all items of a batch."""

from collections.abc import Sequence
from typing import Any

import torch


def row_values(columns: Sequence[Any], rows: Sequence[Sequence[int]], *, is_stack: bool) -> list[Any]:
    """Return the value of one column for each item, copied into new memory for the batch.

    Args:
        columns: For each item, the column of its episode, as `column_values` returns it.
        rows: For each item, the numbers of its rows within the episode. All items have the same number of rows.
        is_stack: Whether the value of an item is the stack of several rows; if False, each item has one row.
    """
    values = [column[row] for column, of_item in zip(columns, rows, strict=True) for row in of_item]
    if isinstance(values[0], torch.Tensor) and len({_kind(value) for value in values}) == 1:
        together = torch.stack(values)
        if is_stack:
            together = together.view(len(rows), -1, *together.shape[1:])
        return list(together.unbind())
    if is_stack:
        per_item = len(rows[0])
        return [torch.stack(values[first : first + per_item]) for first in range(0, len(values), per_item)]
    return [value.clone() if isinstance(value, torch.Tensor) else value for value in values]


def _kind(value: Any) -> Any:
    return (value.shape, value.dtype) if isinstance(value, torch.Tensor) else None
