"""One kept range as a file: its bytes, with checksums of its blocks, so that a part of it can be read and checked alone.

Layout, little-endian: `MAGIC`; the key (16 bytes); the number of bytes of the range (uint64); a CRC-32 of each block of
`BLOCK_BYTES`, the last of which may be shorter (uint32 each); a CRC-32 of all of these; the bytes of the range. A file of which a
part was lost, with the power for example, has wrong checksums.
"""

import os
import struct
import zlib
from typing import Final

MAGIC: Final = b"episeek\x01"
BLOCK_BYTES: Final = 1 << 14
"""Of this length, a block costs little to check, and the checksums of a long range are few."""

_HEAD: Final = struct.Struct("<8s16sQ")
_CRC: Final = struct.Struct("<I")


class DamagedEntryError(Exception):
    """A file is not the entry of its key, or has changed since it was written. It stays within this package."""


def header_bytes(length: int) -> int:
    """Return the length of what comes before the bytes of a range of `length` bytes."""
    return _HEAD.size + _CRC.size * (-(-length // BLOCK_BYTES) + 1)


def make_header(key: bytes, payload: memoryview) -> bytes:
    """Return what comes before the bytes of a range.

    Args:
        key: 16 bytes.
        payload: The bytes of the range.
    """
    starts = range(0, len(payload), BLOCK_BYTES)
    sums = b"".join(_CRC.pack(zlib.crc32(payload[start : start + BLOCK_BYTES])) for start in starts)
    head = _HEAD.pack(MAGIC, key, len(payload)) + sums
    return head + _CRC.pack(zlib.crc32(head))


def read_part(handle: int, key: bytes, length: int, start: int, stop: int) -> memoryview:
    """Return bytes `[start, stop)` of the range that an open file holds.

    Args:
        handle: A file descriptor.
        key: The key of the entry, 16 bytes.
        length: Bytes of the range.
        start: First byte, counted from the start of the range.
        stop: End of the bytes, exclusive.

    Raises:
        DamagedEntryError: The file is no entry of this key and length, or its bytes have changed.
        OSError: It cannot be read.
    """
    head_bytes = header_bytes(length)
    head = _read(handle, head_bytes, 0)
    if head[: _HEAD.size] != _HEAD.pack(MAGIC, key, length):
        raise DamagedEntryError("another entry")
    if _CRC.unpack_from(head, head_bytes - _CRC.size)[0] != zlib.crc32(head[: -_CRC.size]):
        raise DamagedEntryError("a wrong checksum of the header")
    first, last = start // BLOCK_BYTES, -(-stop // BLOCK_BYTES)
    begin = first * BLOCK_BYTES
    blocks = memoryview(_read(handle, min(last * BLOCK_BYTES, length) - begin, head_bytes + begin))
    for number in range(first, last):
        block = blocks[(number - first) * BLOCK_BYTES : (number - first + 1) * BLOCK_BYTES]
        if _CRC.unpack_from(head, _HEAD.size + _CRC.size * number)[0] != zlib.crc32(block):
            raise DamagedEntryError(f"a wrong checksum of block {number}")
    return blocks[start - begin : stop - begin]


def _read(handle: int, count: int, position: int) -> bytes:
    data = os.pread(handle, count, position)
    if len(data) != count:
        raise DamagedEntryError(f"{len(data)} bytes of {count}")
    return data
