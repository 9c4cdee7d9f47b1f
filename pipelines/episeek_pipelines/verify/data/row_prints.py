"""Compute a digest ("print") of the rows of each episode of a data file, from the values of its numeric features.

The numbers and times of rows, such as `frame_index` and `timestamp`, are not part of a print, since they only locate a row. Texts,
annotations and pictures are not part of a print either, since no rule reads their values. Memory is limited to one batch of rows
and a few numbers per episode.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from episeek_pipelines.statistics.values import Unusable, sample_values
from episeek_pipelines.verify.data.row_scan import integers
from episeek_pipelines.verify.findings.arrays import BoolArray, Int64Array
from episeek_pipelines.verify.findings.findings import Finding
from episeek_pipelines.verify.findings.prints import RowPrints, digest_of
from episeek_schemas import lerobot
from episeek_schemas.features import SCALARS, declared_dtype

_NARROW: Final = 64
_OF_A_PLACE: Final = (lerobot.EPISODE_INDEX, lerobot.FRAME_INDEX, lerobot.INDEX, lerobot.TIMESTAMP)


def printed_features(features: Mapping[str, Any], columns: Sequence[str]) -> tuple[str, ...]:
    """Return the sorted names of the columns whose values are part of a print.

    Args:
        features: `features` of meta/info.json.
        columns: Names of the columns of the file.
    """
    dtypes = {name: declared_dtype(spec) for name, spec in features.items()}
    numbers = {name for name, dtype in dtypes.items() if dtype in SCALARS and dtype != "string"} | {lerobot.TASK_INDEX}
    left_out = {*_OF_A_PLACE, *lerobot.LANGUAGE_COLUMNS}
    return tuple(sorted(name for name in numbers - left_out if columns.count(name) == 1))


class RowPrintScan:
    """Computes the prints of one data file, batch by batch. Episodes with nulls, or with lists of different lengths, get no print.

    >>> scan = RowPrintScan("data/chunk-000/file-000.parquet", ("action",), np.array([0, 1, 2]), np.array([2, 2, 1]))
    >>> scan.add(pa.record_batch({"episode_index": [0, 0, 1, 1, 2], "action": [0.5, 2.0, 0.5, 2.0, 0.5]}), 0)
    >>> prints = scan.prints()
    >>> prints.row_count.tolist(), prints.change_count.tolist(), bool(prints.digest[0] == prints.digest[1])
    ([2, 2, 1], [1, 1, 0], True)

    Args:
        path: The data file.
        features: The columns that are part of a print, from `printed_features`.
        episode_index: The episodes of the file, sorted; shape [episodes].
        length: Lengths of these episodes. A run with another number of rows gets no print, since ROW015 reports it.
    """

    def __init__(self, path: str, features: Sequence[str], episode_index: Int64Array, length: Int64Array) -> None:
        self._path = path
        self._features = tuple(features)
        self._length = dict(zip(episode_index.tolist(), length.tolist(), strict=True))
        self._prints: list[tuple[int, int, int, int, int]] = []
        self._episode: int | None = None
        self._first_row = self._row_count = self._change_count = 0
        self._digests = [blake2b() for _ in features]
        self._is_usable = True
        self._widths: list[int] = []
        self._last: list[bytes] = []

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that `add` scans."""
        return (lerobot.EPISODE_INDEX, *self._features)

    def add(self, batch: pa.RecordBatch, first_row: int) -> None:
        """Scan the next rows, which begin at row `first_row` of the file."""
        if not len(batch):
            return
        episodes = integers(batch.column(lerobot.EPISODE_INDEX))
        bounds = [0, *(np.flatnonzero(episodes[1:] != episodes[:-1]) + 1).tolist(), len(batch)]
        columns = [_row_values(batch.column(name)) for name in self._features]
        usable = [each for each in columns if each is not None]
        if len(usable) < len(columns) and len(bounds) > 2:
            # Episodes are added one by one, so that values missing in one of them do not discard the others.
            for start, stop in pairwise(bounds):
                self.add(batch.slice(start, stop - start), first_row + start)
            return
        floats = [each for each in usable if np.issubdtype(each.dtype, np.floating)]
        counts = np.concatenate([[0], np.cumsum(_changes(floats, len(batch)))])
        widths = [each.shape[1] for each in usable]
        for start, stop in pairwise(bounds):
            if self._episode != episodes[start]:
                self._finish()
                self._episode, self._first_row, self._widths = int(episodes[start]), first_row + start, widths
            elif [each[0].tobytes() for each in floats] != self._last:
                self._change_count += 1
            self._is_usable &= len(usable) == len(columns) and widths == self._widths
            self._change_count += int(counts[stop - 1] - counts[start])
            self._row_count += stop - start
            if self._is_usable:
                for digest, values in zip(self._digests, usable, strict=True):
                    digest.update(values[start:stop].tobytes())
        self._last = [each[-1].tobytes() for each in floats]

    def findings(self) -> Iterator[Finding]:
        """Yield nothing: the prints of all files are compared at the end of the verification."""
        yield from ()

    def prints(self) -> RowPrints:
        """Return the prints of the episodes whose rows are contiguous, in the order of the rows."""
        self._finish()
        table = np.array(self._prints, np.uint64).reshape(len(self._prints), 5)
        episode, first_row, row_count, change_count = table[:, :4].astype(np.int64).T
        return RowPrints(self._path, episode, first_row, row_count, change_count, table[:, 4])

    def _finish(self) -> None:
        is_whole = self._episode is not None and self._length.get(self._episode) == self._row_count
        if self._episode is not None and is_whole and self._is_usable:
            digest = digest_of(b"".join(digest.digest() for digest in self._digests))
            self._prints.append((self._episode, self._first_row, self._row_count, self._change_count, digest))
        self._episode, self._row_count, self._change_count, self._is_usable = None, 0, 0, True
        self._digests = [blake2b() for _ in self._features]


def _row_values(column: pa.Array) -> npt.NDArray[Any] | None:
    """Return the values of each row, shape [rows, values]; None if values are missing or rows differ in their number of values."""
    numbers = sample_values(column)
    return None if isinstance(numbers, Unusable) else numbers.reshape(len(column), -1)


def _changes(columns: Sequence[npt.NDArray[Any]], row_count: int) -> BoolArray:
    """Return, for each row except the first, whether any value differs from the row before; shape [rows - 1]."""
    is_other: BoolArray = np.zeros(row_count - 1, np.bool_)
    for values in columns:
        rows, others = values[1:], values[:-1]
        if values.shape[1] > _NARROW:
            is_other |= (rows != others).any(axis=1)
            continue
        # NumPy is slow with narrow rows, so each dimension is compared alone.
        for dimension in range(values.shape[1]):
            if is_other.all():
                break
            is_other |= rows[:, dimension] != others[:, dimension]
    return is_other
