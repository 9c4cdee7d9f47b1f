"""Read HEVC samples (ITU-T H.265): IRAP pictures, skipped leading pictures, and parameter sets in samples.

Decoding starts at IRAP pictures: IDR, BLA and CRA (7.4.2.2). It does not start at the recovery points of intra refresh. Decoders
drop picture parameter sets when the sequence parameter set that they refer to changes, and sequence parameter sets when their video
parameter set changes.
"""

from typing import ClassVar

from episeek_pipelines.video.bitstreams.bits import BitReader, BitsEndError, without_emulation_prevention
from episeek_pipelines.video.bitstreams.nal_units import NalKinds
from episeek_pipelines.video.bitstreams.parameter_sets import LayeredSets
from episeek_pipelines.video.bitstreams.sample import State, Unit

_IRAP = range(16, 24)
_RESETS = range(16, 21)
"""NAL unit types of BLA and IDR pictures, after which decoders need no earlier picture (ITU-T H.265, 8.1.3)."""
_RASL = (8, 9)
_VPS, _SPS, _PPS = 32, 33, 34
_KINDS = {_VPS: "vps", _SPS: "sps", _PPS: "pps"}
_LENGTH_FIELD = 21
"""Offset of a byte in hvcC. Its lowest two bits are the size in bytes of a length field, minus 1 (ISO/IEC 14496-15, 8.3.3.1)."""


class Hevc(LayeredSets):
    """The `Codec` for HEVC samples of one sample entry.

    Args:
        configuration: The payload of the entry's hvcC box; None if samples have start codes.
        entry_type: The type of the sample entry. If it is empty, samples may contain parameter sets.
    """

    nal_kinds = NalKinds(0, 1, 63, frozenset(_KINDS), range(32))
    starts = _IRAP
    resets = _RESETS
    skipped = _RASL
    dependents: ClassVar = {"vps": "sps", "sps": "pps"}

    def __init__(self, configuration: bytes | None, entry_type: str = "") -> None:
        length_bytes = 0 if configuration is None else (configuration[_LENGTH_FIELD] & 3) + 1
        super().__init__(configuration, length_bytes, entry_type)

    def entry_units(self) -> tuple[Unit, ...]:
        """Return the parameter sets of hvcC (ISO/IEC 14496-15, 8.3.3.1)."""
        record = self._configuration
        position = _LENGTH_FIELD + 2
        found = []
        for _ in range(record[_LENGTH_FIELD + 1] if len(record) > _LENGTH_FIELD + 1 else 0):
            count = int.from_bytes(record[position + 1 : position + 3], "big")
            position += 3
            for _ in range(count):
                size = int.from_bytes(record[position : position + 2], "big")
                found.append(record[position + 2 : position + 2 + size])
                position += 2 + size
        return tuple(unit for data in found if len(data) > 2 and (unit := self.unit_of(data)))

    def apply(self, state: State, unit: Unit) -> None:
        """Add the parameter set `unit` to `state`, the parameter sets in force.

        If `unit` replaces a different set, the sets that refer to the replaced set are dropped. A `unit` that refers to a missing
        set is ignored.
        """
        known = state.get((unit.kind, unit.number))
        if known is not None and known[0].data == unit.data:
            return
        if known is not None:
            self.drop_dependents(state, unit)
        base = {"sps": "vps", "pps": "sps"}.get(unit.kind)
        # a decoder reads a set only if the set to which it refers is in force
        if base is not None and (base, unit.refers_to) not in state:
            return
        state[unit.kind, unit.number] = (unit,)

    @staticmethod
    def unit_of(nal: bytes) -> Unit | None:
        """Return the parameter set in a NAL unit, or None for a NAL unit of another type and for a damaged one.

        The syntax is that of ITU-T H.265, 7.3.2.
        """
        kind = _KINDS.get(nal[0] >> 1 & 63)
        payload = without_emulation_prevention(nal[2:256])
        bits = BitReader(payload)
        try:
            if kind == "vps":
                return Unit(kind, bits.u(4), nal)
            if kind == "sps":
                video_set = bits.u(4)
                layers = bits.u(3)
                bits.u(1)
                _skip_profile_tier_level(bits, layers)
                return Unit(kind, bits.ue(), nal, video_set)
            if kind == "pps":
                number = bits.ue()
                return Unit(kind, number, nal, bits.ue())
        except BitsEndError:
            pass
        return None


def _skip_profile_tier_level(bits: BitReader, layers: int) -> None:
    """Skip profile_tier_level (ITU-T H.265, 7.3.3), which describes `layers` sub-layers besides the first."""
    bits.u(96)
    if not layers:
        return
    present = [(bits.u(1), bits.u(1)) for _ in range(layers)]
    bits.u(2 * (8 - layers))
    for has_profile, has_level in present:
        bits.u(88 * has_profile + 8 * has_level)
