"""The values that the items of a batch have of a column."""

from collections.abc import Sequence
from typing import Any

import torch


def row_values(columns: Sequence[Any], rows: Sequence[Sequence[int]], *, is_stack: bool) -> list[Any]:
    """Return the value of each item, in memory that belongs to the batch.

    Args:
        columns: The column in the episode of each item, from `column_values`.
        rows: The rows of each item there; all items have as many.
        is_stack: Whether a value is a stack of those of several rows; otherwise there is one row.
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
