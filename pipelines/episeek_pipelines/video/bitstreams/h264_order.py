"""Read the display order of pictures from H.264 slice headers, and whether they are fields (ITU-T H.264, 7.3.2.1.1, 7.3.3, 8.2.1).

Only picture order counts of type 0 are read, which encoders with B-pictures write. Pictures with another type of picture order
count are assumed to be stored in the order in which they are shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from episeek_pipelines.video.bitstreams.bits import BitReader, BitsEndError, without_emulation_prevention
from episeek_pipelines.video.bitstreams.sample import Unit

_IDR = 5
_B_SLICE = 1
"""Value of slice_type modulo 5 for B slices (ITU-T H.264, 7.4.3)."""

CHROMA_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""Values of profile_idc in sequence parameter sets that contain chroma_format_idc (ITU-T H.264, 7.3.2.1.1)."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The fields of a slice header that give the display order of its picture, and whether the picture is a field."""

    is_idr: bool
    is_b: bool
    is_field: bool
    is_bottom: bool
    order_count: int | None
    """pic_order_cnt_lsb; None if the type of picture order count is not 0."""
    order_count_bits: int


@dataclass(frozen=True, slots=True)
class SequenceFields:
    """The fields of a sequence parameter set that slice headers depend on."""

    has_colour_planes: bool
    frame_number_bits: int
    order_count_bits: int
    """Bits of pic_order_cnt_lsb; 0 if the type of picture order count is not 0."""
    is_frames_only: bool


def read_slice(nal: bytes, units: Mapping[tuple[str, int], tuple[Unit, ...]]) -> Slice | None:
    """Return the fields of a slice header, or None if its parameter sets are missing or damaged.

    Args:
        nal: The first 32 bytes of the NAL unit, or all bytes of a shorter one.
        units: Parameter sets in force, by kind and id. The tuple of a picture parameter set begins with the sequence parameter set
            that it refers to.
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
        BitsEndError: The parameter set is cut short.
    """
    bits = BitReader(without_emulation_prevention(sps[1:]))
    profile = bits.u(8)
    bits.u(16)
    bits.ue()
    has_colour_planes = False
    if profile in CHROMA_PROFILES:
        chroma_format = bits.ue()
        has_colour_planes = chroma_format == 3 and bits.u(1) == 1
        bits.ue()
        bits.ue()
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
    bits.ue()
    bits.ue()
    return SequenceFields(has_colour_planes, frame_number_bits, order_count_bits, bits.u(1) == 1)


def _skip_scaling_list(bits: BitReader, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.ue()
            delta = (code + 1) // 2 if code & 1 else -(code // 2)
            following = (last + delta) % 256
        last = following or last


def later_than(one: Slice, other: Slice) -> bool:
    """Return whether `one` is shown after `other`.

    Picture order counts wrap around, so the two counts have to be less than half of their range apart.
    """
    assert one.order_count is not None
    assert other.order_count is not None
    size = 1 << one.order_count_bits
    return 0 < (one.order_count - other.order_count) % size < size // 2
