"""Read H.264 samples (ITU-T H.264): IDR pictures, recovery points, parameter sets in samples, and the encoder's version.

Decoding starts at an IDR picture, and at an intra picture with a recovery point from which all pictures are exact at once: its
`recovery_frame_cnt` is 0 and its `exact_match_flag` is 1 (D.2.8). Decoding does not start at the gradual recovery points of intra
refresh, nor at an intra picture without a recovery point, since later pictures may refer to pictures before it.

FFmpeg has special rules for 4:4:4 streams of x264 before build 151, and for all streams of x264 before build 34. It takes the build
from a message that x264 writes into the first sample of a stream.
"""

import re
from collections.abc import Iterator, Mapping

from episeek_pipelines.video.bitstreams.bits import (
    BitReader,
    BitsEndError,
    with_emulation_prevention,
    without_emulation_prevention,
)
from episeek_pipelines.video.bitstreams.h264_order import CHROMA_PROFILES
from episeek_pipelines.video.bitstreams.nal_units import NalKinds, NalUnit, nal_units
from episeek_pipelines.video.bitstreams.parameter_sets import ParameterSets
from episeek_pipelines.video.bitstreams.sample import SampleBytes, SampleContent, State, Unit

_SLICE, _IDR, _SEI, _SPS, _PPS = 1, 5, 6, 7, 8
_PICTURES = range(_SLICE, _IDR + 1)
_USER_DATA, _RECOVERY_POINT = 5, 6
_I_SLICES = (2, 4)
"""Values of slice_type modulo 5 for I and SI slices (ITU-T H.264, 7.4.3)."""

_X264_UUID = bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef")
_X264_BUILD = re.compile(rb"x264 - core (\d+)")
_FIRST_USUAL_BUILD, _FIRST_USUAL_444_BUILD = 34, 151

_MAX_SEI_BYTES = 1 << 16
"""SEI units of more than this many bytes are not read."""


class H264(ParameterSets):
    """The `Codec` for H.264 samples of one sample entry.

    Args:
        configuration: The payload of the entry's avcC box; None if samples have start codes.
        entry_type: The type of the sample entry. If it is empty, samples may contain parameter sets.
    """

    nal_kinds = NalKinds(0, 0, 31, frozenset({_SEI, _SPS, _PPS}), _PICTURES)

    def __init__(self, configuration: bytes | None, entry_type: str = "") -> None:
        length_bytes = 0 if configuration is None else (configuration[4] & 3) + 1
        super().__init__(configuration, length_bytes, entry_type)

    def entry_units(self) -> tuple[Unit, ...]:
        """Return the parameter sets of avcC (ISO/IEC 14496-15, 5.3.3.1)."""
        record = self._configuration
        found = []
        position = 5
        for mask in (0x1F, 0xFF):
            if position >= len(record):
                break
            count = record[position] & mask
            position += 1
            for _ in range(count):
                size = int.from_bytes(record[position : position + 2], "big")
                found.append(record[position + 2 : position + 2 + size])
                position += 2 + size
        return tuple(unit for data in found if data and (unit := _unit(data)))

    def inspect(self, sample: SampleBytes) -> SampleContent:
        """Return the parameter sets of a sample, and whether decoding can start at it. See `Codec.inspect`."""
        before: list[Unit] = []
        after: list[Unit] = []
        messages: list[NalUnit] = []
        pictures: list[NalUnit] = []
        for nal in nal_units(sample, self.length_bytes):
            kind = self.nal_kinds.of(nal.head(1))
            if kind in (_SPS, _PPS):
                unit = _unit(nal.data())
                if unit is not None:
                    (after if pictures else before).append(unit)
            elif kind == _SEI and not pictures:
                messages.append(nal)
            elif kind in _PICTURES:
                pictures.append(nal)
        found = [
            message for nal in messages if nal.stop - nal.start <= _MAX_SEI_BYTES for message in _messages(nal.data())
        ]
        before += [
            _version(payload) for kind, payload in found if kind == _USER_DATA and _X264_BUILD.search(payload[:64])
        ]
        is_idr = bool(pictures) and pictures[0].head(1)[0] & 31 == _IDR
        is_start = is_idr or (bool(pictures) and _is_exact_recovery(pictures, found))
        return SampleContent(is_start, tuple(before), tuple(after), is_clean_start=is_idr, is_reset=is_idr)

    def slice_heads(self, sample: SampleBytes) -> list[bytes]:
        """Return the first bytes of each slice of a sample.

        Raises:
            MissingBytesError: More of the sample has to be read.
        """
        return [nal.head(32) for nal in nal_units(sample, self.length_bytes) if nal.head(1)[0] & 31 in (_SLICE, _IDR)]

    def apply(self, state: State, unit: Unit) -> None:
        """Add `unit` to `state`, the units in force.

        A picture parameter set is added together with the sequence parameter set to which it refers. If that sequence parameter set
        is missing, the picture parameter set is ignored.
        """
        if unit.kind == "pps":
            bound = state.get(("sps", unit.refers_to))
            if bound is None:
                return
            state["pps", unit.number] = (bound[-1], unit)
        else:
            state[unit.kind, unit.number] = (unit,)

    def relevant(self, state: State) -> Mapping[tuple[str, int], tuple[Unit, ...]]:
        """Return the units in force. The encoder's version is left out if decoders have no special rules for this version."""
        if ("version", 0) not in state:
            return state
        build = state["version", 0][0].refers_to
        is_444 = any(_is_444(units[0].data) for (kind, _), units in state.items() if kind == "sps")
        if build < _FIRST_USUAL_BUILD or (is_444 and build < _FIRST_USUAL_444_BUILD):
            return state
        return {key: units for key, units in state.items() if key != ("version", 0)}

    def is_portable(self, unit: Unit) -> bool:
        """Return True for a parameter set, and False for the encoder's version, which has no effect in another sample."""
        return unit.kind != "version"


