"""Find the pictures at the start of a file that no decoder shows, since they refer to samples before the file.

A file cut out of a stream with open GOPs starts with such pictures: they follow sample 0 in decode order, precede it in
presentation order, and refer to the group of pictures before it. The header does not mark them.

- In H.264 all leading pictures are skipped, since no picture leads an IDR picture. Presentation times by which one does are
  refused.
- In HEVC (ITU-T H.265, 7.4.2.2) and VVC (ITU-T H.266, 7.4.2.2) the type of the NAL unit tells skipped pictures (RASL) from
  decodable ones (RADL). The first bytes of the leading samples are read for it.

Skipped pictures stay in the sample table and are not presented.
"""

from dataclasses import replace

import numpy as np

from episeek.errors import MalformedBoxError, SampleTableError
from episeek.mp4.moov.sample_boxes import Int64Array
from episeek.mp4.moov.sample_description import decoder_configuration
from episeek.mp4.sample_table import SampleTable
from episeek.stores.byte_source import ByteSource

_PEEK_BYTES = 4096
"""Bytes read of a sample. Parameter sets and messages come before its first slice."""

_IDR = 5
_FIRST_NON_VCL = {"avc1": 6, "avc3": 6, "hvc1": 32, "hev1": 32, "vvc1": 12, "vvi1": 12}
_SKIPPED = {"hvc1": (8, 9), "hev1": (8, 9), "vvc1": (3,), "vvi1": (3,)}


def without_skipped_pictures(source: ByteSource, path: str, table: SampleTable) -> SampleTable:
    """Return the table with the skipped pictures that lead its first sample not presented.

    Nearly always there are none: then nothing is read, and the same table is returned.

    Raises:
        ReadError: The file cannot be read.
        MalformedBoxError: There is no decoder configuration, which holds the size of the length of NAL units.
        SampleTableError: H.264 samples have presentation times before an IDR picture at the start.
    """
    leading = _leading(table)
    if not len(leading) or table.codec not in ("avc1", "avc3", *_SKIPPED):
        return table
    length_bytes = _length_bytes(table, path)
    inspected = leading if table.codec in _SKIPPED else np.zeros(1, np.int64)
    starts = [(int(table.offset[k]), int(table.offset[k] + min(table.size[k], _PEEK_BYTES))) for k in inspected]
    kinds = [_first_slice(data, length_bytes, table.codec) for data in source.get_ranges(path, starts)]
    if table.codec in _SKIPPED:
        skipped = leading[[kind in _SKIPPED[table.codec] for kind in kinds]]
    elif kinds == [_IDR]:
        found = f"{len(leading)} samples shown before sample 0, an IDR picture"
        raise SampleTableError(path, found, "composition offsets that show none before it")
    else:
        skipped = leading
    is_presented = table.is_presented.copy()
    is_presented[skipped] = False
    return replace(table, is_presented=is_presented)


def _leading(table: SampleTable) -> Int64Array:
    """Return the decode positions of the samples up to the next sync sample that are presented before sample 0."""
    later_sync = np.flatnonzero(table.is_sync[1:])
    stop = int(later_sync[0]) + 1 if len(later_sync) else len(table)
    return np.flatnonzero(table.is_presented[:stop] & (table.pts[:stop] < table.pts[0]))


def _length_bytes(table: SampleTable, where: str) -> int:
    """Return the bytes of a NAL unit's length field, from avcC (ISO/IEC 14496-15, 5.3.3.1), hvcC (8.3.3.1) or vvcC (11.2.4.2)."""
    used = 1 if table.description_index is None else int(table.description_index[0])
    found = decoder_configuration(
        table.sample_description, ("avcC", "hvcC", "vvcC"), description_index=used, where=where
    )
    if found is not None and found[0] == "avcC" and len(found[1]) > 4:
        return (found[1][4] & 3) + 1
    if found is not None and found[0] == "hvcC" and len(found[1]) > 21:
        return (found[1][21] & 3) + 1
    if found is not None and found[0] == "vvcC" and len(found[1]) > 4:
        return (found[1][4] >> 1 & 3) + 1
    raise MalformedBoxError(where, f"{table.codec!r} without its decoder configuration", "an avcC, hvcC or vvcC box")


def _first_slice(sample: bytes, length_bytes: int, codec: str) -> int | None:
    """Return the type of the first NAL unit that holds a slice; None where it is not within these bytes."""
    position = 0
    while position + length_bytes + 2 <= len(sample):
        length = int.from_bytes(sample[position : position + length_bytes], "big")
        header = sample[position + length_bytes : position + length_bytes + 2]
        kind = _unit_type(header, codec)
        if kind < _FIRST_NON_VCL[codec]:
            return kind
        position += length_bytes + length
    return None


def _unit_type(header: bytes, codec: str) -> int:
    """Return nal_unit_type from the two bytes at the start of a NAL unit."""
    if codec in ("avc1", "avc3"):
        return header[0] & 0x1F
    return header[0] >> 1 & 0x3F if codec in ("hvc1", "hev1") else header[1] >> 3
