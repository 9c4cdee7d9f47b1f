"""Read and write sample entries that carry decoder state of earlier samples, so that decoding can start at a sample that needs it.

Parameter sets, headers and tables in one sample may stay in force for all following samples. A decoder that starts at a later
sample has to receive them first. For such a sample, the stsd box of the index contains a separate sample entry: a copy of the
sample's entry that ends with a `uuid` box (ISO/IEC 14496-12, 11.1). The `uuid` box contains the bytes to put before the sample, in
the form that samples have. A clip moves these bytes from the entry to the front of its first sample, so that the clip's stsd box
contains the original entry of the file.
"""

import struct

from episeek.mp4.boxes import box_fields, parse_box

START_BYTES_TYPE = bytes.fromhex("5f1c1e6d8a3b4f27a0d47b52c9e86a10")
"""Usertype of the `uuid` box."""

_BOX_START = b"uuid" + START_BYTES_TYPE


def entry_count(stsd: bytes, *, where: str) -> int:
    """Return the number of entries of an stsd box (ISO/IEC 14496-12, 8.5.2). Raises Mp4Error if the box is damaged."""
    (count,) = box_fields(stsd, parse_box(stsd, 0, len(stsd), where=where), ">4xI", where=where)
    return int(count)


def entry_with_start_bytes(entry: bytes, start_bytes: bytes) -> bytes:
    """Return a copy of a sample entry (a whole box) that also contains `start_bytes`, the bytes to put before a sample."""
    box = struct.pack(">I", 8 + len(START_BYTES_TYPE) + len(start_bytes)) + _BOX_START + start_bytes
    return struct.pack(">I", len(entry) + len(box)) + entry[4:] + box


def split_start_bytes(entry: bytes) -> tuple[bytes, bytes]:
    """Divide a sample entry (a whole box) into the original entry of the file and the bytes to put before a sample.

    Without such bytes, return the entry unchanged and empty bytes.
    """
    # searched from the end, since the other bytes of an entry need not be boxes
    position = entry.rfind(_BOX_START) - 4
    if position < 8 or int.from_bytes(entry[position : position + 4], "big") != len(entry) - position:
        return entry, b""
    return struct.pack(">I", position) + entry[4:position], entry[position + 4 + len(_BOX_START) :]