def _is_exact_recovery(pictures: list[NalUnit], messages: list[tuple[int, bytes]]) -> bool:
    """Return whether a picture is an intra picture with a recovery point from which all pictures are exact at once.

    The result is False for an IDR picture.
    """
    points = [payload for number, payload in messages if number == _RECOVERY_POINT]
    is_slice = pictures[0].head(1)[0] & 31 == _SLICE
    return is_slice and bool(points) and all(map(_is_exact_at_once, points)) and _is_intra(pictures)


def _is_exact_at_once(recovery_point: bytes) -> bool:
    """Return whether all pictures from a recovery point on are exact, given the recovery point SEI payload (ITU-T H.264, D.1.8)."""
    bits = BitReader(recovery_point)
    try:
        return bits.ue() == 0 and bits.u(1) == 1
    except BitsEndError:
        return False


def _is_intra(pictures: list[NalUnit]) -> bool:
    """Return whether all slices of the first picture are intra.

    If the sample holds two fields, only the first field is checked. The second field may refer to the first (ITU-T H.264, 7.3.3).
    """
    for position, nal in enumerate(pictures):
        bits = BitReader(without_emulation_prevention(nal.head(16)[1:]))
        try:
            first_macroblock, slice_type = bits.ue(), bits.ue()
        except BitsEndError:
            return False
        if position and not first_macroblock:
            return True
        if slice_type % 5 not in _I_SLICES:
            return False
        # 5 to 9: all slices of the picture are of this type
        if slice_type >= 5:
            return True
    return True


def _messages(nal: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the type and the payload of each message of an SEI unit (ITU-T H.264, 7.3.2.3.1)."""
    data = without_emulation_prevention(nal[1:])
    position = 0
    while position + 2 < len(data):
        numbers = []
        for _ in ("type", "size"):
            number = 0
            while position < len(data) and data[position] == 0xFF:
                number, position = number + 255, position + 1
            if position >= len(data):
                return
            numbers.append(number + data[position])
            position += 1
        kind, size = numbers
        yield kind, data[position : position + size]
        position += size


def _version(payload: bytes) -> Unit:
    """Return a unit with the version of x264 from a message, and without the rest of the message."""
    found = _X264_BUILD.search(payload[:64])
    build = int(found[1]) if found else 0
    text = _X264_UUID + b"x264 - core %d" % build
    message = bytes((_USER_DATA, len(text))) + text + b"\x80"
    return Unit("version", 0, bytes([_SEI]) + with_emulation_prevention(message), build)


def _unit(nal: bytes) -> Unit | None:
    """Return the parameter set in a NAL unit, or None for a NAL unit of another type and for a damaged one."""
    kind = nal[0] & 31
    bits = BitReader(without_emulation_prevention(nal[1:64]))
    try:
        if kind == _SPS:
            bits.u(24)
            return Unit("sps", bits.ue(), nal)
        if kind == _PPS:
            number = bits.ue()
            return Unit("pps", number, nal, bits.ue())
    except BitsEndError:
        pass
    return None


def _is_444(sps: bytes) -> bool:
    bits = BitReader(without_emulation_prevention(sps[1:64]))
    try:
        profile = bits.u(8)
        bits.u(16)
        bits.ue()
        return profile in CHROMA_PROFILES and bits.ue() == 3
    except BitsEndError:
        return False
