"""A few small files that between them have every box, and ways to change one box of them."""

import struct
from collections.abc import Callable, Iterator
from random import Random

from episeek.mp4.sample_table import SampleTable
from tests.fuzz.box_tree import CONTAINERS, Node, find, parse, serialise
from tests.fuzz.invariants import MDAT_TO_THE_END, source_of
from tests.fuzz.movies import fragmented, progressive
from tests.fuzz.promises import read_table

TABLES = {"clips", "table"}


def first_with(make: Callable[[Random], bytes], *kinds: bytes, without: tuple[bytes, ...] = ()) -> bytes:
    """The first movie, by seed, that has all these boxes and none of those."""
    made = (make(Random(seed)) for seed in range(10_000))
    return next(
        data
        for data in made
        if all(kind in data for kind in kinds) and not any(kind in data for kind in (*without, MDAT_TO_THE_END))
    )


SEEDS = {
    "progressive": first_with(progressive, b"stss", b"ctts", b"stco", b"elst", b"stsz", without=(b"udta", b"mp4a")),
    "progressive, wide": first_with(progressive, b"co64", b"stz2", b"ctts", b"sbgp", b"stss", without=(b"mp4a",)),
    "progressive, audio first": first_with(progressive, b"mp4a", b"stps", b"stss", b"udta"),
    "fragmented": first_with(fragmented, b"tfdt", b"trun", b"sidx", b"mfra"),
    "fragmented, edited": first_with(fragmented, b"elst", b"trun", b"mehd", without=(b"tfdt",)),
}
PROGRESSIVE = [name for name in SEEDS if name.startswith("progressive")]
ONE_TRACK = [name for name in SEEDS if "audio" not in name]
"""Where every box is needed or unknown: none belongs to a track that is passed over."""


def table_of(data: bytes) -> SampleTable:
    return read_table(source_of(data))


def moov_of(data: bytes) -> bytes:
    return serialise([find(parse(data), b"moov")])


def ways(data: bytes) -> Iterator[list[int]]:
    """The way to every box: its position in each of the lists."""

    def walk(nodes: list[Node], way: list[int]) -> Iterator[list[int]]:
        for position, node in enumerate(nodes):
            yield [*way, position]
            if node.children:
                yield from walk(node.children, [*way, position])

    return walk(parse(data), [])


def with_changed(data: bytes, way: list[int], change: Callable[[list[Node], int], None]) -> tuple[bytes, bytes]:
    """The file with one box changed, and which kind of box it was."""
    nodes = parse(data)
    siblings = nodes
    for position in way[:-1]:
        children = siblings[position].children
        assert children is not None
        siblings = children
    kind = siblings[way[-1]].kind
    change(siblings, way[-1])
    return serialise(nodes), kind


def with_repeated(data: bytes, way: list[int], times: int) -> tuple[bytes, bytes]:
    def repeat(siblings: list[Node], at: int) -> None:
        siblings[at] = Node(b"", serialise([siblings[at]]) * times)

    return with_changed(data, way, repeat)


def nested(kind: bytes, depth: int, inner: bytes) -> bytes:
    fields = bytes(CONTAINERS[kind])
    sizes = [len(inner) + (8 + len(fields)) * level for level in range(depth, 0, -1)]
    return b"".join(struct.pack(">I4s", size, kind) + fields for size in sizes) + inner
