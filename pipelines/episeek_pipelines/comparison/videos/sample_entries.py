"""The sample entry of coded samples, as far as it says how they are decoded and shown (ISO/IEC 14496-12:2022, 12.1.3)."""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from episeek.mp4.boxes import child_boxes, parse_box
from episeek.mp4.moov.sample_description import read_entries, split_entries
from episeek.mp4.sample_table import SampleTable

_VISUAL_FIELDS_BYTES: Final = 78
_SQUARE_PIXELS: Final = bytes([0, 0, 0, 1, 0, 0, 0, 1])
_UNSHOWN: Final = ("btrt", "fiel")
"""Boxes that muxers add and leave out: bit rates, and the order of fields, which the samples say themselves."""


@dataclass(frozen=True, slots=True)
class EntryPrint:
    """The sample entries that some samples use."""

    digest: str
    """The same for entries that decode and show the same samples alike."""
    text: str
    """The first of them in words."""


def print_entries(table: SampleTable, start: int, stop: int, *, where: str) -> EntryPrint:
    """Return the print of the entries that the samples `[start, stop)` use, with the one in force where decoding starts.

    Left out are what a muxer makes up: the name of the compressor, resolutions, bit rates, and a pixel aspect ratio of 1:1.
    """
    own = [1] if table.description_index is None else np.unique(table.description_index[start:stop]).tolist()
    at_start = 0 if table.start_description_index is None else int(table.start_description_index[start])
    entries = split_entries(table.sample_description, where=where)
    digest = hashlib.sha256(table.matrix)
    for number in (*own, at_start):
        entry = entries[number - 1] if number else b""
        for part in _parts(entry, where) if entry else ():
            digest.update(len(part).to_bytes(8, "big") + part)
        digest.update(b"|")
    first = read_entries(table.sample_description, where=where)[own[0] - 1]
    return EntryPrint(digest.hexdigest(), f"{first!s}, configuration {digest.hexdigest()[:8]}")


def _parts(entry: bytes, where: str) -> list[bytes]:
    """Return the type, the picture size and the boxes of an entry, the boxes sorted; bytes that are no boxes are one part."""
    root = parse_box(entry, 0, len(entry), where=where)
    size = entry[root.payload + 24 : root.payload + 28]
    boxes = []
    position = root.payload + _VISUAL_FIELDS_BYTES
    for box in child_boxes(entry, position, root.end, where=where):
        is_square = box.type == "pasp" and entry[box.payload : box.end] == _SQUARE_PIXELS
        if box.type not in _UNSHOWN and not is_square:
            boxes.append(entry[box.start : box.end])
        position = box.end
    return [entry[4:8], size, *sorted(boxes), entry[position : root.end]]
