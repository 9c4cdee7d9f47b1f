"""FFV1 frames: keyframes. A keyframe replaces all that decoders keep, and the configuration is in the sample entry."""

from typing import Final

from episeek_pipelines.video.bitstreams.sample import PlainUnits, SampleBytes, SampleContent

_LEAST_OF_ONE: Final = 0x7F80
"""The first two bytes of a range coder (RFC 9043, 3.8.1) whose first bit, at even odds, is 1: half of the range 0xFF00 or more."""


class Ffv1(PlainUnits):
    """The rules of FFV1 (RFC 9043, 4.4)."""

    def inspect(self, sample: SampleBytes) -> SampleContent:
        """Return whether the first bit, keyframe, is set. See `Codec.inspect`."""
        return SampleContent(int.from_bytes(sample.read(0, 2).ljust(2, b"\0"), "big") >= _LEAST_OF_ONE)
