"""Find the boxes of the ISO base media file format, and check every length (ISO/IEC 14496-12, clause 4.2).

This module finds where boxes begin and end. Their contents are read by the modules of `moov` and by `fragments`; `header` finds
the moov box in a file.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from episeek.errors import MalformedBoxError, TruncatedMp4Error

MAX_BOX_HEADER_BYTES = 32
"""Size of the longest header of a box: size, type, largesize and usertype."""

MAX_CHILDREN = 1 << 16
"""Greatest number of boxes in one container. Real containers hold a few dozen."""


@dataclass(frozen=True, slots=True)
class Box:
    """One box. Positions are in bytes from the start of the buffer or file."""

    type: str
    """Type of the box, four characters."""
    start: int
    """Position of the header."""
    payload: int
    """Position of the first byte after the header."""
    end: int
    """Position of the first byte after the box."""
    missing_bytes: int = 0
    """Number of bytes that the box claims beyond `end`, which is the end of the file or of the enclosing box."""

    @property
    def size(self) -> int:
        """Length in bytes, including the header."""
        return self.end - self.start


def parse_box(
    data: bytes | memoryview, position: int, limit: int, *, where: str, origin: int = 0, is_clipped: bool = False
) -> Box:
    """Return the box whose header starts at `position` of `data`.

    Args:
        data: A buffer that holds at least the header.
        position: Offset of the header in `data`.
        limit: End of the enclosing box or file, as an offset in `data`; it may lie beyond the end of `data`.
        where: The file, for messages.
        origin: Offset of `data` in the file, which is added to offsets in messages and in the result.
        is_clipped: Whether a box that reaches past `limit` is cut there. Otherwise it is refused.

    Raises:
        TruncatedMp4Error: The header or the box reaches past `limit`.
        MalformedBoxError: The box is smaller than its own header.
    """
    room = min(limit, len(data)) - position
    if room < 8:
        raise TruncatedMp4Error(where, f"{max(room, 0)} bytes at offset {origin + position}", "a box header of 8 bytes")
    size, kind = struct.unpack_from(">I4s", data, position)
    header = 8
    if size == 1:
        # the size follows in 64 bits (largesize)
        header = 16
        if room < header:
            raise TruncatedMp4Error(where, f"{room} bytes at offset {origin + position}", "a box header of 16 bytes")
        (size,) = struct.unpack_from(">Q", data, position + 8)
    elif size == 0:
        # the box extends to the end of the enclosing box
        size = limit - position
    if kind == b"uuid":
        header += 16
    name = kind.decode("latin-1")
    if size < header:
        raise MalformedBoxError(
            where, f"a box of type {name!r} with {size} bytes at offset {origin + position}", f"at least {header} bytes"
        )
    missing = position + size - limit if is_clipped and position + size > limit else 0
    size -= missing
    if position + size > limit:
        raise TruncatedMp4Error(
            where,
            f"a box of type {name!r} with {size} bytes at offset {origin + position}",
            f"at most {limit - position} bytes, up to the end of the file or of the enclosing box",
        )
    return Box(name, origin + position, origin + position + min(header, size), origin + position + size, missing)


def child_boxes(data: bytes, start: int, end: int, *, where: str) -> Iterator[Box]:
    """Iterate over the boxes that lie back to back in `data[start:end]`.

    As in decoders, a box that claims to reach past `end` is cut there, and the iteration ends at bytes that cannot be a box.

    Raises:
        MalformedBoxError: There are more boxes than `MAX_CHILDREN`.
    """
    position = start
    count = 0
    # QuickTime ends some containers with four zero bytes
    while end - position >= 8:
        try:
            box = parse_box(data, position, end, where=where, is_clipped=True)
        except (MalformedBoxError, TruncatedMp4Error):
            return
        yield box
        position = box.end
        count += 1
        if count > MAX_CHILDREN:
            raise MalformedBoxError(where, f"more than {MAX_CHILDREN} boxes in one container", "fewer boxes")


def find_child(data: bytes, parent: Box, kind: str, *, where: str) -> Box | None:
    """Return the first child of `parent` of this type, or None if there is none."""
    return next((box for box in child_boxes(data, parent.payload, parent.end, where=where) if box.type == kind), None)


def require_child(data: bytes, parent: Box, kind: str, *, where: str) -> Box:
    """Return the first child of `parent` of this type.

    Raises:
        MalformedBoxError: `parent` has no such child.
    """
    box = find_child(data, parent, kind, where=where)
    if box is None:
        raise MalformedBoxError(where, f"a {parent.type!r} box without {kind!r}", f"a {kind!r} box in it")
    return box


def box_fields(data: bytes, box: Box, layout: str, *, where: str) -> tuple[Any, ...]:
    """Return the fields at the start of the payload of a box, unpacked by `struct` with this layout.

    Raises:
        MalformedBoxError: The box is too small for these fields.
    """
    if box.end - box.payload < struct.calcsize(layout):
        found = f"a box of type {box.type!r} with {box.size} bytes"
        raise MalformedBoxError(where, found, f"at least {struct.calcsize(layout)} bytes of contents")
    return struct.unpack_from(layout, data, box.payload)
