"""The file of one stored range: its bytes with a checksum for each block, so that a part of it can be read and checked by itself.

Layout, little-endian: `MAGIC`; the key (16 bytes); the number of bytes of the range (uint64); the CRC-32 of each block of
`BLOCK_BYTES` bytes (uint32 each); the CRC-32 of all these fields (uint32); the bytes of the range. The last block may be shorter.
If a part of the file was lost, for example in a power failure, a checksum is wrong.
"""

import os
import struct
import zlib
from typing import Final

MAGIC: Final = b"episeek\x01"
BLOCK_BYTES: Final = 1 << 14
"""Length of a block in bytes: short enough to be checked quickly, and long enough that a long range has few checksums."""

_HEAD: Final = struct.Struct("<8s16sQ")
_CRC: Final = struct.Struct("<I")


class DamagedEntryError(Exception):
    """A file does not contain the range of the key, or has changed since it was written.

    Callers of this package never see this error.
    """


def header_bytes(length: int) -> int:
    """Return the length in bytes of the header of an entry with a range of `length` bytes."""
    return _HEAD.size + _CRC.size * (-(-length // BLOCK_BYTES) + 1)


def make_header(key: bytes, payload: memoryview) -> bytes:
    """Return the header of an entry, which precedes the bytes of the range.

    Args:
        key: 16 bytes.
        payload: The bytes of the range.
    """
    starts = range(0, len(payload), BLOCK_BYTES)
    sums = b"".join(_CRC.pack(zlib.crc32(payload[start : start + BLOCK_BYTES])) for start in starts)
    head = _HEAD.pack(MAGIC, key, len(payload)) + sums
    return head + _CRC.pack(zlib.crc32(head))


def read_part(handle: int, key: bytes, length: int, start: int, stop: int) -> memoryview:
    """Return bytes `[start, stop)` of the range in an open entry file.

    Args:
        handle: A file descriptor.
        key: The key of the entry, 16 bytes.
        length: Number of bytes of the range.
        start: Offset of the first byte from the start of the range.
        stop: Offset of the end of the bytes, exclusive.

    Raises:
        DamagedEntryError: The file is not an entry of this key and length, or its bytes have changed.
        OSError: The file cannot be read.
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
