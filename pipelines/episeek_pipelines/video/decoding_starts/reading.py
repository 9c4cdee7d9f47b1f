"""Reading of the first bytes of many samples, as far as each of them has to be known, in few rounds of requests."""

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
"""Bytes that are read of a sample at first: few from this machine, more where a request is a round trip."""

SMALL_BYTES = 1 << 18
"""Bytes from the first to the last sample of a file in a store that is read as a whole, in one request."""

_HEAD_BYTES = {True: 1 << 6, False: 1 << 16}
"""Bytes of a NAL unit's surroundings that are read at once: of a file in a store as many as requests have between them anyway."""

MAX_UNIT_BYTES = 1 << 24
"""Bytes of a header or parameter set of a sample at most: larger ones are lies about a length."""

_BATCH = 1 << 11
"""Samples whose bytes are in memory at the same time."""


class SampleReader:
    """Reads samples of one file.

    Args:
        source: The source that holds the file.
        path: Path relative to the source's root.
        table: The samples.
        keeps_small_files: Whether a small file in a store is read as a whole, once, whichever samples are asked for.
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
        """Whether all samples cost one request."""
        self._whole: bytes | None = None
        self._kept: dict[int, bytes] = {}

    def map(self, look: Callable[[int, SampleBytes], T], positions: Sequence[int]) -> Iterator[T]:
        """Return what `look` returns for each sample, in order.

        Args:
            look: A function of a sample's position and its bytes; it may raise `MissingBytesError`, and is called again then.
            positions: Positions in decode order.

        Raises:
            ReadError: The file cannot be read.
            SampleTableError: More than `MAX_UNIT_BYTES` of a sample have to be known at once.
        """
        for first in range(0, len(positions), _BATCH):
            yield from self._batch(look, positions[first : first + _BATCH])

    def keep(self, heads: Mapping[int, bytes]) -> None:
        """Take over first bytes of samples, by position, so that a file in a store is not read for them again."""
        if not self.is_local:
            self._kept.update((position, head[: _FIRST_BYTES[False]]) for position, head in heads.items())

    def heads(self, positions: Int64Array, starts: Int64Array) -> list[bytes]:
        """Return some bytes of each sample from a position on, or all that are left of it.

        Args:
            positions: Positions in decode order.
            starts: Where to start in each sample.

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
        """Return the bytes `[start, stop)` of each sample."""
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
