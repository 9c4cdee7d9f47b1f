"""Parquet files without a footer: seeds, damage to them, and what has to hold for any bytes.

All seeds hold the same rows, in every form of pages, with checksums. So whatever a case is made of, a row group that comes of it
has the rows of one episode, bit for bit.
"""

from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import pyarrow as pa

from episeek.errors import EpiseekError
from episeek_pipelines.parquet.recovery.pages.thrift import MalformedStructError, read_struct
from episeek_pipelines.parquet.recovery.recover import Recovered, open_recovered, recover
from tests.fuzz.promises import WHERE, check_refusal, hold
from tests.support import thrift_structs
from tests.support.lost_footers import OPTIONS, rich_tables, written

LENGTHS = (12, 1, 7)
"""No two episodes are of one length: columns of two of them never fit together."""
MAX_BYTES = 1 << 16
INTEGERS = (4, 5, 6)
NUMBERS = (0, 1, 2, 3, 5, 7, 8, 9, -1, 1 << 16, (1 << 31) - 1, -(1 << 31))


@dataclass
class Case:
    """A file in memory."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def read_at(self, start: int, stop: int) -> bytes:
        hold(0 <= start <= stop <= len(self.data), f"asked for {start} to {stop} of {len(self.data)} bytes")
        return self.data[start:stop]


@cache
def episodes() -> list[pa.Table]:
    return rich_tables(*LENGTHS)


def seeds(rng: Random, count: int) -> list[bytes]:
    """Files without their footers, some of them cut."""
    whole = []
    for options in OPTIONS.values():
        # what is altered and has neither a checksum nor extremes is not noticed
        file = written(episodes(), **{**options, "write_page_checksum": True, "write_statistics": True})
        whole.append(file.data[: file.footer_start])
    cut = (data[: rng.randrange(4, len(data))] for data in whole * count)
    return [*whole, *(next(cut) for _ in range(min(count, 2 * len(whole)) - len(whole)))]


def mutate(rng: Random, data: bytes, donor: bytes) -> bytes:
    """A few changes of bytes, ranges and fields of page headers."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        if len(data) < 8:
            break
        place = rng.randrange(4, len(data))
        length = rng.choice((1, 1, 2, 8, 100, 1000))
        match rng.randrange(8):
            case 0 | 1:
                data = data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]
            case 2:
                data = data[:place] + bytes([rng.choice((0, 0x7F, 0x80, 0xFF))]) * length + data[place + length :]
            case 3:
                data = data[:place] + data[place + length :]
            case 4:
                other = rng.randrange(len(donor))
                data = data[:place] + donor[other : other + length] + data[place:]
            case 5:
                data = data[:place] + data[place : place + length] + data[place:]
            case 6 if rng.random() < 0.2:
                data = data[:place]
            case _:
                data = _with_other_field(rng, data)
    return data[:MAX_BYTES]


def check(data: bytes, *, clips_one_in: int = 1) -> str:
    """What comes of `data`: "all" episodes of a file, "some", "none", or the name of the refusal.

    Raises:
        AssertionError: Rows are wrong, or bytes are counted wrong.
        Exception: Whatever else was let through.
    """
    case = Case(data)
    try:
        found = recover(case, episodes()[0].schema, where=WHERE)
    except EpiseekError as error:
        return check_refusal(error)
    check_places(found)
    with open_recovered(case, found) as file:
        hold(file.metadata.num_row_groups == len(found.groups), "a row group for each that was found")
        for number, group in enumerate(found.groups):
            hold(len(group.episodes) == 1, "an episode for each row group")
            hold(group.episodes[0] < len(LENGTHS), "an episode of the seeds")
            hold(file.read_row_group(number).equals(episodes()[group.episodes[0]]), "the rows of the episode")
    return {0: "none", len(LENGTHS): "all"}.get(len(found.groups), "some")


def check_places(found: Recovered) -> None:
    """Row groups and losses are places of the file; row groups follow one another."""
    stop = 4
    for group in found.groups:
        hold(stop <= group.start < group.stop, "row groups one after the other")
        stop = group.stop
    hold(found.stop == stop <= found.file_bytes, "the end of the last row group")
    for loss in found.losses:
        hold(4 <= loss.start < loss.stop <= found.file_bytes, "losses within the file")
        hold(len(str(loss)) < 300, "a short loss")


def _with_other_field(rng: Random, data: bytes) -> bytes:
    """A file with another number in the header of a page; its contents stay."""
    headers: list[tuple[int, int, Any]] = []
    position = 4
    while position < len(data) and len(headers) < 200:
        try:
            fields, length = read_struct(data[position : position + 2000], max_values=1000)
            size = fields[3][1]
        except (MalformedStructError, KeyError):
            break
        headers.append((position, length, fields))
        if not isinstance(size, int) or size < 0:
            break
        position += length + size
    if not headers:
        return data
    position, length, fields = rng.choice(headers)
    places = list(_numbers(fields))
    if not places:
        return data
    holder, number = rng.choice(places)
    kind, value = holder[number]
    holder[number] = kind, rng.choice((*NUMBERS, value + 1, value - 1, 2 * value))
    return data[:position] + thrift_structs.encode(fields) + data[position + length :]


def _numbers(fields: Any) -> Any:
    """The structs and ids of all integers below one."""
    for number, (kind, value) in fields.items():
        if kind in INTEGERS:
            yield fields, number
        elif kind == 12:
            yield from _numbers(value)
