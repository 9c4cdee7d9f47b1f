"""Count repetition and definition levels without expanding them.

Source: Encodings.md of apache/parquet-format, "Run Length Encoding / Bit-Packing Hybrid".
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class LevelCounts:
    """How often each level occurs, and the first level."""

    counts: tuple[int, ...]
    first: int


def count_levels(data: bytes, *, max_level: int, value_count: int) -> LevelCounts | None:
    """Return the counts of the levels 0 to `max_level`, or None if the bytes are not exactly `value_count` such levels.

    A run of equal levels is counted without expanding it, so that the function needs no more memory than the data.
    """
    width = max_level.bit_length()
    value_bytes = (width + 7) // 8
    counts = [0] * (max_level + 1)
    first = -1
    left, position = value_count, 0
    while left:
        header, position = _varint(data, position)
        run = header >> 1
        if not run:
            return None
        if header & 1:
            stop = position + run * width
            taken = min(8 * run, left)
            if stop > len(data) or 8 * run - taken >= 8:
                return None
            found = _packed_counts(data[position:stop], width, taken)
            if found is None or len(found) > max_level + 1:
                return None
            for level, count in enumerate(found):
                counts[level] += count
            if first < 0:
                first = data[position] & (1 << width) - 1
        else:
            stop = position + value_bytes
            level = int.from_bytes(data[position:stop], "little")
            if run > left or stop > len(data) or level > max_level:
                return None
            taken = run
            counts[level] += run
            if first < 0:
                first = level
        left -= taken
        position = stop
    return LevelCounts(tuple(counts), max(first, 0)) if position == len(data) else None


def _packed_counts(data: bytes, width: int, count: int) -> list[int] | None:
    """Return the counts of `count` bit-packed levels, which are stored in groups of eight.

    Writers pad the last group with zeros. The result is None if the padding is something else, since `count` is then too small.
    """
    packed = int.from_bytes(data, "little")
    if packed >> count * width:
        return None
    if width == 1:
        # levels of lists alternate between runs and single groups, so this branch is taken about once for each row
        ones = packed.bit_count()
        return [count - ones, ones]
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    levels = bits.reshape(-1, width)[:count] @ (1 << np.arange(width))
    found: list[int] = np.bincount(levels).tolist()
    return found


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Return an unsigned LEB128 integer of at most five bytes and the position after it.

    If the integer is longer or cut off, the value is 0.
    """
    value = 0
    for place in range(5):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            return value, position
    return 0, position
