"""Read the columns of a table as views of the bytes of its file. A view is made when it is needed."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

LoadSegments = Callable[[int, int], list[npt.NDArray[Any]]]


class MappedColumn:
    """One column of a table, which consists of several read-only arrays and is indexed by row number.

    The arrays may be unaligned, and NumPy copies an unaligned array before it searches it or computes with it. Therefore read
    single rows or slices.

    Args:
        segments: The arrays, in the order of their rows; None for an array that `load` returns when it is needed.
        dtype: The type of the values.
        row_counts: Number of rows of each array; None to take the lengths of the arrays.
        load: Returns the arrays at positions `[first, stop)` of `segments`.
    """

    __slots__ = ("_load", "_segments", "_starts", "dtype")

    def __init__(
        self,
        segments: Sequence[npt.NDArray[Any] | None],
        dtype: np.dtype[Any],
        row_counts: Sequence[int] | None = None,
        load: LoadSegments | None = None,
    ) -> None:
        self._segments = list(segments)
        self._load = load
        counts = [len(segment) for segment in segments if segment is not None] if row_counts is None else row_counts
        self._starts = list(accumulate(counts, initial=0))
        self.dtype = dtype

    def __len__(self) -> int:
        return self._starts[-1]

    def __repr__(self) -> str:
        return f"MappedColumn({len(self)} x {self.dtype}, {len(self._segments)} row groups)"

    def value(self, row: int) -> Any:
        """Return the value of one row as a numpy scalar. Raises the same errors as `slice`."""
        segment, position = self._place_of(row)
        return self._segment(segment)[position]

    def _place_of(self, row: int) -> tuple[int, int]:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of a column of {len(self)} rows")
        segment = self._segment_of(row)
        return segment, row - self._starts[segment]

    def slice(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return rows `[start, stop)`: a view, or a copy if they lie in several row groups.

        Raises:
            IndexError: The rows do not exist.
            SidecarLayoutError: The table is damaged.
            ChangedFileError, ReadError: The rows have to be fetched, but the table in the store has changed, or the store fails.
        """
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"rows [{start}, {stop}) of a column of {len(self)} rows")
        if start == stop:
            return np.empty(0, self.dtype)
        first, last = self._segment_of(start), self._segment_of(stop - 1)
        self._require(first, last + 1)
        parts = [
            self._values(
                i, max(start, self._starts[i]) - self._starts[i], min(stop, self._starts[i + 1]) - self._starts[i]
            )
            for i in range(first, last + 1)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _values(self, segment: int, start: int, stop: int) -> npt.NDArray[Any]:
        return self._segment(segment)[start:stop]

    def _segment(self, position: int) -> npt.NDArray[Any]:
        segment = self._segments[position]
        if segment is None:
            self._require(position, position + 1)
            segment = self._segments[position]
            assert segment is not None
        return segment

    def _require(self, first: int, stop: int) -> None:
        if self._load is not None and any(segment is None for segment in self._segments[first:stop]):
            self._segments[first:stop] = self._load(first, stop)

    def _segment_of(self, row: int) -> int:
        if len(self._segments) == 1:
            return 0
        return bisect_right(self._starts, row) - 1


class MappedBits(MappedColumn):
    """A BOOLEAN column, whose arrays contain the values of eight rows in each byte. Slices are unpacked copies."""

    __slots__ = ()

    def value(self, row: int) -> Any:
        """Return the value of one row as a numpy scalar. Raises the same errors as `slice`."""
        segment, position = self._place_of(row)
        return self._values(segment, position, position + 1)[0]

    def _values(self, segment: int, start: int, stop: int) -> npt.NDArray[np.bool_]:
        first = start // 8
        bits = np.unpackbits(self._segment(segment)[first : -(-stop // 8)], bitorder="little")
        return bits[start - 8 * first : stop - 8 * first].view(np.bool_)


def lazy_columns(
    dtypes: Mapping[str, np.dtype[Any]],
    row_counts: Sequence[int],
    load: Callable[[str, int, int], list[npt.NDArray[Any]]],
) -> dict[str, MappedColumn]:
    """Return columns whose arrays are made when they are needed.

    Args:
        dtypes: The type of each column, by its name.
        row_counts: Number of rows of each array.
        load: Returns the arrays `[first, stop)` of a column, given the column's name, `first` and `stop`.
    """
    unloaded = [None] * len(row_counts)
    return {
        name: (MappedBits if dtype == np.bool_ else MappedColumn)(unloaded, dtype, row_counts, partial(load, name))
        for name, dtype in dtypes.items()
    }
