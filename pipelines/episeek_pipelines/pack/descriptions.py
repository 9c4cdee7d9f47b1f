"""Compare the sample descriptions (stsd entries) of source files, to decide which files may be joined into one packed file.

An entry is kept byte for byte, except for the box `btrt` (ISO/IEC 14496-12:2022, 8.5.2.2), which gives the bit rates of the source
file and is removed.

Files with different entries are not joined, although an MP4 file may have several entries. FFmpeg passes a new configuration to its
decoder whenever a packet has another entry than the packet read before it. TorchCodec in its exact mode reads all packets of a file
before it decodes any. After that, it cannot decode frames that use the last entry, or, for MPEG-4 part 2, frames that use any entry
but the first. TorchCodec also converts all colours as the first entry says. A piece that uses several entries keeps all of them.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from episeek.mp4.boxes import child_boxes, parse_box
from episeek.mp4.moov.sample_description import join_entries, read_entries, split_entries
from episeek.mp4.sample_table import SampleTable

_VISUAL_FIELDS_BYTES: Final = 78
_BIT_RATES: Final = "btrt"


@dataclass(frozen=True, slots=True)
class UsedEntries:
    """The sample entries that some samples use, in the order of their numbers."""

    numbers: tuple[int, ...]
    """The numbers of the entries in the stsd box of the source, counted from 1."""
    entries: tuple[bytes, ...]
    """The bytes of each entry, as a whole box with its header, without the box `btrt`."""

    @property
    def digest(self) -> str:
        """The SHA-256 of all entries, in hex."""
        digest = hashlib.sha256()
        for entry in self.entries:
            digest.update(len(entry).to_bytes(8, "big") + entry)
        return digest.hexdigest()


def used_entries(table: SampleTable, start: int, stop: int, *, where: str) -> UsedEntries:
    """Return the sample entries that the samples `[start, stop)` use."""
    numbers = [1] if table.description_index is None else np.unique(table.description_index[start:stop]).tolist()
    entries = split_entries(table.sample_description, where=where)
    return UsedEntries(tuple(numbers), tuple(_without_bit_rates(entries[number - 1], where) for number in numbers))


def appearance(table: SampleTable, used: UsedEntries, *, where: str) -> str:
    """Return a text that describes the sample entries in use. Samples with equal texts may be in the same packed file."""
    kind = read_entries(join_entries([used.entries[0]]), where=where)[0]
    return f"{kind} {table.width}x{table.height} {table.matrix.hex()} {used.digest}"


def _without_bit_rates(entry: bytes, where: str) -> bytes:
    """Return a sample entry (a whole box) without the `btrt` box in it. Bytes that cannot be parsed as boxes are kept."""
    root = parse_box(entry, 0, len(entry), where=where)
    parts, position = [entry[4:8]], root.payload
    for box in child_boxes(entry, root.payload + _VISUAL_FIELDS_BYTES, root.end, where=where):
        if box.type == _BIT_RATES and not box.missing_bytes:
            parts.append(entry[position : box.start])
            position = box.end
    body = b"".join([*parts, entry[position : root.end]])
    return (4 + len(body)).to_bytes(4, "big") + body
