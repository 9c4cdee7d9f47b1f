"""Compare the parts of sample entries that determine how samples are decoded and shown (ISO/IEC 14496-12:2022, 12.1.3)."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from episeek.mp4.boxes import Box, child_boxes, parse_box
from episeek.mp4.moov.sample_description import read_entries, split_entries
from episeek.mp4.sample_table import SampleTable

_VISUAL_FIELDS_BYTES: Final = 78
_PICTURE_SIZE: Final = slice(24, 28)
"""Position of the width and height in the payload of a VisualSampleEntry."""

_SAYING_NOTHING: Final = {
    # bit rates, and the order of interlaced fields, which the samples contain as well
    "btrt": None,
    "fiel": None,
    # square pixels
    "pasp": (bytes([0, 0, 0, 1, 0, 0, 0, 1]),),
    # unspecified primaries, transfer and matrix, and the usual range (ISO/IEC 23091-2)
    "colr": (b"nclx\0\2\0\2\0\2\0", b"nclc\0\2\0\2\0\2"),
}
"""Boxes that muxers may add or omit without any effect, with the payloads that have no effect; None for any payload."""


@dataclass(frozen=True, slots=True)
class EntryPrint:
    """The fingerprint of the sample entries that a range of samples uses."""

    text: str
    """A description of the first sample entry for people."""
    parts: tuple[tuple[str, str], ...]
    """The name and the digest of each part of the entries. Equal parts mean that samples are decoded and shown in the same way."""


def print_entries(table: SampleTable, start: int, stop: int, *, where: str, track_count: int = 1) -> EntryPrint:
    """Return the fingerprint of the sample entries that the samples `[start, stop)` use.

    Several video tracks in a file are part of the fingerprint, because readers choose different ones.

    If decoding from sample `start` begins with a different entry, the fingerprint includes that entry. Fields and boxes that do not
    affect the pictures are left out, such as the name of the compressor, resolutions and bit rates.
    """
    own = [1] if table.description_index is None else np.unique(table.description_index[start:stop]).tolist()
    entries = split_entries(table.sample_description, where=where)
    parts = [("tkhd matrix", table.matrix)]
    for number in own:
        parts += _parts(entries[number - 1], where)
    at_start = 0 if table.start_description_index is None else int(table.start_description_index[start])
    if at_start not in (0, own[0]):
        parts += [(f"{name} where decoding starts", data) for name, data in _parts(entries[at_start - 1], where)]
    if track_count > 1:
        parts.append((f"{track_count} video tracks", b""))
    first = read_entries(table.sample_description, where=where)[own[0] - 1]
    return EntryPrint(str(first), tuple((name, hashlib.sha256(data).hexdigest()[:16]) for name, data in parts))


def entry_words(a: EntryPrint, b: EntryPrint) -> tuple[str, str]:
    """Return a description of each of two different entries, with the parts that the other entry does not have."""
    return _words(a, b), _words(b, a)


def _words(own: EntryPrint, other: EntryPrint) -> str:
    here, there = dict(own.parts), dict(other.parts)
    differing = sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
    named = [f"{name} {here[name][:8]}" if name in here else f"no {name}" for name in differing if name != "type"]
    return f"{own.text}, {', '.join(named)}" if named else own.text


def _parts(entry: bytes, where: str) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of each part of an entry: its type, its picture size, and its boxes in sorted order.

    Bytes after the boxes that are not a box form the part `rest`.
    """
    root = parse_box(entry, 0, len(entry), where=where)
    yield "type", entry[4:8]
    yield "size", entry[root.payload : root.payload + _VISUAL_FIELDS_BYTES][_PICTURE_SIZE]
    boxes = list(child_boxes(entry, root.payload + _VISUAL_FIELDS_BYTES, root.end, where=where))
    said = [(box.type, entry[box.payload : box.end]) for box in boxes if not _says_nothing(box, entry)]
    yield from sorted(said)
    rest = boxes[-1].end if boxes else root.payload + _VISUAL_FIELDS_BYTES
    if rest < root.end:
        yield "rest", entry[rest : root.end]


def _says_nothing(box: Box, entry: bytes) -> bool:
    if box.type not in _SAYING_NOTHING:
        return False
    payloads = _SAYING_NOTHING[box.type]
    return payloads is None or entry[box.payload : box.end] in payloads
