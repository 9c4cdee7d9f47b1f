"""VVC samples (ITU-T H.266): IDR and CRA pictures, skipped leading pictures, and parameter sets in band.

Decoding starts at IDR and CRA pictures (7.4.2.2), and not at gradual refresh (GDR). Adaptation parameter sets are parameter sets.
"""

from collections.abc import Iterator, Mapping

from episeek_pipelines.video.bitstreams.bits import BitReader, BitsEndError, without_emulation_prevention
from episeek_pipelines.video.bitstreams.hevc import drop_dependents
from episeek_pipelines.video.bitstreams.nal_units import framed, nal_units
from episeek_pipelines.video.bitstreams.sample import SampleBytes, SampleContent, State, Unit

_FIRST_NON_VCL = 12
_STARTS = (7, 8, 9)
_RESETS = (7, 8)
_RASL = 3
_OPERATING_POINTS, _DECODING_CAPABILITY, _VPS, _SPS, _PPS, _APS = 12, 13, 14, 15, 16, 17
_KINDS = {_VPS: "vps", _SPS: "sps", _PPS: "pps", _APS: "aps"}
_DEPENDENTS = {"sps": "pps"}


class Vvc:
    """The rules of VVC for samples of one sample entry.

    Args:
        configuration: The payload of its vvcC box; None where samples have start codes.
    """

    starts_reset = False
    is_header_trusted = False
    damage_without_units = ""

    def __init__(self, configuration: bytes | None) -> None:
        self._length_bytes = 0 if configuration is None else (configuration[4] >> 1 & 3) + 1
        self._configuration = configuration

    def entry_units(self) -> tuple[Unit, ...]:
        """Return the parameter sets of vvcC (ISO/IEC 14496-15, 11.2.4.2)."""
        try:
            found = list(_configuration_units(self._configuration or b""))
        except IndexError:
            return ()
        return tuple(unit for data in found if len(data) > 2 and (unit := _unit(data)))

    def inspect(self, sample: SampleBytes) -> SampleContent:
        """Return what is found in a sample. See `Codec.inspect`."""
        before: list[Unit] = []
        after: list[Unit] = []
        picture: int | None = None
        for nal in nal_units(sample, self._length_bytes):
            head = nal.head(2)
            kind = head[1] >> 3 if len(head) > 1 else _FIRST_NON_VCL
            if kind in _KINDS:
                unit = _unit(nal.data())
                if unit is not None:
                    (before if picture is None else after).append(unit)
            elif kind < _FIRST_NON_VCL and picture is None:
                picture = kind
        is_skipped, is_reset = picture == _RASL, picture in _RESETS
        return SampleContent(picture in _STARTS, tuple(before), tuple(after), is_skipped, is_reset=is_reset)

    def apply(self, state: State, unit: Unit) -> None:
        """Put a unit in force; a sequence parameter set with other contents than before drops those that refer to it."""
        known = state.get((unit.kind, unit.number))
        if known is not None and known[0].data != unit.data:
            drop_dependents(state, unit, _DEPENDENTS)
        state[unit.kind, unit.number] = (unit,)

    def relevant(self, state: State) -> Mapping[tuple[str, int], tuple[Unit, ...]]:
        """Return the state: all of it matters."""
        return state

    def is_portable(self, unit: Unit) -> bool:
        """Return that the unit can be put before any sample."""
        return True

    def encode(self, units: tuple[Unit, ...]) -> bytes:
        """Return units as they lie in samples."""
        return framed([unit.data for unit in units], self._length_bytes)


def _configuration_units(record: bytes) -> Iterator[bytes]:
    """Return the NAL units of vvcC. Raises IndexError where it is too short."""
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


def _unit(nal: bytes) -> Unit | None:
    """Return the unit of a parameter set (7.3.2); None for another NAL unit."""
    kind = _KINDS.get(nal[1] >> 3)
    bits = BitReader(without_emulation_prevention(nal[2:10]))
    try:
        if kind in ("vps", "sps"):
            return Unit(kind, bits.u(4), nal)
        if kind == "pps":
            number = bits.u(6)
            return Unit(kind, number, nal, bits.u(4))
        if kind == "aps":
            # ids are counted for each type
            kind_of_set = bits.u(3)
            return Unit(kind, 32 * kind_of_set + bits.u(5), nal)
    except BitsEndError:
        pass
    return None
