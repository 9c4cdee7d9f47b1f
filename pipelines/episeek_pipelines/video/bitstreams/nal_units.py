"""Find the NAL units of samples, which follow length fields (ISO/IEC 14496-15, 5.3.2) or start codes (ITU-T H.264, Annex B)."""

from collections.abc import Iterator
from dataclasses import dataclass

from episeek_pipelines.video.bitstreams.sample import SampleBytes

MAX_HEADER_BYTES = 2
"""Size in bytes of the longest header of a NAL unit."""

_PEEK_BYTES = 24
"""Number of bytes of a unit that are read first: its length field and the start of a slice header."""

MAX_UNITS = 1 << 12
"""Greatest number of units of one sample that are inspected. No encoder writes as many."""


@dataclass(frozen=True, slots=True)
class NalKinds:
    """The position of nal_unit_type in the header of a NAL unit, and the types that are inspected."""

    header_byte: int
    """Index of the header byte that contains the type."""
    shift: int
    mask: int
    units: frozenset[int]
    """Types of units that may stay in force after their sample."""
    pictures: range
    """Types of units that hold parts of pictures."""

    def of(self, header: bytes) -> int:
        """Return the type of the unit that begins with `header`.

        A unit without a whole header gets the greatest type number, which no standard defines.
        """
        return header[self.header_byte] >> self.shift & self.mask if len(header) > self.header_byte else self.mask


@dataclass(frozen=True, slots=True)
class NalUnit:
    """A NAL unit in a sample: `[start, stop)`, in bytes from the start of the sample, without length field or start code."""

    sample: SampleBytes
    start: int
    stop: int

    def head(self, count: int) -> bytes:
        """Return the first `count` bytes of the unit, or all bytes of a shorter unit."""
        return self.sample.read(self.start, min(self.start + count, self.stop))

    def data(self) -> bytes:
        """Return all bytes of the unit."""
        return self.sample.read(self.start, self.stop)


def nal_units(sample: SampleBytes, length_bytes: int) -> Iterator[NalUnit]:
    """Yield the NAL units of a sample, in order. A unit that reaches past the end of the sample is cut there.

    Args:
        sample: The sample.
        length_bytes: Size of a length field in bytes, 1 to 4; 0 if units follow start codes.

    Raises:
        MissingBytesError: More of the sample has to be read.
    """
    if not length_bytes:
        yield from _between_start_codes(sample)
        return
    position = 0
    for _ in range(MAX_UNITS):
        if position + length_bytes >= sample.size:
            return
        head = sample.read(position, position + _PEEK_BYTES)
        start = position + length_bytes
        stop = min(start + int.from_bytes(head[:length_bytes], "big"), sample.size)
        if stop > start:
            yield NalUnit(sample, start, stop)
        position = stop


def _between_start_codes(sample: SampleBytes) -> Iterator[NalUnit]:
    data = sample.read(0, sample.size)
    code = data.find(b"\0\0\1")
    while code >= 0:
        start = code + 3
        code = data.find(b"\0\0\1", start)
        stop = sample.size if code < 0 else code
        # zeros before a start code are part of the start code
        while stop > start and not data[stop - 1]:
            stop -= 1
        if stop > start:
            yield NalUnit(sample, start, stop)


def framed(units: list[bytes], length_bytes: int) -> bytes:
    """Return NAL units joined as in a sample, each after its length field or start code."""
    if not length_bytes:
        return b"".join(b"\0\0\0\1" + unit for unit in units)
    return b"".join(len(unit).to_bytes(length_bytes, "big") + unit for unit in units)
