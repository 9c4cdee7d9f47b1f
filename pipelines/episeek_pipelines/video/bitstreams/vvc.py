"""Read VVC samples (ITU-T H.266): IDR and CRA pictures, skipped leading pictures, and parameter sets in samples.

Decoding starts at IDR and CRA pictures (7.4.2.2), not at gradual refresh (GDR). Adaptation parameter sets count as parameter sets.
"""

from collections.abc import Iterator
from typing import ClassVar

from episeek_pipelines.video.bitstreams.bits import BitReader, BitsEndError, without_emulation_prevention
from episeek_pipelines.video.bitstreams.nal_units import NalKinds
from episeek_pipelines.video.bitstreams.parameter_sets import LayeredSets
from episeek_pipelines.video.bitstreams.sample import State, Unit

_STARTS = (7, 8, 9)
_RESETS = (7, 8)
"""NAL unit types of IDR pictures."""
_RASL = (3,)
_OPERATING_POINTS, _DECODING_CAPABILITY, _VPS, _SPS, _PPS = 12, 13, 14, 15, 16
_PREFIX_APS, _SUFFIX_APS = 17, 18
_KINDS = {_VPS: "vps", _SPS: "sps", _PPS: "pps", _PREFIX_APS: "aps", _SUFFIX_APS: "aps"}


class Vvc(LayeredSets):
    """The `Codec` for VVC samples of one sample entry.

    Args:
        configuration: The payload of the entry's vvcC box; None if samples have start codes.
        entry_type: The type of the sample entry. If it is empty, samples may contain parameter sets.
    """

    nal_kinds = NalKinds(1, 3, 31, frozenset(_KINDS), range(12))
    starts = _STARTS
    resets = _RESETS
    skipped = _RASL
    dependents: ClassVar = {"sps": "pps"}

    def __init__(self, configuration: bytes | None, entry_type: str = "") -> None:
        length_bytes = 0 if configuration is None else (configuration[4] >> 1 & 3) + 1
        super().__init__(configuration, length_bytes, entry_type)

    def entry_units(self) -> tuple[Unit, ...]:
        """Return the parameter sets of vvcC (ISO/IEC 14496-15, 11.2.4.2)."""
        try:
            found = list(_configuration_units(self._configuration))
        except IndexError:
            return ()
        return tuple(unit for data in found if len(data) > 2 and (unit := self.unit_of(data)))

    def apply(self, state: State, unit: Unit) -> None:
        """Add `unit` to `state`, the parameter sets in force.

        Picture parameter sets that refer to a changed sequence parameter set are dropped.
        """
        known = state.get((unit.kind, unit.number))
        if known is not None and known[0].data != unit.data:
            self.drop_dependents(state, unit)
        state[unit.kind, unit.number] = (unit,)

    @staticmethod
    def unit_of(nal: bytes) -> Unit | None:
        """Return the parameter set in a NAL unit, or None for a NAL unit of another type and for a damaged one.

        The syntax is defined in ITU-T H.266, 7.3.2.
        """
        kind = _KINDS.get(nal[1] >> 3) if len(nal) > 1 else None
        bits = BitReader(without_emulation_prevention(nal[2:10]))
        try:
            if kind in ("vps", "sps"):
                return Unit(kind, bits.u(4), nal)
            if kind == "pps":
                number = bits.u(6)
                return Unit(kind, number, nal, bits.u(4))
            if kind == "aps":
                # each type of adaptation parameter set has its own ids
                kind_of_set = bits.u(3)
                # the set is put before the first picture of a sample, where it has to be a prefix set
                prefix = bytes((nal[0], _PREFIX_APS << 3 | nal[1] & 7)) + nal[2:]
                return Unit(kind, 32 * kind_of_set + bits.u(5), prefix)
        except BitsEndError:
            pass
        return None


def _configuration_units(record: bytes) -> Iterator[bytes]:
    """Yield the NAL units in the payload of a vvcC box. Raises IndexError if the payload is too short."""
    position = 5
    if record[4] & 1:
        layers = record[6] >> 4 & 7
        position = 8
        constraint_bytes = record[position] & 63
        position += 3 + constraint_bytes
        if layers > 1:
            present = bin(record[position] >> (9 - layers)).count("1")
            position += 1 + present
        position += 1 + 4 * record[position]
        position += 6
    arrays = record[position]
    position += 1
    for _ in range(arrays):
        kind = record[position] & 31
        position += 1
        count = 1
        if kind not in (_OPERATING_POINTS, _DECODING_CAPABILITY):
            count = int.from_bytes(record[position : position + 2], "big")
            position += 2
        for _ in range(count):
            size = int.from_bytes(record[position : position + 2], "big")
            yield record[position + 2 : position + 2 + size]
            position += 2 + size
