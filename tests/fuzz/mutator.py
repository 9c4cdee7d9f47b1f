"""Damage to a tree of boxes, one kind at a time: what goes wrong in files, and what breaks parsers.

Everything is drawn from the `Random` that is handed in, so that a fuzzer's seed or hypothesis decides all of it.
"""

import struct
from collections.abc import Callable
from random import Random

from tests.fuzz.box_tree import CONTAINERS, Node, parse, places, serialise

WORDS = (0, 1, 2, 7, 8, 0x7F, 0xFF, 0xFFFF, 0x10000, (1 << 31) - 1, 1 << 31, (1 << 32) - 2, (1 << 32) - 1)
LIES = (0, 1, 2, 7, 8, 9, 15, 16, 17, 24, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
LONG_LIES = (*LIES, 1 << 32, (1 << 62) - 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
KINDS = (
    *(
        b"moov",
        b"trak",
        b"mdia",
        b"minf",
        b"stbl",
        b"stsd",
        b"stts",
        b"ctts",
        b"stss",
        b"stps",
        b"stsc",
        b"stsz",
        b"stz2",
    ),
    *(
        b"stco",
        b"co64",
        b"edts",
        b"elst",
        b"mvex",
        b"trex",
        b"moof",
        b"traf",
        b"tfhd",
        b"tfdt",
        b"trun",
        b"mdat",
        b"mvhd",
    ),
    *(
        b"mdhd",
        b"hdlr",
        b"tkhd",
        b"dinf",
        b"dref",
        b"url ",
        b"mp4v",
        b"encv",
        b"sgpd",
        b"sbgp",
        b"free",
        b"uuid",
        b"sidx",
    ),
)
MAX_BYTES = 1 << 14

Operation = Callable[[Random, list[Node], list[Node]], None]


def mutate(rng: Random, nodes: list[Node], donor: list[Node]) -> bytes:
    """A few operations on `nodes` (which are changed), and the bytes they make.

    Args:
        rng: Decides everything.
        nodes: The boxes of a file.
        donor: The boxes of another file, to take some from.
    """
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
        rng.choice(_OPERATIONS)(rng, nodes, donor)
    data = serialise(nodes)[:MAX_BYTES]
    if rng.random() < 0.08:
        data = data[: rng.randint(0, len(data))]
    if data and rng.random() < 0.08:
        place = rng.randrange(len(data))
        data = data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]
    return data


def mutate_bytes(rng: Random, data: bytes, donor: bytes) -> bytes:
    """The same for bytes."""
    return mutate(rng, parse(data), parse(donor))


def _pick(rng: Random, nodes: list[Node]) -> tuple[list[Node], int] | None:
    there = list(places(nodes))
    return rng.choice(there) if there else None


def _pick_leaf(rng: Random, nodes: list[Node]) -> Node | None:
    leaves = [
        siblings[at]
        for siblings, at in places(nodes)
        if siblings[at].payload and siblings[at].kind not in (b"mdat", b"")
    ]
    return rng.choice(leaves) if leaves else None


def _pick_counted(rng: Random, nodes: list[Node]) -> Node | None:
    counted = [siblings[at] for siblings, at in places(nodes) if siblings[at].count_place is not None]
    return rng.choice(counted) if counted else None


def lie_about_size(rng: Random, nodes: list[Node], donor: list[Node]) -> None:
    """The size is another: small, huge, off by one."""
    picked = _pick(rng, nodes)
    if picked is None:
        return
    node = picked[0][picked[1]]
    true = len(serialise([node]))
    if rng.random() < 0.3:
        node.form = "64 bit"
    near = (true - 8, true - 4, true - 1, true + 1, true + 4, true + 8)
    node.lie = rng.choice((*near, *(LONG_LIES if node.form == "64 bit" else LIES)))


def change_form(rng: Random, nodes: list[Node], donor: list[Node]) -> None:
    """The same size, said in another way."""
    picked = _pick(rng, nodes)
    if picked is not None:
        picked[0][picked[1]].form = rng.choice(("32 bit", "64 bit", "to the end"))


def lie_about_count(rng: Random, nodes: list[Node], donor: list[Node]) -> None:
    """The count of entries is another."""
    node = _pick_counted(rng, nodes)
    if node is not None:
        node.set_count(rng.choice((*WORDS, node.count - 1, node.count + 1, 2 * node.count)))


def change_entries(rng: Random, nodes: list[Node], donor: list[Node]) -> None:
    """An entry is left out, doubled, swapped with its neighbour or changed, and the count is right."""
    node = _pick_counted(rng, nodes)
    if node is None or not node.entry_bytes or not node.count:
        return
    start, width = node.entry_place, node.entry_bytes
    place = start + width * rng.randrange(min(node.count, 1000))
    before, entry, after = node.payload[:place], node.payload[place : place + width], node.payload[place + width :]
    action = rng.randrange(4)
    if action == 0:
        node.payload = before + after
        node.set_count(node.count - 1)
    elif action == 1:
        times = rng.choice((1, 1, 2, 20))
        node.payload = before + entry * (1 + times) + after
        node.set_count(node.count + times)
    elif action == 2:
        node.payload = before + after[:width] + entry + after[width:]
    elif len(entry) >= 4:
        word = rng.randrange(0, width - 3, 4)
        node.payload = (
            before + entry[:word] + struct.pack(">I", _word(rng, entry[word : word + 4])) + entry[word + 4 :] + after
        )


def _word(rng: Random, old: bytes) -> int:
    value = int.from_bytes(old)
    if rng.random() < 0.4:
        return rng.choice(WORDS)
    if rng.random() < 0.5:
        return value + rng.choice((-1, 1, 2, -2, 8, -8)) & 0xFFFFFFFF
    return value ^ 1 << rng.randrange(32)


def change_word(rng: Random, nodes: list[Node], donor: list[Node]) -> None:
    """Any 32-bit field of any box."""
    node = _pick_leaf(rng, nodes)
    if node is not None and len(node.payload) >= 4:
        place = min(rng.randrange(0, len(node.payload), 4), len(node.payload) - 4)
        word = struct.pack(">I", _word(rng, node.payload[place : place + 4]))
        node.payload = node.payload[:place] + word + node.payload[place + 4 :]


def change_version_or_flags(rng: Random, nodes: list[Node], donor: list[Node]) -> None:
    """One of the four bytes that every full box starts with."""
    node = _pick_leaf(rng, nodes)
    if node is not None and len(node.payload) >= 4:
        place = rng.randrange(4)
        value = rng.choice((0, 1, 2, 255)) if place == 0 else node.payload[place] ^ 1 << rng.randrange(8)
        node.payload = node.payload[:place] + bytes([value]) + node.payload[place + 1 :]


def cut_payload(rng: Random, nodes: list[Node], donor: list[Node]) -> None:
    """A box that ends early, and says so."""
    node = _pick_leaf(rng, nodes)
    if node is not None:
        node.payload = node.payload[: rng.randrange(len(node.payload))]


def grow_payload(rng: Random, nodes: list[Node], donor: list[Node]) -> None:
    """A box with bytes behind its contents."""
    node = _pick_leaf(rng, nodes)
    if node is not None:
        node.payload += rng.choice((b"\0", bytes(4), bytes(8), b"\0\0\0\x08free", b"\xff" * 12, node.payload[-64:]))


def remove(rng: Random, nodes: list[Node], donor: list[Node]) -> None:
    """A box is not there."""
    picked = _pick(rng, nodes)
    if picked is not None:
        del picked[0][picked[1]]


def repeat(rng: Random, nodes: list[Node], donor: list[Node]) -> None:
    """A box is there several times."""
    picked = _pick(rng, nodes)
    if picked is not None:
        siblings, at = picked
        copies = [siblings[at].copy() for _ in range(rng.choice((1, 1, 1, 2, 30)))]
        where = at if rng.random() < 0.6 else rng.randint(0, len(siblings))
        siblings[where:where] = copies


def swap(rng: Random, nodes: list[Node], donor: list[Node]) -> None:
    """Two boxes of one container change places."""
    picked = _pick(rng, nodes)
    if picked is not None:
        siblings, at = picked
        other = rng.randrange(len(siblings))
        siblings[at], siblings[other] = siblings[other], siblings[at]


def move(rng: Random, nodes: list[Node], donor: list[Node]) -> None:
    """A box lies in another container."""
    picked, target = _pick(rng, nodes), _pick(rng, nodes)
    if picked is None or target is None:
        return
    box = picked[0][picked[1]].copy()
    if rng.random() < 0.7:
        del picked[0][picked[1]]
    target[0].insert(min(target[1], len(target[0])), box)


def splice(rng: Random, nodes: list[Node], donor: list[Node]) -> None:
    """A box of another file, in place of the one of the same kind or beside it."""
    taken = _pick(rng, donor)
    if taken is None:
        return
    box = taken[0][taken[1]].copy()
    same = [(siblings, at) for siblings, at in places(nodes) if siblings[at].kind == box.kind]
    if same and rng.random() < 0.7:
        siblings, at = rng.choice(same)
        siblings[at] = box
        return
    picked = _pick(rng, nodes)
    if picked is None:
        nodes.append(box)
    else:
        picked[0].insert(picked[1], box)


def rename(rng: Random, nodes: list[Node], donor: list[Node]) -> None:
    """A box says that it is another."""
    picked = _pick(rng, nodes)
    if picked is not None:
        picked[0][picked[1]].kind = rng.choice(KINDS)


def nest(rng: Random, nodes: list[Node], donor: list[Node]) -> None:
    """A box within a container, or within many."""
    picked = _pick(rng, nodes)
    if picked is not None:
        siblings, at = picked
        node = siblings[at]
        kind = rng.choice([kind for kind, fields in CONTAINERS.items() if not fields])
        for _ in range(rng.choice((1, 1, 2, 30))):
            node = Node(kind, b"", [node])
        siblings[at] = node


_OPERATIONS: tuple[Operation, ...] = (
    *(lie_about_size, change_form, lie_about_count, lie_about_count, change_entries, change_entries, change_entries),
    *(
        change_word,
        change_word,
        change_word,
        change_version_or_flags,
        change_version_or_flags,
        cut_payload,
        grow_payload,
    ),
    *(remove, repeat, swap, move, splice, splice, rename, nest),
)
