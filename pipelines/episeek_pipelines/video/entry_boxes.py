"""Change the boxes in a sample entry that FFmpeg's muxer wrote (ISO/IEC 14496-12:2022, 12.1)."""

import struct

from episeek.mp4.boxes import child_boxes, parse_box

_ENTRIES_OFFSET = 8
_VISUAL_FIELDS_BYTES = 78


def with_boxes(stsd: bytes, payloads: dict[str, bytes], *, where: str) -> bytes:
    """Return a copy of an stsd box that has one entry, and replace the payloads of boxes within the entry.

    `payloads` has the new payloads by box type. An empty payload removes the box. Other boxes do not change.
    """
    root = parse_box(stsd, 0, len(stsd), where=where)
    entry = parse_box(stsd, root.payload + _ENTRIES_OFFSET, root.end, where=where)
    boxes = []
    for box in child_boxes(stsd, entry.payload + _VISUAL_FIELDS_BYTES, entry.end, where=where):
        payload = payloads.get(box.type)
        if payload is None:
            boxes.append(stsd[box.start : box.end])
        elif payload:
            boxes.append(_box(box.type, payload))
    fields = stsd[entry.payload : entry.payload + _VISUAL_FIELDS_BYTES]
    return _box("stsd", stsd[root.payload : entry.start] + _box(entry.type, fields + b"".join(boxes)))


def with_colour_range(stsd: bytes, is_full: bool | None, *, where: str) -> bytes:
    """Return a copy of an stsd box with one entry. The copy's colr box says whether samples use the full range of values.

    The colr type `nclx` has a flag for the range. QuickTime's type `nclc` has no such flag, and is written if `is_full` is None.
    An entry without a colr box is not changed.
    """
    root = parse_box(stsd, 0, len(stsd), where=where)
    entry = parse_box(stsd, root.payload + _ENTRIES_OFFSET, root.end, where=where)
    for box in child_boxes(stsd, entry.payload + _VISUAL_FIELDS_BYTES, entry.end, where=where):
        if box.type == "colr" and stsd[box.payload : box.payload + 4] in (b"nclx", b"nclc"):
            numbers = stsd[box.payload + 4 : box.payload + 10]
            colour = b"nclc" + numbers if is_full is None else b"nclx" + numbers + bytes([is_full << 7])
            return with_boxes(stsd, {"colr": colour}, where=where)
    return stsd


def visual_entry(code: bytes, width: int, height: int) -> bytes:
    """Return an stsd box with one VisualSampleEntry of type `code` that holds no boxes."""
    fields = struct.pack(">6xH16xHHIIIH32xHh", 1, width, height, 72 << 16, 72 << 16, 0, 1, 24, -1)
    return _box("stsd", bytes(4) + struct.pack(">I", 1) + _box(code.decode("latin-1"), fields))


def _box(kind: str, payload: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(payload), kind.encode("latin-1")) + payload
