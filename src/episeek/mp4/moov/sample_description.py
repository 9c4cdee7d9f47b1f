"""Read and write the sample descriptions of a video track: the stsd box and its entries (ISO/IEC 14496-12:2022, 8.5.2, 12.1.3).

Samples may use different descriptions if these agree in codec, picture size and bit depth. A clip contains the descriptions that
its samples use. Descriptions that differ in codec, picture size or bit depth, and encrypted video, are refused.
"""

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from episeek.errors import EncryptedMp4Error, MalformedBoxError, SampleDescriptionError, TruncatedMp4Error
from episeek.mp4.boxes import Box, box_fields, child_boxes, parse_box
from episeek.mp4.moov.start_entries import entry_with_start_bytes, split_start_bytes

MAX_DESCRIPTIONS = 1 << 10
"""Greatest number of entries in an stsd box. Real boxes contain one entry, or one for each recording that was joined."""

_ENTRIES_OFFSET = 8
"""Size in bytes of the version, the flags and the entry count, which precede the entries in the payload of stsd."""

_VISUAL_FIELDS_BYTES = 78
"""Size in bytes of the fields of a VisualSampleEntry that precede the boxes in it."""

_CHROMA_FORMATS = (None, "420", "422", "444")
"""Chroma subsampling by chroma_format_idc (ITU-T H.264 and H.265, 6.2)."""


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """The format of the values in pictures, from a decoder configuration."""

    is_monochrome: bool
    bit_depth: int
    subsampling: str | None = None
    """Subsampling of chroma: "420", "422" or "444"; None for monochrome pictures, or if the subsampling is unknown."""

    @property
    def is_depth(self) -> bool:
        """Whether pictures are monochrome with more than 8 bits, as used for depth: RGB of 8 bits would lose values."""
        return self.is_monochrome and self.bit_depth > 8


@dataclass(frozen=True, slots=True)
class VisualSampleEntry:
    """The codec, the picture size and the picture format of a sample entry."""

    codec: str
    """Type of the sample entry, four characters such as `avc1`."""
    width: int
    height: int
    pictures: PictureFormat | None
    """Format of the pictures; None if the decoder configuration does not give the format, or has a type that is not read here."""

    def __str__(self) -> str:
        bit_depth = self.pictures.bit_depth if self.pictures is not None else 8
        return (
            f"{self.codec!r} {self.width}x{self.height}, {bit_depth} bits{' monochrome' if self.is_monochrome else ''}"
        )

    @property
    def is_monochrome(self) -> bool:
        """Whether the pictures are known to be monochrome."""
        return self.pictures is not None and self.pictures.is_monochrome


def read_entries(stsd: bytes, *, where: str) -> tuple[VisualSampleEntry, ...]:
    """Return the entries of an stsd box, in order. Samples with description k use entry k - 1 of the result.

    Raises:
        SampleDescriptionError: There are no entries, or more than `MAX_DESCRIPTIONS`.
        MalformedBoxError, TruncatedMp4Error: An entry does not fit into the box.
    """
    entries = []
    for box in _entry_boxes(stsd, where):
        width, height = box_fields(stsd, box, ">24xHH50x", where=where)
        entries.append(VisualSampleEntry(box.type, int(width), int(height), _picture_format(stsd, box, where)))
    return tuple(entries)


def common_entry(
    entries: tuple[VisualSampleEntry, ...], description_index: npt.NDArray[np.int64], *, where: str
) -> VisualSampleEntry:
    """Return the first entry of a track, if all entries agree with it in codec, picture size and bit depth.

    Entries that no sample uses have to agree as well, since decoders are set up from the first entry even if no sample uses it.

    Args:
        entries: The entries of the stsd box.
        description_index: Description of each sample, from 1, shape [sample_count]; not empty.
        where: The file, for messages.

    Raises:
        SampleDescriptionError: A sample uses an entry that does not exist, or entries differ.
        EncryptedMp4Error: An entry describes encrypted video.
    """
    for index in (int(description_index.min()), int(description_index.max())):
        if not 1 <= index <= len(entries):
            found = f"samples with sample description {index}"
            raise SampleDescriptionError(where, found, f"one of the track's descriptions, 1 to {len(entries)}")
    if any(entry.codec == "encv" for entry in entries):
        raise EncryptedMp4Error(where, "encrypted video ('encv')", "samples that are not encrypted")
    kinds = sorted(set(map(str, entries)))
    if len(kinds) != 1:
        found = f"different sample descriptions: {' and '.join(kinds)}"
        raise SampleDescriptionError(where, found, "one codec, picture size and bit depth")
    return entries[0]


