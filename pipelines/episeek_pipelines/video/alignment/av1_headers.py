"""Read the fields of AV1 headers that show how far a keyframe is from the start of its stream (AV1 specification, 5.3, 5.5,
5.9.2).
"""

from dataclasses import dataclass

from episeek_pipelines.video.bitstreams.bits import BitReader, BitsEndError

_SELECT = 2


@dataclass(frozen=True, slots=True)
class SequenceHeader:
    """The fields of a sequence header that determine the position of `order_hint` in a frame header."""

    order_hint_bits: int
    has_frame_id: bool
    screen_content_tools: int
    integer_motion: int

    @classmethod
    def parse(cls, unit: bytes) -> "SequenceHeader | None":
        """Return the fields of a sequence header.

        The result is None for a damaged header, a header with timing_info, a still picture and a stream without order hints.
        """
        try:
            return cls._parse(BitReader(unit))
        except BitsEndError:
            return None

    @classmethod
    def _parse(cls, bits: BitReader) -> "SequenceHeader | None":
        bits.u(3)
        is_still, is_reduced = bits.u(1), bits.u(1)
        if is_still or is_reduced or bits.u(1):
            # timing_info also moves fields of the frame header
            return None
        has_display_delay = bits.u(1)
        for _ in range(bits.u(5) + 1):
            bits.u(12)
            if bits.u(5) > 7:
                bits.u(1)
            if has_display_delay and bits.u(1):
                bits.u(4)
        width_bits, height_bits = bits.u(4) + 1, bits.u(4) + 1
        bits.u(width_bits + height_bits)
        has_frame_id = bool(bits.u(1))
        if has_frame_id:
            bits.u(7)
        bits.u(7)
        has_order_hint = bits.u(1)
        if not has_order_hint:
            return None
        bits.u(2)
        screen_content_tools = _SELECT if bits.u(1) else bits.u(1)
        integer_motion = _SELECT
        if screen_content_tools and not bits.u(1):
            integer_motion = bits.u(1)
        return cls(bits.u(3) + 1, has_frame_id, screen_content_tools, integer_motion)


def order_hint(unit: bytes, sequence: SequenceHeader) -> int | None:
    """Return the `order_hint` of a shown keyframe, or None for other frames, damaged frames and frames with a frame id."""
    bits = BitReader(unit)
    try:
        shows_existing, kind, is_shown = bits.u(1), bits.u(2), bits.u(1)
        if shows_existing or kind or not is_shown or sequence.has_frame_id:
            return None
        bits.u(1)
        tools = bits.u(1) if sequence.screen_content_tools == _SELECT else sequence.screen_content_tools
        if tools and sequence.integer_motion == _SELECT:
            bits.u(1)
        bits.u(1)
        return bits.u(sequence.order_hint_bits)
    except BitsEndError:
        return None
