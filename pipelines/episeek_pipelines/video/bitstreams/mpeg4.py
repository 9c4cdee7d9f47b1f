"""Read MPEG-4 part 2 samples (ISO/IEC 14496-2): I-VOPs, headers in samples, and the encoder's name.

Decoding starts at an I-VOP. Decoders use the headers in the sample entry (esds) and in samples. Decoders also have special rules
for the streams of some encoders, and recognise these encoders from the user data beside the headers.
"""

import re

from episeek_pipelines.video.bitstreams import start_codes
from episeek_pipelines.video.bitstreams.sample import PlainUnits, SampleBytes, SampleContent, Unit

_SEQUENCE, _USER_DATA, _GROUP, _VISUAL_OBJECT, _PICTURE = 0xB0, 0xB2, 0xB3, 0xB5, 0xB6
_LAYERS = range(0x20, 0x30)
_INTRA, _BIDIRECTIONAL = 0, 2
_ENCODERS = (re.compile(rb"DivX"), re.compile(rb"Lavc|FFmp|ffmp"), re.compile(rb"XviD"))


class Mpeg4(PlainUnits):
    """The `Codec` for MPEG-4 part 2 samples of one sample entry.

    Args:
        configuration: The decoder specific info of the entry's esds box; empty if the entry has none.
    """

    def __init__(self, configuration: bytes) -> None:
        self._configuration = configuration

    def entry_units(self) -> tuple[Unit, ...]:
        """Return the headers in the entry's esds box."""
        return _units(list(start_codes.split(self._configuration)))

    def inspect(self, sample: SampleBytes) -> SampleContent:
        """Return the headers of a sample, and whether decoding can start at it. See `Codec.inspect`."""
        found = list(start_codes.parts(sample, until=_PICTURE))
        picture = found.pop()[1] if found and found[-1][0] == _PICTURE else b""
        return SampleContent(_coding_type(picture) == _INTRA, _units(found))

    def is_b_picture(self, sample: SampleBytes) -> bool:
        """Return whether the sample's picture is a B-VOP, which is shown before a picture that is stored earlier.

        Raises:
            MissingBytesError: More of the sample has to be read.
        """
        found = list(start_codes.parts(sample, until=_PICTURE))
        return bool(found) and found[-1][0] == _PICTURE and _coding_type(found[-1][1]) == _BIDIRECTIONAL


def _coding_type(picture: bytes) -> int | None:
    """Return vop_coding_type (ISO/IEC 14496-2, 6.2.5), or None for an incomplete header."""
    return picture[4] >> 6 if len(picture) > 4 else None


def _units(parts: list[tuple[int, bytes]]) -> tuple[Unit, ...]:
    """Return the headers as one unit, and the user data of each known encoder as a separate unit."""
    units = []
    header = b""
    for code, data in parts:
        if code == _USER_DATA:
            units += [Unit("user data", number, data) for number, name in enumerate(_ENCODERS) if name.search(data)]
        elif code in (_SEQUENCE, _VISUAL_OBJECT) or code < _LAYERS.stop:
            header += data
        if code in _LAYERS:
            units.append(Unit("headers", 0, header))
            header = b""
    return tuple(units)
