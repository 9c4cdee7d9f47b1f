"""Read AV1 samples: shown key frames and sequence headers.

Decoding starts at a temporal unit whose first frame is a shown key frame (AV1 specification, 7.6.1). It does not start at a hidden
key frame, which a later frame shows: the frames between the two may refer to frames before the key frame. Decoders take the
sequence header only from the samples, because FFmpeg does not pass the sequence header in av1C to libdav1d.
"""

from collections.abc import Iterator

from episeek_pipelines.video.bitstreams.bits import BitReader
from episeek_pipelines.video.bitstreams.sample import PlainUnits, SampleBytes, SampleContent, Unit

SEQUENCE_HEADER, FRAME_HEADER, FRAME = 1, 3, 6
_KEY_FRAME = 0
_CONFIGURATION_FIELDS_BYTES = 4
"""Bytes of av1C before its open bitstream units (AV1-ISOBMFF, 2.3)."""

_MAX_UNITS = 1 << 10


class Av1(PlainUnits):
    """The `Codec` for AV1 samples of one sample entry.

    The sync flags in the file's header are trusted if av1C contains a sequence header, which encoders and muxers of recordings put
    there. The standard demands that a sync sample is a shown key frame with its own sequence header (AV1-ISOBMFF, 2.4).

    Args:
        configuration: The payload of the entry's av1C box; empty if the entry has none.
    """

    def __init__(self, configuration: bytes = b"") -> None:
        self.is_header_trusted = len(configuration) > _CONFIGURATION_FIELDS_BYTES

    def inspect(self, sample: SampleBytes) -> SampleContent:
        """Return the sequence headers of a sample, and whether decoding can start at it. See `Codec.inspect`."""
        before: list[Unit] = []
        is_start: bool | None = None
        for kind, start, payload, stop in open_bitstream_units(sample):
            if kind == SEQUENCE_HEADER:
                before.append(Unit("sequence header", 0, sample.read(start, stop)))
            elif kind in (FRAME_HEADER, FRAME):
                # show_existing_frame, frame_type and show_frame; the header of a still picture lacks these fields
                # (AV1 specification, 5.9.2)
                is_still = bool(before) and _is_still(before[-1].data)
                bits = BitReader(sample.read(payload, payload + 1) or b"\xff")
                is_start = is_still or (not bits.u(1) and bits.u(2) == _KEY_FRAME and bits.u(1) == 1)
                break
        return SampleContent(bool(is_start), tuple(before))


def open_bitstream_units(sample: SampleBytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield the type, start, payload start and end of each open bitstream unit of a sample (AV1 specification, 5.3).

    Positions are in bytes from the start of the sample.
    """
    position = 0
    for _ in range(_MAX_UNITS):
        if position >= sample.size:
            return
        head = sample.read(position, position + 16)
        has_extension, has_size = head[0] >> 2 & 1, head[0] >> 1 & 1
        payload = position + 1 + has_extension
        stop = sample.size
        if has_size:
            size, length = _leb128(head[1 + has_extension :])
            payload += length
            stop = min(payload + size, sample.size)
        yield head[0] >> 3 & 15, position, payload, stop
        position = stop


def _leb128(data: bytes) -> tuple[int, int]:
    """Return the leb128 number at the start of some bytes, and its size in bytes (AV1 specification, 4.10.5)."""
    value = 0
    for position, byte in enumerate(data[:8]):
        value |= (byte & 127) << 7 * position
        if not byte & 128:
            return value, position + 1
    return value, len(data[:8])


def _is_still(unit: bytes) -> bool:
    """Return the flag reduced_still_picture_header of a sequence header unit (AV1 specification, 5.5.1)."""
    position = 1 + (unit[0] >> 2 & 1)
    if unit[0] >> 1 & 1:
        position += _leb128(unit[position:])[1]
    return len(unit) > position and bool(unit[position] >> 3 & 1)
