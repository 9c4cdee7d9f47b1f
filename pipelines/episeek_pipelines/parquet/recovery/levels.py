"""Repetition and definition levels, counted and not kept.

Source: Encodings.md of apache/parquet-format, "Run Length Encoding / Bit-Packing Hybrid".
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class LevelCounts:
    """How often each level occurs, and the first one."""

    counts: tuple[int, ...]
    first: int


def count_levels(data: bytes, *, max_level: int, value_count: int) -> LevelCounts | None:
    """Return the counts of levels 0 to `max_level`; None where the bytes are not exactly `value_count` of such levels.

    A run of one level is not expanded, so memory is bounded by the length of the data.
    """
    width = max_level.bit_length()
    counts = [0] * (max_level + 1)
    first = -1
    left, position = value_count, 0
    while left:
        header, position = _varint(data, position)
        if position < 0:
            return None
        if header & 1:
            run = header >> 1
            stop = position + run * width
            if not run or stop > len(data):
                return None
            bits = np.unpackbits(np.frombuffer(data, np.uint8, run * width, position), bitorder="little")
            levels = bits.reshape(-1, width) @ (1 << np.arange(width))
            # the last group of eight may be padded
            if len(levels) - left >= 8:
                return None
            levels = levels[:left]
            found = np.bincount(levels, minlength=max_level + 1)
            if len(found) > max_level + 1:
                return None
            counts = [one + int(more) for one, more in zip(counts, found, strict=True)]
            first = int(levels[0]) if first < 0 else first
            left -= len(levels)
            position = stop
        else:
            run = header >> 1
            stop = position + (width + 7) // 8
            level = int.from_bytes(data[position:stop], "little")
            if not 0 < run <= left or stop > len(data) or level > max_level:
                return None
            counts[level] += run
            first = level if first < 0 else first
            left -= run
            position = stop
    return LevelCounts(tuple(counts), max(first, 0)) if position == len(data) else None


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Return an unsigned LEB128 integer of at most five bytes and the position after it, which is -1 where there is none."""
    value = 0
    for place in range(5):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            return value, position
    return 0, -1
