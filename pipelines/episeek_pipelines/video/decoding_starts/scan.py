"""Find the samples of a file that carry parameter sets, and the samples without a picture, from the headers of all NAL units.

Most samples carry no parameter sets. Array operations walk the units of many samples at once, from length field to length field, so
that only the few samples with parameter sets have to be parsed one by one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from episeek.mp4.moov.sample_boxes import BoolArray, Int64Array
from episeek.mp4.sample_table import SampleTable
from episeek_pipelines.video.bitstreams.nal_units import MAX_HEADER_BYTES, MAX_UNITS
from episeek_pipelines.video.bitstreams.parameter_sets import ParameterSets
from episeek_pipelines.video.decoding_starts.reading import SampleReader

_BATCH_SAMPLES = 1 << 13
_BATCH_BYTES = 1 << 26
"""Greatest number of samples, and of their bytes, that are walked at the same time."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The samples that `scan` finds, as positions in decode order, ascending."""

    carriers: Int64Array
    """Samples that hold parameter sets or other NAL units which may stay in force after the sample."""
    without_picture: Int64Array
    """Samples that consist of whole NAL units, none of which holds a part of a picture. Empty samples are not included."""


def scan(reader: SampleReader, codec: ParameterSets, table: SampleTable) -> Scan:
    """Return the samples that carry parameter sets, and the samples without a picture.

    The reader keeps the first bytes of the sync samples and of the samples that carry parameter sets.

    Args:
        reader: Reads the samples.
        codec: The `Codec` of the samples, whose NAL units have length fields.
        table: The sample table.

    Raises:
        ReadError: The file cannot be read.
    """
    carriers, without_picture = [], []
    for first, last in _batches(table.size):
        positions = np.arange(first, last)
        carries, is_bare, heads = _walk(reader, codec, positions, table.size[first:last])
        wanted = np.flatnonzero(carries | table.is_sync[first:last]).tolist()
        reader.keep({first + row: heads[row] for row in wanted if row in heads})
        carriers.append(first + np.flatnonzero(carries))
        without_picture.append(first + np.flatnonzero(is_bare))
    return Scan(np.concatenate(carriers), np.concatenate(without_picture))


def _batches(size: Int64Array) -> Iterator[tuple[int, int]]:
    """Yield the range of positions `[start, stop)` of each batch of samples that are searched at the same time."""
    ends = np.cumsum(size)
    first = 0
    while first < len(size):
        before = ends[first - 1] if first else 0
        last = int(np.searchsorted(ends, before + _BATCH_BYTES, side="right"))
        last = min(max(last, first + 1), first + _BATCH_SAMPLES)
        yield first, min(last, len(size))
        first = last


def _walk(
    reader: SampleReader, codec: ParameterSets, positions: Int64Array, size: Int64Array
) -> tuple[BoolArray, BoolArray, dict[int, bytes]]:
    """Return whether each sample carries parameter sets, whether it has no picture, and the first bytes of the samples.

    The keys of the dict of first bytes are indices in `positions`. Samples that are too short for a NAL unit have no entry.
    """
    kinds, length_bytes = codec.nal_kinds, codec.length_bytes
    is_unit, is_picture = np.zeros(kinds.mask + 1, np.bool_), np.zeros(kinds.mask + 1, np.bool_)
    is_unit[list(kinds.units)] = True
    is_picture[list(kinds.pictures)] = True
    carries, has_picture, has_units = np.zeros((3, len(size)), np.bool_)
    # for each sample: the offset `at` of its next unit, and the bytes [start, stop) that are in `buffer` from `begin` on
    at, start, stop, begin = np.zeros((4, len(size)), np.int64)
    buffer = np.zeros(0, np.uint8)
    heads: dict[int, bytes] = {}
    rows: Int64Array = np.flatnonzero(size > length_bytes)
    for _ in range(MAX_UNITS):
        if not len(rows):
            break
        wanted = np.minimum(at[rows] + length_bytes + MAX_HEADER_BYTES, size[rows])
        unread = rows[wanted > stop[rows]]
        if len(unread):
            start[unread] = at[unread]
            pieces = reader.heads(positions[unread], start[unread])
            heads = heads or dict(zip(unread.tolist(), pieces, strict=True))
            counts = np.fromiter(map(len, pieces), np.int64, len(pieces))
            stop[unread] = start[unread] + counts
            begin[unread] = len(buffer) + np.cumsum(counts) - counts
            buffer = np.concatenate([buffer, np.frombuffer(b"".join(pieces), np.uint8)])
        place = begin[rows] + at[rows] - start[rows]
        length = np.zeros(len(rows), np.int64)
        for byte in range(length_bytes):
            length = length << 8 | buffer[place + byte]
        header = length_bytes + kinds.header_byte
        is_whole = (length > kinds.header_byte) & (at[rows] + header < size[rows])
        kind = buffer[np.minimum(place + header, len(buffer) - 1)] >> kinds.shift & kinds.mask
        carries[rows] |= is_whole & is_unit[kind]
        has_picture[rows] |= is_whole & is_picture[kind]
        has_units[rows] |= is_whole
        at[rows] += length_bytes + length
        rows = rows[at[rows] + length_bytes < size[rows]]
    return carries, has_units & ~has_picture & (at == size), heads
