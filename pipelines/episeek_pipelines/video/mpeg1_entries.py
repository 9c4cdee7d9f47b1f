"""Declare MPEG-1 video as MPEG-2 in sample descriptions. Every MPEG-2 decoder also decodes MPEG-1 (ISO/IEC 13818-2, 8.3).

If the entry says MPEG-1, FFmpeg splits the packets again. It then shows a lead-in frame that the edit list hides, or hides a frame
that the edit list shows.
"""

from typing import Final

from episeek.mp4.moov.sample_description import decoder_configuration
from episeek.mp4.moov.start_entries import entry_count
from episeek_pipelines.video.bitstreams.entry_codec import MPEG1_OBJECT, object_type_place

_MPEG1_TYPES: Final = (b"m1v ", b"m1v1", b"mp1v", b"mpeg")
_MPEG2_TYPE: Final = b"m2v1"
_MPEG2_MAIN_OBJECT: Final = 0x61
"""Value of objectTypeIndication in esds for the Main profile of MPEG-2 (ISO/IEC 14496-1, 7.2.6.6)."""

_FIRST_ENTRY: Final = 16
_VERSION_BYTES: Final = 4


def declared_as_mpeg2(stsd: bytes, *, where: str) -> bytes:
    """Return a copy of an stsd box in which the MPEG-1 entries are declared as MPEG-2.

    Raises:
        Mp4Error: The box is damaged.
    """
    declared = bytearray(stsd)
    position = _FIRST_ENTRY
    for index in range(1, entry_count(stsd, where=where) + 1):
        size = int.from_bytes(stsd[position : position + 4], "big")
        if stsd[position + 4 : position + 8] in _MPEG1_TYPES:
            declared[position + 4 : position + 8] = _MPEG2_TYPE
        found = decoder_configuration(stsd, ("esds",), description_index=index, where=where)
        if found is not None:
            payload = found[1]
            place = object_type_place(payload[_VERSION_BYTES:])
            if place is not None and payload[_VERSION_BYTES + place] == MPEG1_OBJECT:
                start = stsd.index(b"esds" + payload, position, position + size) + len(b"esds")
                declared[start + _VERSION_BYTES + place] = _MPEG2_MAIN_OBJECT
        position += size
    return bytes(declared)
