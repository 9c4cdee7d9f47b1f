"""MP4 bytes as a tree of boxes that can be changed, and back to bytes. Shares no code with the project.

Parsing is lenient: what is no box stays as bytes, so that damaged inputs can be damaged further.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

# Containers, and the bytes of fixed fields before their first child.
CONTAINERS = {
    **dict.fromkeys((b"moov", b"trak", b"mdia", b"minf", b"dinf", b"stbl", b"edts", b"mvex", b"udta"), 0),
    **dict.fromkeys((b"moof", b"traf", b"mfra"), 0),
    b"stsd": 8,
    b"dref": 8,
}

# Boxes that start with a count: where it is in the payload, and the bytes of an entry (0: it depends).
COUNTED = {
    b"stsd": (4, 0),
    b"dref": (4, 0),
    b"stts": (4, 8),
    b"ctts": (4, 8),
    b"stss": (4, 4),
    b"stps": (4, 4),
    b"stsc": (4, 12),
    b"stco": (4, 4),
    b"co64": (4, 8),
    b"stsz": (8, 4),
    b"stz2": (8, 1),
    b"elst": (4, 0),
    b"sbgp": (8, 8),
    b"sgpd": (12, 0),
    b"trun": (4, 0),
}

MAX_DEPTH = 40
"""Deeper boxes stay bytes: this module is recursive, what it tests must not be."""


@dataclass(slots=True)
class Node:
    """One box, or, with an empty kind, bytes that are no box."""

    kind: bytes
    payload: bytes
    """Of a container: the fields before its children."""
    children: list["Node"] | None = None
    form: Literal["32 bit", "64 bit", "to the end"] = "32 bit"
    lie: int | None = None
    """Written as the size in place of the true one."""

    def copy(self) -> "Node":
        """The same, children too."""
        children = None if self.children is None else [child.copy() for child in self.children]
        return Node(self.kind, self.payload, children, self.form, self.lie)

    @property
    def count_place(self) -> int | None:
        """Where the entry count is in the payload, if there is one."""
        place = COUNTED.get(self.kind, (1 << 30, 0))[0]
        if self.kind == b"sgpd" and self.payload[:1] == b"\0":
            place = 8  # version 0 has no default length
        return place if len(self.payload) >= place + 4 else None

    @property
    def count(self) -> int:
        """What the count field says; 0 without one."""
        place = self.count_place
        return 0 if place is None else int.from_bytes(self.payload[place : place + 4])

    @property
    def entry_place(self) -> int:
        """Where the first entry is in the payload."""
        place = self.count_place
        if place is None:
            return len(self.payload)
        return place + 4 + (4 * sum(bool(self.payload[3] & flag) for flag in (1, 4)) if self.kind == b"trun" else 0)

    @property
    def entry_bytes(self) -> int:
        """Of one entry; 0 where entries are boxes or nothing."""
        if self.kind == b"elst":
            return 20 if self.payload[:1] == b"\1" else 12
        if self.kind == b"trun":
            return 4 * (int.from_bytes(self.payload[1:4]) >> 8 & 15).bit_count()
        if self.kind == b"sgpd":
            return int.from_bytes(self.payload[8:12]) if self.payload[:1] == b"\1" else 0
        if self.kind == b"stsz" and any(self.payload[4:8]):
            return 0
        return COUNTED.get(self.kind, (0, 0))[1]

    def set_count(self, value: int) -> None:
        """Change the count field, and nothing else."""
        place = self.count_place
        assert place is not None
        self.payload = self.payload[:place] + struct.pack(">I", value & 0xFFFFFFFF) + self.payload[place + 4 :]


def parse(data: bytes, depth: int = 0) -> list[Node]:
    """The boxes that lie back to back in `data`; whatever is left is one node without a kind."""
    nodes: list[Node] = []
    position = 0
    while len(data) - position >= 8:
        size, kind = struct.unpack_from(">I4s", data, position)
        header, form = 8, "32 bit"
        if size == 1 and len(data) - position >= 16:
            header, form = 16, "64 bit"
            (size,) = struct.unpack_from(">Q", data, position + 8)
        elif size == 0:
            size, form = len(data) - position, "to the end"
        if not header <= size <= len(data) - position:
            break
        payload = data[position + header : position + size]
        fields = CONTAINERS.get(kind)
        if fields is None or len(payload) < fields or depth > MAX_DEPTH:
            nodes.append(Node(kind, payload, None, form))  # type: ignore[arg-type]
        else:
            nodes.append(Node(kind, payload[:fields], parse(payload[fields:], depth + 1), form))  # type: ignore[arg-type]
        position += size
    if position < len(data):
        nodes.append(Node(b"", data[position:]))
    return nodes


def serialise(nodes: list[Node]) -> bytes:
    """The boxes as bytes, with sizes that are right where nothing else is asked for."""
    parts = []
    for node in nodes:
        body = node.payload if node.children is None else node.payload + serialise(node.children)
        if not node.kind:
            parts.append(body)
        elif node.form == "64 bit":
            size = 16 + len(body) if node.lie is None else node.lie & 0xFFFFFFFFFFFFFFFF
            parts.append(struct.pack(">I4sQ", 1, node.kind, size) + body)
        else:
            true = 0 if node.form == "to the end" else 8 + len(body)
            parts.append(struct.pack(">I4s", true if node.lie is None else node.lie & 0xFFFFFFFF, node.kind) + body)
    return b"".join(parts)


def places(nodes: list[Node]) -> Iterator[tuple[list[Node], int]]:
    """Every box as its list and its position in it, parents before children."""
    for position, node in enumerate(nodes):
        yield nodes, position
        if node.children:
            yield from places(node.children)


def find(nodes: list[Node], kind: bytes) -> Node:
    """The first box of this kind, at any depth."""
    return next(siblings[position] for siblings, position in places(nodes) if siblings[position].kind == kind)
