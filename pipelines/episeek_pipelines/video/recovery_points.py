"""Find H.264 samples that are wrongly marked as sync samples: gradual recovery points.

Streams with intra refresh have no keyframe after the first one. Muxers mark the pictures that carry a recovery point message
(ITU-T H.264, D.2.8) as sync samples, though pictures are right only some frames after it: a clip that started there would
differ from its file. The header does not tell the two apart. One sync sample is inspected and, where it is a recovery point,
all others. Recovery points stay in the sample table, and decoding does not start at them.
"""

from dataclasses import replace

import numpy as np

from episeek.mp4.moov.sample_description import decoder_configuration
from episeek.mp4.sample_table import SampleTable
from episeek.stores.byte_source import ByteSource

_PEEK_BYTES = 2048
"""Bytes read of a sample. Messages come before its first slice."""

_SLICE, _IDR, _SEI = 1, 5, 6
_RECOVERY_POINT = 6


def without_recovery_points(source: ByteSource, path: str, table: SampleTable) -> SampleTable:
    """Return the table with gradual recovery points not marked as sync samples.

    Nearly always there are none: then at most one sample is read, and the same table is returned.

    Raises:
        ReadError: The file cannot be read.
    """
    later = np.flatnonzero(table.is_sync)[1:]
    if table.codec not in ("avc1", "avc3") or not len(later) or table.is_sync.all():
        return table
    used = 1 if table.description_index is None else int(table.description_index[later[0]])
    found = decoder_configuration(table.sample_description, ("avcC",), description_index=used, where=path)
    if found is None or len(found[1]) < 5:
        return table
    length_bytes = (found[1][4] & 3) + 1

    def starts(positions: np.ndarray) -> list[bytes]:
        ranges = [(int(table.offset[k]), int(table.offset[k] + min(table.size[k], _PEEK_BYTES))) for k in positions]
        return source.get_ranges(path, ranges)

    if not _recovers_later(starts(later[:1])[0], length_bytes):
        return table
    is_sync = table.is_sync.copy()
    is_sync[later] = [not _recovers_later(sample, length_bytes) for sample in starts(later)]
    return replace(table, is_sync=is_sync)


def _recovers_later(sample: bytes, length_bytes: int) -> bool:
    """Return whether a sample has a recovery point message with more than 0 frames, and no IDR slice."""
    frames = 0
    position = 0
    while position + length_bytes < len(sample):
        length = int.from_bytes(sample[position : position + length_bytes], "big")
        unit = sample[position + length_bytes : position + length_bytes + length]
        kind = unit[0] & 31 if unit else 0
        if kind == _IDR:
            return False
        if kind == _SLICE:
            break
        if kind == _SEI:
            frames = max(frames, _recovery_frames(unit[1:].replace(b"\0\0\3", b"\0\0")))
        position += length_bytes + length
    return frames > 0


def _recovery_frames(messages: bytes) -> int:
    """Return recovery_frame_cnt of the first recovery point message; 0 without one (ITU-T H.264, 7.3.2.3.1)."""
    position = 0
    while position + 2 < len(messages):
        numbers = []
        for _ in ("type", "size"):
            number = 0
            while position < len(messages) and messages[position] == 0xFF:
                number, position = number + 255, position + 1
            if position >= len(messages):
                return 0
            numbers.append(number + messages[position])
            position += 1
        kind, size = numbers
        if kind == _RECOVERY_POINT:
            return _exponential_golomb(messages[position : position + size])
        position += size
    return 0


def _exponential_golomb(data: bytes) -> int:
    """Return the ue(v) value at the start of the data (ITU-T H.264, 9.1); 0 where the code is incomplete."""
    bits = "".join(f"{byte:08b}" for byte in data[:8])
    zeros = len(bits) - len(bits.lstrip("0"))
    code = bits[zeros : 2 * zeros + 1]
    return int(code, 2) - 1 if len(code) == zeros + 1 else 0
