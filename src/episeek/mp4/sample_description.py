"""The sample descriptions of a video track: the stsd box and the VisualSampleEntry boxes in it (ISO/IEC 14496-12:2022,
8.5.2 and 12.1.3).

Samples may use several descriptions, one at a time, as long as they agree in codec and picture size; a clip carries
those that its samples use. Refused by name: descriptions that differ in that, encryption.
"""

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from episeek.errors import EncryptedMp4Error, MalformedBoxError, SampleDescriptionError, TruncatedMp4Error
from episeek.mp4.boxes import Box, box_fields, child_boxes, parse_box

MAX_DESCRIPTIONS = 1 << 10
"""Entries of one stsd box; real ones hold one, or one for each recording that was joined."""

_ENTRIES_OFFSET = 8
"""Version, flags and entry count come before the entries in the payload of stsd."""

_VISUAL_FIELDS_BYTES = 78
"""Of a VisualSampleEntry, before the boxes in it."""


_CHROMA_FORMATS = (None, "420", "422", "444")
"""By chroma_format_idc (ITU-T H.264 and H.265, 6.2)."""


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """What a decoder configuration says of the pictures' values."""

    is_monochrome: bool
    bit_depth: int
    subsampling: str | None = None
    """Of chroma: "420", "422" or "444"; None where there is none, or nothing says."""

    @property
    def is_depth(self) -> bool:
        """Whether RGB of 8 bits would lose something that is no colour."""
        return self.is_monochrome and self.bit_depth > 8


@dataclass(frozen=True, slots=True)
class VisualSampleEntry:
    """What a sample entry says of its pictures."""

    codec: str
    """Fourcc."""
    width: int
    height: int
    pictures: PictureFormat | None
    """None where the decoder configuration does not say, or is not known here."""

    def __str__(self) -> str:
        bit_depth = self.pictures.bit_depth if self.pictures is not None else 8
        return (
            f"{self.codec!r} {self.width}x{self.height}, {bit_depth} bits{' monochrome' if self.is_monochrome else ''}"
        )

    @property
    def is_monochrome(self) -> bool:
        """False where nothing says so."""
        return self.pictures is not None and self.pictures.is_monochrome


def read_entries(stsd: bytes, *, where: str) -> tuple[VisualSampleEntry, ...]:
    """The entries of an stsd box, in order; sample description index k is entry k - 1.

    Raises:
        SampleDescriptionError: There is none, or an unlikely number.
        MalformedBoxError, TruncatedMp4Error: An entry does not fit its box.
    """
    entries = []
    for box in _entry_boxes(stsd, where):
        width, height = box_fields(stsd, box, ">24xHH50x", where=where)
        entries.append(VisualSampleEntry(box.type, int(width), int(height), _picture_format(stsd, box, where)))
    return tuple(entries)


def common_entry(
    entries: tuple[VisualSampleEntry, ...], description_index: npt.NDArray[np.int64], *, where: str
) -> VisualSampleEntry:
    """What the descriptions of a track have in common, also those that no sample uses: decoders are set up by the first.

    Args:
        entries: Of the stsd box.
        description_index: Of the samples, from 1, shape [sample_count]; not empty.
        where: The file, for messages.

    Raises:
        SampleDescriptionError: An index that is not there, or descriptions of several codecs or kinds of pictures.
        EncryptedMp4Error: A description of encrypted video.
    """
    for index in (int(description_index.min()), int(description_index.max())):
        if not 1 <= index <= len(entries):
            found = f"samples of description {index}"
            raise SampleDescriptionError(where, found, f"one of the track's {len(entries)} descriptions, from 1")
    if any(entry.codec == "encv" for entry in entries):
        raise EncryptedMp4Error(where, "encrypted video ('encv')", "samples in the clear")
    kinds = sorted(set(map(str, entries)))
    if len(kinds) != 1:
        found = f"sample descriptions of {', '.join(kinds)}"
        raise SampleDescriptionError(where, found, "one codec, picture size and bit depth")
    return entries[0]


