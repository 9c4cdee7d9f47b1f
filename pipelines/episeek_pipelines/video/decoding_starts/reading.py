"""Read the first bytes of many samples, and more bytes of the samples that need them, in few rounds of requests."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from episeek.errors import SampleTableError
from episeek.mp4.moov.sample_boxes import Int64Array
from episeek.mp4.sample_table import SampleTable
from episeek.stores.byte_source import ByteRange, ByteSource
from episeek.stores.requests.range_plan import WantedRange, plan_requests
from episeek.stores.transports.local import LocalSource
from episeek_pipelines.video.bitstreams.sample import MissingBytesError, SampleBytes

T = TypeVar("T")

_FIRST_BYTES = {True: 1 << 8, False: 1 << 11}
"""Number of bytes of a sample that are read first. The key True is for local files. The key False is for files in a store, where
every further read costs a round trip.
"""

SMALL_BYTES = 1 << 18
"""A file in a store is read as a whole, in one request, if its samples span at most this many bytes."""

_HEAD_BYTES = {True: 1 << 6, False: 1 << 16}
"""Number of bytes that are read from the header of a NAL unit on. The key True is for local files. The key False is for files in a
store, where ranges at a smaller distance than this number are joined anyway.
"""

MAX_UNIT_BYTES = 1 << 24
"""Greatest size in bytes of a header or parameter set in a sample. A larger size can only be a damaged length field."""

_BATCH = 1 << 11
"""Number of samples whose bytes are in memory at the same time."""


class SampleReader:
    """Reads the first bytes of samples of one file.

    Args:
        source: The source that holds the file.
        path: Path relative to the source's root.
        table: The sample table.
        keeps_small_files: Whether a small file in a store is read as a whole in one request, whichever samples are needed.
    """

    def __init__(self, source: ByteSource, path: str, table: SampleTable, *, keeps_small_files: bool = False) -> None:
        self._source = source
        self._path = path
        self._table = table
        inner = getattr(source, "source", source)
        self.is_local = isinstance(inner, LocalSource)
        """Whether the file is on this machine."""
        self._span = (int(table.offset.min()), int((table.offset + table.size).max())) if len(table) else (0, 0)
        is_small = self._span[1] - self._span[0] <= SMALL_BYTES
        self.is_kept = keeps_small_files and is_small and not self.is_local
        """Whether the file is read as a whole in one request, and its bytes are kept."""
        self._whole: bytes | None = None
        self._kept: dict[int, bytes] = {}

    def map(self, look: Callable[[int, SampleBytes], T], positions: Sequence[int]) -> Iterator[T]:
        """Yield the result of `look` for each sample, in order.

        Args:
            look: A function of a sample's position and bytes. If it raises `MissingBytesError`, it is called again with more bytes.
            positions: Positions in decode order.

        Raises:
            ReadError: The file cannot be read.
            SampleTableError: `look` needs more than `MAX_UNIT_BYTES` bytes of a sample at once.
        """
        for first in range(0, len(positions), _BATCH):
            yield from self._batch(look, positions[first : first + _BATCH])

    def keep(self, heads: Mapping[int, bytes]) -> None:
        """Keep the first bytes of samples, by position, so that they are not requested again from a store."""
        if not self.is_local:
            self._kept.update((position, head[: _FIRST_BYTES[False]]) for position, head in heads.items())

    def heads(self, positions: Int64Array, starts: Int64Array) -> list[bytes]:
        """Return a few bytes of each sample, from an offset in the sample on. Near the end of a sample, there are fewer bytes.

        Args:
            positions: Positions in decode order.
            starts: The offset in each sample, in bytes.

        Raises:
            ReadError: The file cannot be read.
        """
        stops = np.minimum(starts + _HEAD_BYTES[self.is_local], self._table.size[positions])
        return self._read(positions.tolist(), list(zip(starts.tolist(), stops.tolist(), strict=True)))

    def _batch(self, look: Callable[[int, SampleBytes], T], positions: Sequence[int]) -> list[T]:
        count = _FIRST_BYTES[self.is_local]
        sizes = self._table.size[positions].tolist()
        unread = [rank for rank, position in enumerate(positions) if position not in self._kept]
        pieces = self._read([positions[rank] for rank in unread], [(0, min(sizes[rank], count)) for rank in unread])
        heads = dict(zip(unread, pieces, strict=True))
        samples = [
            SampleBytes(size, heads[rank] if rank in heads else self._kept[positions[rank]])
            for rank, size in enumerate(sizes)
        ]
        results: dict[int, T] = {}
        waiting = list(range(len(positions)))
        while waiting:
            wanted: list[tuple[int, ByteRange]] = []
            for rank in waiting:
                try:
                    results[rank] = look(positions[rank], samples[rank])
                except MissingBytesError as missing:
                    if missing.stop - missing.start > MAX_UNIT_BYTES:
                        found = f"a unit of {missing.stop - missing.start:,} bytes in sample {positions[rank]}"
                        expected = f"headers and parameter sets of at most {MAX_UNIT_BYTES:,} bytes"
                        raise SampleTableError(self._path, found, expected) from None
                    wanted.append((rank, (missing.start, min(max(missing.stop, missing.start + count), sizes[rank]))))
            waiting = [rank for rank, _ in wanted]
            if not waiting:
                break
            pieces = self._read([positions[rank] for rank in waiting], [piece for _, piece in wanted])
            for (rank, (start, _)), piece in zip(wanted, pieces, strict=True):
                samples[rank].add(start, piece)
        return [results[rank] for rank in range(len(positions))]

    def _read(self, positions: Sequence[int], pieces: Sequence[ByteRange]) -> list[bytes]:
        """Return the bytes of one range of each sample. The ranges in `pieces` count from the start of the sample."""
        starts = self._table.offset[positions].tolist()
        ranges = [(start + piece[0], start + piece[1]) for start, piece in zip(starts, pieces, strict=True)]
        if self.is_kept and ranges:
            if self._whole is None:
                (self._whole,) = self._source.get_ranges(self._path, [self._span])
            return [self._whole[start - self._span[0] : stop - self._span[0]] for start, stop in ranges]
        if self.is_local or len(ranges) < 2:
            return self._source.get_ranges(self._path, ranges)
        requests = plan_requests([WantedRange(self._path, *byte_range) for byte_range in ranges])
        bodies = self._source.get_ranges(self._path, [(request.start, request.stop) for request in requests])
        parts = [b""] * len(ranges)
        for request, body in zip(requests, bodies, strict=True):
            for number in request.members:
                parts[number] = body[ranges[number][0] - request.start : ranges[number][1] - request.start]
        return parts
