"""Merge the fragments (the rows of one video file each) in episode order, one block of consecutive episodes at a time.

However many files there are, memory contains only the rows of one block, and fragments up to a fixed number of bytes.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from episeek.errors import MetadataError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.fragments import FragmentSummary, load_fragment
from episeek_pipelines.index.units import Arrays
from episeek_schemas import sidecars

Int64Array = npt.NDArray[np.int64]

BLOCK_ROWS: Final = 1 << 14
"""Greatest number of rows of `episodes` in a block. A block has at least one episode of every camera."""

PIECE_SAMPLES: Final = 1 << 19
"""Greatest number of rows of `samples` that are collected at once, unless a single episode has more."""

KEPT_BYTES: Final = 64 << 20
"""Greatest number of bytes of fragments that stay in memory from one block to the next."""

_COPIED = ("mdat_offset", "mdat_length", "frame_count", "first_pts", "last_pts", "first_frame_tick")
_COUNTS = ("sample_count", "keyframe_count", "lead_in_count")
_STARTS = ("sample_start", "keyframe_start")


@dataclass(frozen=True, slots=True, eq=False)
class MergedRows:
    """The rows of consecutive episodes in the three sidecars `episodes`, `keyframes` and `samples`, as arrays by column name."""

    episodes: Arrays
    keyframes: Arrays
    samples: Arrays


def merged_rows(
    work: Root, fragments: list[FragmentSummary], cameras: tuple[str, ...], episode_count: int
) -> Iterator[MergedRows]:
    """Yield the rows of the tables `episodes`, `keyframes` and `samples` in episode order, for a few episodes at a time.

    Args:
        work: The root of the fragments.
        fragments: The fragments, sorted by the path of their video file.
        cameras: The names of the cameras, by camera_index.
        episode_count: Number of episodes in the dataset.

    Raises:
        MetadataError: An episode of a camera is in no fragment, or in two.
    """
    reader = _FragmentReader(work, fragments)
    keys = np.array(cameras, dtype=object)
    first = np.array([fragment.episode_bounds[0] for fragment in fragments], np.int64)
    last = np.array([fragment.episode_bounds[1] for fragment in fragments], np.int64)
    block_episodes = max(1, BLOCK_ROWS // max(1, len(cameras)))
    sample_start = keyframe_start = 0
    for start in range(0, episode_count, block_episodes):
        stop = min(start + block_episodes, episode_count)
        numbers = np.flatnonzero((first < stop) & (last >= start)).tolist()
        block = _Block.located(reader, numbers, start, stop, cameras)
        for rows in block.pieces():
            piece = block.rows(reader, rows)
            ids = start * len(cameras) + rows
            episode_index, camera_index = np.divmod(ids, len(cameras))
            counts = {name: block.columns[name][rows] for name in _COUNTS}
            yield MergedRows(
                {
                    **{name: block.columns[name][rows] for name in (*_COPIED, *_COUNTS)},
                    "sample_start": sample_start + _starts(counts["sample_count"]),
                    "keyframe_start": keyframe_start + _starts(counts["keyframe_count"]),
                    "global_episode_id": ids,
                    "episode_index": episode_index,
                    "camera_index": camera_index.astype(np.int32),
                    "camera_key": keys[camera_index],
                    "file_id": block.file_of[rows],
                },
                {"global_episode_id": np.repeat(ids, counts["keyframe_count"]), **piece["keyframes"]},
                piece["samples"],
            )
            sample_start += int(counts["sample_count"].sum())
            keyframe_start += int(counts["keyframe_count"].sum())


class _FragmentReader:
    """Loads fragments, and keeps the most recent ones in memory, up to `KEPT_BYTES`."""

    def __init__(self, work: Root, fragments: list[FragmentSummary]) -> None:
        self._work = work
        self.fragments = fragments
        self._kept: OrderedDict[int, Arrays] = OrderedDict()
        self._kept_bytes = 0

    def arrays(self, number: int) -> Arrays:
        """Return the arrays of a fragment."""
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        arrays = load_fragment(self._work, self.fragments[number].fragment)
        self._kept[number] = arrays
        self._kept_bytes += _bytes_of(arrays)
        while self._kept_bytes > KEPT_BYTES and len(self._kept) > 1:
            self._kept_bytes -= _bytes_of(self._kept.popitem(last=False)[1])
        return arrays


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Consecutive episodes of all cameras, as arrays of shape [episodes * cameras] that are sorted by episode, then by camera."""

    file_of: npt.NDArray[np.int32]
    """The number of each row's fragment, which is also the file_id of the row."""
    columns: Arrays
    """Columns of `episodes`. `sample_start` and `keyframe_start` count from the first row of the row's fragment."""

    @classmethod
    def located(
        cls, reader: _FragmentReader, numbers: list[int], start: int, stop: int, cameras: tuple[str, ...]
    ) -> "_Block":
        """Return the block of the episodes `[start, stop)`, made from the fragments that contain any of these episodes."""
        size = (stop - start) * len(cameras)
        names = (*_COPIED, *_COUNTS, *_STARTS)
        columns = {name: np.empty(size, sidecars.EPISODES.field(name).type.to_pandas_dtype()) for name in names}
        file_of = np.full(size, -1, np.int32)
        for number in numbers:
            fragment, arrays = reader.fragments[number], reader.arrays(number)
            episodes = arrays["episodes/episode_index"]
            rows = np.flatnonzero((episodes >= start) & (episodes < stop))
            places = (episodes[rows] - start) * len(cameras) + fragment.camera_index
            taken = file_of[places] >= 0
            if taken.any():
                where = f"episode {episodes[rows][taken][0]} of {cameras[fragment.camera_index]!r}"
                raise MetadataError(
                    where, f"a second file {fragment.properties.file_path}", "one file for every episode and camera"
                )
            file_of[places] = number
            for name, values in columns.items():
                values[places] = arrays[f"episodes/{name}"][rows]
        unindexed = np.flatnonzero(file_of < 0)
        if len(unindexed):
            episode, camera = divmod(int(unindexed[0]), len(cameras))
            where = f"episode {start + episode} of {cameras[camera]!r}"
            raise MetadataError(where, "no indexed file", "one file for every episode and camera")
        return cls(file_of, columns)

    def pieces(self) -> Iterator[Int64Array]:
        """Yield the row numbers of the block in order, in pieces with at most `PIECE_SAMPLES` samples."""
        ends = np.cumsum(self.columns["sample_count"], dtype=np.int64)
        start = 0
        while start < len(ends):
            limit = PIECE_SAMPLES + (int(ends[start - 1]) if start else 0)
            stop = max(start + 1, int(np.searchsorted(ends, limit, side="right")))
            yield np.arange(start, stop)
            start = stop

    def rows(self, reader: _FragmentReader, rows: Int64Array) -> dict[str, Arrays]:
        """Return the columns of `samples` and `keyframes` for consecutive rows of `episodes`.

        Args:
            reader: The reader of the fragments.
            rows: Consecutive row numbers of the block.
        """
        merged: dict[str, Arrays] = {"samples": {}, "keyframes": {}}
        schemas = {"samples": sidecars.SAMPLES.names, "keyframes": sidecars.KEYFRAMES.names[1:]}
        for number in np.unique(self.file_of[rows]).tolist():
            arrays = reader.arrays(number)
            is_here = self.file_of[rows] == number
            for table, count_name, start_name in (
                ("samples", "sample_count", "sample_start"),
                ("keyframes", "keyframe_count", "keyframe_start"),
            ):
                count = self.columns[count_name][rows]
                target = _runs(_starts(count)[is_here], count[is_here])
                source = _runs(self.columns[start_name][rows][is_here], count[is_here])
                for name in schemas[table]:
                    values = arrays[f"{table}/{name}"]
                    whole = merged[table].get(name)
                    if whole is None:
                        whole = merged[table][name] = np.empty(int(count.sum()), values.dtype)
                    elif whole.dtype.itemsize < values.dtype.itemsize:
                        # the wide type of a column can represent all values of the narrow type
                        whole = merged[table][name] = whole.astype(values.dtype)
                    whole[target] = values[source]
        return merged


def _starts(count: npt.NDArray[Any]) -> Int64Array:
    """Return the start of each run, if the runs have the lengths `count` and follow one another from 0."""
    return np.asarray(np.cumsum(count, dtype=np.int64) - count, np.int64)


def _runs(start: npt.NDArray[Any], count: npt.NDArray[Any]) -> Int64Array:
    """Return the numbers `[start[k], start[k] + count[k])` for each k, concatenated."""
    return np.asarray(np.repeat(start - _starts(count), count) + np.arange(int(count.sum())), np.int64)


def _bytes_of(arrays: Arrays) -> int:
    return sum(values.nbytes for values in arrays.values())
