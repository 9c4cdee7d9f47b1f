"""Hand-made movie fragments, box by box. Shares no code with the project."""

import struct
from collections.abc import Sequence

from tests.support.mp4_boxes import box, full_box, moov, sample_boxes, track

NON_SYNC = 0x00010000
TRACK_ID = 7


def trex(track_id: int = TRACK_ID, *, description: int = 1, duration: int = 0, size: int = 0, flags: int = 0) -> bytes:
    return full_box(b"trex", 0, struct.pack(">5I", track_id, description, duration, size, flags))


def tfhd(
    track_id: int = TRACK_ID,
    *,
    base: int | None = None,
    description: int | None = None,
    duration: int | None = None,
    size: int | None = None,
    flags: int | None = None,
    base_is_moof: bool = False,
) -> bytes:
    values = [(1, "Q", base), (2, "I", description), (8, "I", duration), (16, "I", size), (32, "I", flags)]
    present = [(flag, form, value) for flag, form, value in values if value is not None]
    fields = b"".join(struct.pack(f">{form}", value) for _, form, value in present)
    box_flags = sum(flag for flag, _, _ in present) | (0x020000 if base_is_moof else 0)
    return full_box(b"tfhd", 0, struct.pack(">I", track_id), fields, flags=box_flags)


def tfdt(ticks: int, version: int = 1) -> bytes:
    return full_box(b"tfdt", version, struct.pack(">Q" if version else ">I", ticks))


def trun(
    count: int,
    *,
    data_offset: int | None = None,
    first_flags: int | None = None,
    durations: Sequence[int] | None = None,
    sizes: Sequence[int] | None = None,
    flags: Sequence[int] | None = None,
    composition: Sequence[int] | None = None,
    version: int = 0,
) -> bytes:
    columns = [(0x100, durations), (0x200, sizes), (0x400, flags), (0x800, composition)]
    present = [(flag, values) for flag, values in columns if values is not None]
    box_flags = sum(flag for flag, _ in present)
    head = b""
    if data_offset is not None:
        box_flags |= 1
        head += struct.pack(">i", data_offset)
    if first_flags is not None:
        box_flags |= 4
        head += struct.pack(">I", first_flags)
    rows = b"".join(struct.pack(">I", values[row] & 0xFFFFFFFF) for row in range(count) for _, values in present)
    return full_box(b"trun", version, struct.pack(">I", count), head, rows, flags=box_flags)


def traf(*parts: bytes) -> bytes:
    return box(b"traf", *parts)


def moof(*trafs: bytes) -> bytes:
    return box(b"moof", full_box(b"mfhd", 0, struct.pack(">I", 1)), *trafs)


def fragmented_moov(*extends: bytes, boxes: dict[str, bytes] | None = None, edits: bytes = b"") -> bytes:
    """A moov whose video track has TRACK_ID and, unless `boxes` say otherwise, no samples."""
    empty = track(boxes if boxes is not None else sample_boxes([], [], [], []), edits=edits)
    nameless = full_box(b"tkhd", 0, bytes(80), flags=3)
    named = full_box(b"tkhd", 0, bytes(8), struct.pack(">I", TRACK_ID), bytes(68), flags=3)
    assert empty.count(nameless) == 1
    return moov(empty.replace(nameless, named), extra=box(b"mvex", *(extends or (trex(),))))
