"""Sample descriptions of packed files: what they say of the pictures, and which may follow each other in one file.

An entry is kept byte for byte but for `btrt` (ISO/IEC 14496-12:2022, 8.5.2.2): the bit rates of the source file. Decoders get a
new configuration where the entry changes. That was tried with FFmpeg, PyAV and TorchCodec, in order and in random order: H.264
comes out right as long as shape and colours of the pictures stay the same. MPEG-4 part 2 does not, and colours are converted by
those of another entry. Files of other entries are therefore not put together.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from episeek.mp4.boxes import child_boxes, parse_box
from episeek.mp4.moov.sample_description import decoder_configuration, join_entries, read_entries, split_entries
from episeek.mp4.sample_table import SampleTable
from episeek_pipelines.video.bitstreams.h264 import H264
from episeek_pipelines.video.bitstreams.h264_order import read_picture_form

_VISUAL_FIELDS_BYTES: Final = 78
_H264_TYPES: Final = ("avc1", "avc3")


@dataclass(frozen=True, slots=True)
class UsedEntries:
    """The sample entries that samples use, in the order of their numbers."""

    numbers: tuple[int, ...]
    """Their places in the stsd box of the source, from 1."""
    entries: tuple[bytes, ...]
    """Each a whole box."""

    @property
    def digest(self) -> str:
        """SHA-256, hex, of all of them."""
        digest = hashlib.sha256()
        for entry in self.entries:
            digest.update(len(entry).to_bytes(8, "big") + entry)
        return digest.hexdigest()


def used_entries(table: SampleTable, start: int, stop: int, *, where: str) -> UsedEntries:
    """Return the entries that the samples `[start, stop)` use."""
    numbers = [1] if table.description_index is None else np.unique(table.description_index[start:stop]).tolist()
    entries = split_entries(table.sample_description, where=where)
    return UsedEntries(tuple(numbers), tuple(_without_bit_rates(entries[number - 1], where) for number in numbers))


def appearance(table: SampleTable, used: UsedEntries, *, where: str) -> str:
    """Return a text that is the same for files whose samples may follow each other in one file, as far as entries decide it."""
    kind = read_entries(join_entries([used.entries[0]]), where=where)[0]
    shape = f"{kind} {kind.pictures} {table.width}x{table.height} {table.matrix.hex()}"
    if len(used.entries) == 1 and kind.codec in _H264_TYPES:
        form = _h264_form(used.entries[0], where)
        if form is not None:
            return f"{shape} {form} {_digest(_without(used.entries[0], ('avcC', 'btrt'), where))}"
    return f"{shape} {used.digest}"


def _h264_form(entry: bytes, where: str) -> str | None:
    """Return the shape and the colours of pictures by the one sequence parameter set of an entry; None where it is not one."""
    found = decoder_configuration(join_entries([entry]), ("avcC",), where=where)
    if found is None or len(found[1]) < 5:
        return None
    sets = [unit.data for unit in H264(found[1]).entry_units() if unit.kind == "sps"]
    form = read_picture_form(sets[0]) if len(sets) == 1 else None
    return None if form is None else f"{found[1][4] & 3} {form}"


def _without_bit_rates(entry: bytes, where: str) -> bytes:
    return _without(entry, ("btrt",), where)


def _without(entry: bytes, kinds: tuple[str, ...], where: str) -> bytes:
    """Return a sample entry without its boxes of some types; bytes that are no boxes stay."""
    root = parse_box(entry, 0, len(entry), where=where)
    parts, position = [entry[4:8]], root.payload
    for box in child_boxes(entry, root.payload + _VISUAL_FIELDS_BYTES, root.end, where=where):
        if box.type in kinds and not box.missing_bytes:
            parts.append(entry[position : box.start])
            position = box.end
    body = b"".join([*parts, entry[position : root.end]])
    return (4 + len(body)).to_bytes(4, "big") + body


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
