"""The few fields of AV1 headers that tell where a keyframe is in its stream (AV1 specification, 5.3, 5.5 and 5.9.2)."""

from collections.abc import Iterator
from dataclasses import dataclass

_KINDS = {1: "sequence", 3: "frame", 6: "frame"}
_SELECT = 2


class _Bits:
    """Reads bits from the most significant one on.

    Raises:
        IndexError: The data ends.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def read(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self._data[self._position >> 3] >> (7 - (self._position & 7)) & 1
            self._position += 1
        return value


def units(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the kind ("sequence", "frame" or "") and payload of each unit (OBU); the last may be incomplete."""
    position = 0
    while position < len(data):
        header = data[position]
        position += 2 if header & 4 else 1
        size = len(data) - position
        if header & 2:
            size = shift = 0
            while position < len(data):
                byte = data[position]
                size |= (byte & 127) << shift
                position, shift = position + 1, shift + 7
                if byte < 128:
                    break
        yield _KINDS.get(header >> 3 & 15, ""), data[position : position + size]
        position += size


@dataclass(frozen=True, slots=True)
class SequenceHeader:
    """The fields of a sequence header on which the place of `order_hint` depends."""

    order_hint_bits: int
    has_frame_id: bool
    screen_content_tools: int
    integer_motion: int

    @classmethod
    def parse(cls, unit: bytes) -> "SequenceHeader | None":
        """Return the fields; None where there are no order hints, and for still pictures and headers with timing_info."""
        try:
            return cls._parse(_Bits(unit))
        except IndexError:
            return None

    @classmethod
    def _parse(cls, bits: _Bits) -> "SequenceHeader | None":
        bits.read(3)
        is_still, is_reduced = bits.read(1), bits.read(1)
        if is_still or is_reduced or bits.read(1):
            # timing_info moves fields of the frame header, too
            return None
        has_display_delay = bits.read(1)
        for _ in range(bits.read(5) + 1):
            bits.read(12)
            if bits.read(5) > 7:
                bits.read(1)
            if has_display_delay and bits.read(1):
                bits.read(4)
        width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
        bits.read(width_bits + height_bits)
        has_frame_id = bool(bits.read(1))
        if has_frame_id:
            bits.read(7)
        bits.read(7)
        has_order_hint = bits.read(1)
        if not has_order_hint:
            return None
        bits.read(2)
        screen_content_tools = _SELECT if bits.read(1) else bits.read(1)
        integer_motion = _SELECT
        if screen_content_tools and not bits.read(1):
            integer_motion = bits.read(1)
        return cls(bits.read(3) + 1, has_frame_id, screen_content_tools, integer_motion)


def order_hint(unit: bytes, sequence: SequenceHeader) -> int | None:
    """Return `order_hint` of a shown keyframe; None for other frames."""
    bits = _Bits(unit)
    try:
        shows_existing, kind, is_shown = bits.read(1), bits.read(2), bits.read(1)
        if shows_existing or kind or not is_shown or sequence.has_frame_id:
            return None
        bits.read(1)
        tools = bits.read(1) if sequence.screen_content_tools == _SELECT else sequence.screen_content_tools
        if tools and sequence.integer_motion == _SELECT:
            bits.read(1)
        bits.read(1)
        return bits.read(sequence.order_hint_bits)
    except IndexError:
        return None