def with_entries(stsd: bytes, indices: list[int], *, where: str) -> bytes:
    """An stsd box with some of the entries of another, in the order of `indices` (from 1).

    Raises:
        Mp4Error: The box is damaged; one whose entries were read is not.
    """
    boxes = _entry_boxes(stsd, where)
    if indices == [1] and len(boxes) == 1:
        return stsd
    entries = [boxes[index - 1] for index in indices]
    # with its size in it, whatever was there: one that ends with its container would take in what comes behind
    chosen = b"".join(
        struct.pack(">I", 8 + entry.end - entry.payload)
        + entry.type.encode("latin-1")
        + stsd[entry.payload : entry.end]
        for entry in entries
    )
    size = 8 + _ENTRIES_OFFSET + len(chosen)
    root = parse_box(stsd, 0, len(stsd), where=where)
    version_and_flags = stsd[root.payload : root.payload + 4]
    return struct.pack(">I4s", size, b"stsd") + version_and_flags + struct.pack(">I", len(indices)) + chosen


def decoder_configuration(
    stsd: bytes, kinds: tuple[str, ...], *, description_index: int = 1, where: str
) -> tuple[str, bytes] | None:
    """Type and payload of the first box of one of these types in an entry; None where there is none.

    Raises:
        Mp4Error: The stsd box is damaged. What is behind the entry's fields and no box hides none: decoders go by what
            they can read, too.
    """
    return _find_configuration(stsd, _entry_boxes(stsd, where)[description_index - 1], kinds, where)


def _find_configuration(stsd: bytes, entry: Box, kinds: tuple[str, ...], where: str) -> tuple[str, bytes] | None:
    try:
        for box in child_boxes(stsd, entry.payload + _VISUAL_FIELDS_BYTES, entry.end, where=where):
            if box.type in kinds:
                return box.type, stsd[box.payload : box.end]
    except (MalformedBoxError, TruncatedMp4Error):
        pass
    return None


def _picture_format(stsd: bytes, entry: Box, where: str) -> PictureFormat | None:
    """From hvcC (ISO/IEC 14496-15, 8.3.3.1), avcC of the High profiles (5.3.3.1) and av1C (AV1-ISOBMFF, 2.3)."""
    found = _find_configuration(stsd, entry, ("hvcC", "av1C", "avcC"), where)
    if found is None:
        return None
    kind, payload = found
    if kind == "hvcC" and len(payload) >= 19:
        chroma = payload[16] & 3
        return PictureFormat(chroma == 0, (payload[17] & 7) + 8, _CHROMA_FORMATS[chroma])
    if kind == "av1C" and len(payload) >= 3:
        high_bitdepth, twelve_bit, monochrome = payload[2] & 64, payload[2] & 32, payload[2] & 16
        subsampling = None if monochrome else {12: "420", 8: "422", 0: "444"}.get(payload[2] & 12)
        return PictureFormat(bool(monochrome), (12 if twelve_bit else 10) if high_bitdepth else 8, subsampling)
    return _avc_picture_format(payload) if kind == "avcC" else None


def _avc_picture_format(payload: bytes) -> PictureFormat | None:
    """chroma_format and bit depth follow the parameter sets in the High profiles, where some writers leave them out; the
    others have colour of 8 bits.
    """
    if len(payload) < 7:
        return None
    usual = PictureFormat(False, 8, "420")
    if payload[1] not in (44, 100, 110, 122, 144, 244):
        return usual
    position = 5
    for mask in (0x1F, 0xFF):  # SPS, then PPS
        if position >= len(payload):
            return None
        count = payload[position] & mask
        position += 1
        for _ in range(count):
            if position + 2 > len(payload):
                return None
            position += 2 + int.from_bytes(payload[position : position + 2], "big")
    if position + 3 > len(payload):
        return usual if payload[1] == 100 else None  # High has 8 bits
    chroma = payload[position] & 3
    return PictureFormat(chroma == 0, (payload[position + 1] & 7) + 8, _CHROMA_FORMATS[chroma])


def _entry_boxes(stsd: bytes, where: str) -> list[Box]:
    root = parse_box(stsd, 0, len(stsd), where=where)
    (entry_count,) = box_fields(stsd, root, ">4xI", where=where)
    if not 1 <= entry_count <= MAX_DESCRIPTIONS:
        raise SampleDescriptionError(where, f"{entry_count} sample descriptions", f"1 to {MAX_DESCRIPTIONS}")
    boxes: list[Box] = []
    position = root.payload + _ENTRIES_OFFSET
    while len(boxes) < entry_count:
        if position >= root.end:
            found = f"'stsd' with {len(boxes)} of its {entry_count} entries"
            raise MalformedBoxError(where, found, "every entry in the box")
        boxes.append(parse_box(stsd, position, root.end, where=where))
        position = boxes[-1].end
    return boxes
