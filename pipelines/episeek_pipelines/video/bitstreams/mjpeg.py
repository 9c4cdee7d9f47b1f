"""Read Motion JPEG samples (ITU-T T.81). Every picture is intra, but its tables may be in an earlier sample.

Decoders keep quantisation and Huffman tables from one picture to the next.
"""

import hashlib

from episeek_pipelines.video.bitstreams.sample import PlainUnits, SampleBytes, SampleContent, Unit

_SOI, _HUFFMAN, _SCAN, _QUANTISATION = 0xD8, 0xC4, 0xDA, 0xDB
_WITHOUT_LENGTH = frozenset({0x01, _SOI, *range(0xD0, 0xD8)})
_USUAL_HUFFMAN_TABLES = frozenset({"9fb04cb1a8076318", "af48d4f608dfb682", "f27ce9b718f91cd4", "8cf60aa835f8474b"})
"""First 16 hex digits of the SHA-256 of each Huffman table in ITU-T T.81, K.3.3, with its class and id.

Cameras use these tables for all pictures.
"""

_MAX_SEGMENTS = 1 << 10


class Mjpeg(PlainUnits):
    """The `Codec` for Motion JPEG."""

    damage_without_units = "without the Huffman tables that were made for its picture"

    def inspect(self, sample: SampleBytes) -> SampleContent:
        """Return the tables of a sample, and whether decoding can start at it. See `Codec.inspect`."""
        units: list[Unit] = []
        position = 0
        has_scan = False
        for _ in range(_MAX_SEGMENTS):
            head = sample.read(position, position + 4)
            if len(head) < 2 or head[0] != 0xFF:
                break
            marker = head[1]
            if marker == 0xFF:
                position += 1
                continue
            if marker in _WITHOUT_LENGTH:
                position += 2
                continue
            has_scan = marker == _SCAN
            if has_scan:
                break
            stop = position + 2 + int.from_bytes(head[2:4], "big")
            if marker in (_HUFFMAN, _QUANTISATION):
                units += _tables(marker, sample.read(position + 4, stop))
            position = stop
        return SampleContent(has_scan, tuple(units))

    def is_portable(self, unit: Unit) -> bool:
        """Return whether a table can be used for any picture: False for a Huffman table that was made for one picture."""
        return unit.kind != "huffman" or hashlib.sha256(unit.data[4:]).hexdigest()[:16] in _USUAL_HUFFMAN_TABLES

    def encode(self, units: tuple[Unit, ...]) -> bytes:
        """Return the tables as an abbreviated stream without a picture (ITU-T T.81, B.5)."""
        return bytes((0xFF, _SOI)) + b"".join(unit.data for unit in units)


def _tables(marker: int, payload: bytes) -> list[Unit]:
    """Return the tables of a marker segment, each as a separate segment (ITU-T T.81, B.2.4.1 and B.2.4.2)."""
    kind = "quantisation" if marker == _QUANTISATION else "huffman"
    units = []
    position = 0
    while position < len(payload):
        number = payload[position]
        values = payload[position + 1 : position + 17]
        size = 65 + 64 * (number >> 4) if marker == _QUANTISATION else 17 + sum(values)
        table = payload[position : position + size]
        segment = bytes((0xFF, marker)) + (2 + len(table)).to_bytes(2, "big") + table
        # the upper four bits of the byte are the table's precision, which is not part of its id
        units.append(Unit(kind, number & 15 if marker == _QUANTISATION else number, segment))
        position += size
    return units