def with_entries(stsd: bytes, indices: list[int], *, where: str) -> bytes:
    """Return an stsd box with the entries `indices` (from 1) of another stsd box, in this order.

    Bytes in an entry that are to be put before a sample (`start_bytes_of`) are left out.

    Raises:
        Mp4Error: The box is damaged, which is not possible if `read_entries` has read it.
    """
    entries = _entries(stsd, where)
    if indices == [1] and len(entries) == 1:
        return stsd
    return _with_entries(stsd, [split_start_bytes(entries[index - 1])[0] for index in indices], where)


def with_start_entries(stsd: bytes, made: list[tuple[int, bytes]], *, where: str) -> bytes:
    """Return an stsd box with added entries, which carry decoder state of earlier samples so that decoding can start at later ones.

    Each added entry is a copy of an entry of the box, together with bytes that set up this state in a decoder.

    Args:
        stsd: The whole box.
        made: For each new entry, the number of the entry to copy (from 1), and the bytes to put before the first sample.
        where: The file, for messages.

    Raises:
        Mp4Error: The box is damaged.
    """
    entries = _entries(stsd, where)
    added = [entry_with_start_bytes(entries[index - 1], start_bytes) for index, start_bytes in made]
    return _with_entries(stsd, [*entries, *added], where)


def split_entries(stsd: bytes, *, where: str) -> list[bytes]:
    """Return the entries of an stsd box. Each is a whole box with a header of 8 bytes.

    Raises:
        Mp4Error: The box is damaged.
    """
    return _entries(stsd, where)


def join_entries(entries: list[bytes]) -> bytes:
    """Return an stsd box with these entries (ISO/IEC 14496-12:2022, 8.5.2)."""
    chosen = b"".join(entries)
    return struct.pack(">I4sII", 16 + len(chosen), b"stsd", 0, len(entries)) + chosen


def start_bytes_of(stsd: bytes, description_index: int, *, where: str) -> bytes:
    """Return the bytes to put before the first sample of a clip if this sample uses the entry; nearly always empty.

    Raises:
        Mp4Error: The box is damaged.
    """
    return split_start_bytes(_entries(stsd, where)[description_index - 1])[1]


def _entries(stsd: bytes, where: str) -> list[bytes]:
    """Return the entries of an stsd box, each with a header of 8 bytes.

    The sizes in the headers are rewritten. An entry of size 0, which means up to the end of the container, would otherwise include
    the entry that follows it in a new box.
    """
    return [
        struct.pack(">I", 8 + entry.end - entry.payload)
        + entry.type.encode("latin-1")
        + stsd[entry.payload : entry.end]
        for entry in _entry_boxes(stsd, where)
    ]


def _with_entries(stsd: bytes, entries: list[bytes], where: str) -> bytes:
    """Return a copy of an stsd box in which `entries` replace its entries."""
    chosen = b"".join(entries)
    root = parse_box(stsd, 0, len(stsd), where=where)
    version_and_flags = stsd[root.payload : root.payload + 4]
    size = 8 + _ENTRIES_OFFSET + len(chosen)
    return struct.pack(">I4s", size, b"stsd") + version_and_flags + struct.pack(">I", len(entries)) + chosen


def decoder_configuration(
    stsd: bytes, kinds: tuple[str, ...], *, description_index: int = 1, where: str
) -> tuple[str, bytes] | None:
    """Return the type and the payload of the first box in an entry that has one of these types, or None without such a box.

    As in decoders, bytes of an entry that are not a box end the search without an error.

    Raises:
        Mp4Error: The stsd box is damaged.
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
    """Return the format of the pictures of an entry, or None if the entry does not give the format.

    The format is read from hvcC and avcC (ISO/IEC 14496-15, 8.3.3.1 and 5.3.3.1) and from av1C (AV1-ISOBMFF, 2.3).
    """
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
    """Return the format of the pictures from the payload of avcC (ISO/IEC 14496-15, 5.3.3.1), or None if avcC does not give it.

    In the High profiles, avcC gives chroma_format and bit depth after the parameter sets, unless its writer has omitted them. The
    other profiles have 8 bits and chroma subsampling 4:2:0.
    """
    if len(payload) < 7 or payload[0] != 1:
        return None
    usual = PictureFormat(False, 8, "420")
    if payload[1] not in (44, 100, 110, 122, 144, 244):
        return usual
    position = 5
    # sequence parameter sets, then picture parameter sets
    for mask in (0x1F, 0xFF):
        if position >= len(payload):
            return None
        count = payload[position] & mask
        position += 1
        for _ in range(count):
            if position + 2 > len(payload):
                return None
            position += 2 + int.from_bytes(payload[position : position + 2], "big")
    if position + 3 > len(payload):
        # profile 100, High, always has 8 bits
        return usual if payload[1] == 100 else None
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
