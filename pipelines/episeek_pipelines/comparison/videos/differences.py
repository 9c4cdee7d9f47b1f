"""Find the coded samples whose bytes differ between two episodes in one camera."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from episeek.mp4.moov.sample_boxes import Int64Array
from episeek.mp4.sample_table import SampleTable
from episeek.stores.byte_source import ByteSource, CountingSource
from episeek.stores.requests.range_plan import WantedRange, fetch_planned, plan_requests
from episeek_pipelines.comparison.videos.prints import EpisodeSamples
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.video.header import read_video_header

_BATCH_BYTES: Final = 1 << 23
"""Greatest number of bytes of samples that are read together from each dataset, unless one sample is larger."""

_BATCH_SAMPLES: Final = 1 << 12
_IN_FLIGHT: Final = 4


@dataclass(frozen=True, slots=True)
class PairedSamples:
    """The samples of a pair of episodes in one camera."""

    a: EpisodeSamples
    b: EpisodeSamples


@dataclass(frozen=True, slots=True)
class SampleDifferences:
    """The number of samples that differ in a pair of episodes, and the first such sample."""

    different: int
    first: int | None
    """Position of the first sample that differs, in decode order; None if all samples are equal."""
    compared: int
    """Number of pairs of samples whose bytes were read."""
    byte_count: int
    """Number of bytes that were read, on both sides together."""


def compare_samples(
    pairs: Sequence[PairedSamples], root_a: Root, root_b: Root, *, reads_bytes: bool
) -> list[SampleDifferences]:
    """Compare the samples of each pair of episodes. Samples of different sizes differ, and are not read.

    Args:
        pairs: Pairs with the same number of samples in A and B. All pairs are in the same two files.
        root_a: The root of the videos of A.
        root_b: The root of the videos of B.
        reads_bytes: Whether to read samples of equal size. If False, samples of equal size count as equal.

    Raises:
        EpiseekError: A file cannot be read.
    """
    source_a, source_b = CountingSource(root_a.source()), CountingSource(root_b.source())
    table_a = read_video_header(source_a, pairs[0].a.path).table
    table_b = read_video_header(source_b, pairs[0].b.path).table
    found = []
    for pair in pairs:
        before = source_a.byte_count + source_b.byte_count
        size_a, size_b = (_of(table.size, side) for table, side in ((table_a, pair.a), (table_b, pair.b)))
        differs = size_a != size_b
        same_size = np.flatnonzero(~differs) if reads_bytes else np.zeros(0, np.int64)
        a = _samples(source_a, pair.a, table_a, same_size)
        b = _samples(source_b, pair.b, table_b, same_size)
        for position, one, other in zip(same_size.tolist(), a, b, strict=True):
            differs[position] = one != other
        places = np.flatnonzero(differs)
        first = int(places[0]) if len(places) else None
        read = source_a.byte_count + source_b.byte_count - before
        found.append(SampleDifferences(len(places), first, len(same_size), read))
    return found


def _of(column: Int64Array, side: EpisodeSamples) -> Int64Array:
    return column[side.start : side.stop]


def _samples(
    source: ByteSource, side: EpisodeSamples, table: SampleTable, positions: Int64Array
) -> Iterator[memoryview]:
    """Yield the bytes of the samples at `positions` of an episode, in order. A few mebibytes are fetched at a time."""
    offset, size = _of(table.offset, side)[positions], _of(table.size, side)[positions]
    start = 0
    while start < len(positions):
        room = np.searchsorted(np.cumsum(size[start : start + _BATCH_SAMPLES]), _BATCH_BYTES, side="right")
        stop = start + max(1, int(room))
        wanted = [
            WantedRange(side.path, int(at), int(at + length))
            for at, length in zip(offset[start:stop], size[start:stop], strict=True)
        ]
        requests = plan_requests(wanted, max_request_bytes=_BATCH_BYTES)
        yield from fetch_planned(source, wanted, requests, max_in_flight=_IN_FLIGHT)
        start = stop
