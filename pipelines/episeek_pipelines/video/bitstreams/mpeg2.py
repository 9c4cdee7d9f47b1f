"""Read MPEG-1 and MPEG-2 samples (ISO/IEC 11172-2 and 13818-2): I-pictures, sequence headers and quantiser matrices."""

from episeek_pipelines.video.bitstreams import start_codes
from episeek_pipelines.video.bitstreams.sample import PlainUnits, SampleBytes, SampleContent, State, Unit

_PICTURE, _SEQUENCE, _EXTENSION, _GROUP = 0x00, 0xB3, 0xB5, 0xB8
_SEQUENCE_EXTENSIONS, _MATRICES = (1, 2, 5), 3
_INTRA, _BIDIRECTIONAL = 1, 3


class Mpeg2(PlainUnits):
    """The `Codec` for MPEG-1 and MPEG-2 samples of one sample entry.

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
        after = _units([(code, data) for code, data in start_codes.split(picture_header(sample)) if code == _EXTENSION])
        return SampleContent(_coding_type(picture) == _INTRA, _units(found), after if picture else ())

    def is_b_picture(self, sample: SampleBytes) -> bool:
        """Return whether the sample's picture is a B-picture, which is shown before a picture that is stored earlier.

        Raises:
            MissingBytesError: More of the sample has to be read.
        """
        found = list(start_codes.parts(sample, until=_PICTURE))
        return bool(found) and found[-1][0] == _PICTURE and _coding_type(found[-1][1]) == _BIDIRECTIONAL

    def apply(self, state: State, unit: Unit) -> None:
        """Add `unit` to `state`, the headers and matrices in force.

        A sequence header also removes the matrices of earlier extensions (ISO/IEC 13818-2, 6.3.11).
        """
        if unit.kind == "sequence":
            state.clear()
        super().apply(state, unit)


def _coding_type(picture: bytes) -> int | None:
    """Return picture_coding_type (ISO/IEC 13818-2, 6.2.3), or None for an incomplete header."""
    return picture[5] >> 3 & 7 if len(picture) > 5 else None


def picture_header(sample: SampleBytes) -> bytes:
    """Return the bytes after the start code of a sample's first picture, up to byte 1024 of the sample; empty without a picture.

    These bytes contain the picture's header and extensions.
    """
    head = sample.read(0, min(sample.size, 1 << 10))
    start = head.find(b"\0\0\1\0")
    return head[start + 4 :] if start >= 0 else b""


def _units(parts: list[tuple[int, bytes]]) -> tuple[Unit, ...]:
    """Return the sequence header with its extensions as one unit, and each quantiser matrix extension as a separate unit."""
    units: list[Unit] = []
    header = b""
    for code, data in parts:
        extension = data[4] >> 4 if code == _EXTENSION and len(data) > 4 else 0
        if code == _SEQUENCE:
            header = data
        elif extension in _SEQUENCE_EXTENSIONS and header:
            header += data
        elif extension == _MATRICES and len(data) > 4:
            units.append(Unit("matrices", data[4] & 15, data))
    return (Unit("sequence", 0, header), *units) if header else tuple(units)
