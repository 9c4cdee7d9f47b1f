"""Find the keyframes of FFV1.

After a keyframe, decoders need nothing from earlier frames. The decoder configuration is in the sample entry.
"""

from typing import Final

from episeek_pipelines.video.bitstreams.sample import PlainUnits, SampleBytes, SampleContent

_LEAST_OF_ONE: Final = 0x7F80
"""The first bit of a frame is 1 if the frame's first two bytes, as a big-endian number, are at least this value.

The bit is coded by a range coder, with even odds for 0 and 1 (RFC 9043, 3.8.1).
"""


class Ffv1(PlainUnits):
    """The `Codec` for FFV1 (RFC 9043, 4.4)."""

    def inspect(self, sample: SampleBytes) -> SampleContent:
        """Return the content of a sample. Decoding starts at it if its first bit, `keyframe`, is 1. See `Codec.inspect`."""
        return SampleContent(int.from_bytes(sample.read(0, 2).ljust(2, b"\0"), "big") >= _LEAST_OF_ONE)
