"""The place of H.264 pictures in the order of presentation, the fields that they are, and their shape and colours.

The sources are ITU-T H.264, 7.3.2.1.1, 7.3.3, 8.2.1 and E.1.1.

Only picture order counts of type 0 are read, which encoders with B-pictures write. With the other types, pictures are taken to
be stored in the order in which they are shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from episeek_pipelines.video.bitstreams.bits import BitReader, BitsEndError, without_emulation_prevention
from episeek_pipelines.video.bitstreams.sample import Unit

_IDR = 5
_B_SLICE = 1
"""slice_type modulo 5 (7.4.3)."""

_EXTENDED_SHAPE = 255
"""aspect_ratio_idc of a shape of pixels that two numbers give (E.2.1)."""

CHROMA_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""profile_idc of sequence parameter sets that hold chroma_format_idc."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The fields of a slice header that tell where its picture belongs."""

    is_idr: bool
    is_b: bool
    is_field: bool
    is_bottom: bool
    order_count: int | None
    """pic_order_cnt_lsb; None with another type of picture order count."""
    order_count_bits: int


@dataclass(frozen=True, slots=True)
class SequenceFields:
    """The fields of a sequence parameter set up to the first that are optional."""

    has_colour_planes: bool
    frame_number_bits: int
    order_count_bits: int
    """0 with another type of picture order count."""
    is_frames_only: bool
    chroma_format: int
    bit_depths: tuple[int, int]
    """Bits of luma and chroma values."""
    size: tuple[int, int]
    """Width and height in macroblocks, less 1; the height in units of two for fields."""


def read_slice(nal: bytes, units: Mapping[tuple[str, int], tuple[Unit, ...]]) -> Slice | None:
    """Return the fields of a slice; None where its parameter sets are not known, or are damaged.

    Args:
        nal: The start of the NAL unit, 32 bytes or all of it.
        units: Parameter sets in force, by kind and id: of a picture parameter set also the sequence parameter set before it.
    """
    bits = BitReader(without_emulation_prevention(nal[1:]))
    is_idr = nal[0] & 31 == _IDR
    try:
        bits.ue()
        slice_type = bits.ue()
        sets = units.get(("pps", bits.ue()))
        if sets is None or sets[0].kind != "sps":
            return None
        sequence = read_sequence(sets[0].data)
        if sequence.has_colour_planes:
            bits.u(2)
        bits.u(sequence.frame_number_bits)
        is_field = not sequence.is_frames_only and bits.u(1) == 1
        is_bottom = is_field and bits.u(1) == 1
        if is_idr:
            bits.ue()
        count = bits.u(sequence.order_count_bits) if sequence.order_count_bits else None
    except BitsEndError:
        return None
    return Slice(is_idr, slice_type % 5 == _B_SLICE, is_field, is_bottom, count, sequence.order_count_bits)


def read_sequence(sps: bytes) -> SequenceFields:
    """Return the fields of a sequence parameter set.

    Raises:
        BitsEndError: It is damaged.
    """
    return _read_fields(BitReader(without_emulation_prevention(sps[1:])))


def read_picture_form(sps: bytes) -> tuple[int, ...] | None:
    """Return numbers that are the same for pictures of one shape and one meaning of their values; None for damaged sets.

    These are the sampling and depth of colours, the size in macroblocks, fields, cropping, the shape of a pixel, the range of
    values, and the colours.
    """
    bits = BitReader(without_emulation_prevention(sps[1:]))
    try:
        fields = _read_fields(bits)
        form = [fields.chroma_format, *fields.bit_depths, *fields.size, fields.is_frames_only]
        bits.u(1 if fields.is_frames_only else 2)
        form += [bits.ue() for _ in range(4)] if bits.u(1) else [0] * 4
        if not bits.u(1):
            # no VUI parameters
            return tuple(form)
        if bits.u(1):
            shape = bits.u(8)
            form += [1, shape, *([bits.u(16), bits.u(16)] if shape == _EXTENDED_SHAPE else [])]
        if bits.u(1):
            bits.u(1)
        if bits.u(1):
            form += [2, bits.u(3), bits.u(1)]
            form += [bits.u(8), bits.u(8), bits.u(8)] if bits.u(1) else []
    except BitsEndError:
        return None
    return tuple(form)


def _read_fields(bits: BitReader) -> SequenceFields:
    profile = bits.u(8)
    bits.u(16)
    bits.ue()
    has_colour_planes = False
    chroma_format, bit_depths = 1, (8, 8)
    if profile in CHROMA_PROFILES:
        chroma_format = bits.ue()
        has_colour_planes = chroma_format == 3 and bits.u(1) == 1
        bit_depths = (bits.ue() + 8, bits.ue() + 8)
        bits.u(1)
        if bits.u(1):
            for number in range(12 if chroma_format == 3 else 8):
                if bits.u(1):
                    _skip_scaling_list(bits, 16 if number < 6 else 64)
    frame_number_bits = bits.ue() + 4
    order_type = bits.ue()
    order_count_bits = 0
    if order_type == 0:
        order_count_bits = bits.ue() + 4
    elif order_type == 1:
        bits.u(1)
        bits.ue()
        bits.ue()
        for _ in range(bits.ue()):
            bits.ue()
    bits.ue()
    bits.u(1)
    size = (bits.ue(), bits.ue())
    is_frames_only = bits.u(1) == 1
    return SequenceFields(
        has_colour_planes, frame_number_bits, order_count_bits, is_frames_only, chroma_format, bit_depths, size
    )


def _skip_scaling_list(bits: BitReader, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.ue()
            delta = (code + 1) // 2 if code & 1 else -(code // 2)
            following = (last + delta) % 256
        last = following or last


def later_than(one: Slice, other: Slice) -> bool:
    """Return whether a picture is shown after another one, which is less than half of the range of counts away."""
    assert one.order_count is not None
    assert other.order_count is not None
    size = 1 << one.order_count_bits
    return 0 < (one.order_count - other.order_count) % size < size // 2
