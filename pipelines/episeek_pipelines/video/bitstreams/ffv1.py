"""Find the keyframes of FFV1.

After a keyframe, decoders need nothing from earlier frames. The configuration is in the sample entry.
"""

from typing import Final

from episeek_pipelines.video.bitstreams.sample import PlainUnits, SampleBytes, SampleContent

_LEAST_OF_ONE: Final = 0x7F80
"""From this value on, the first two bytes of a range coder mean that its first bit, at even odds, is 1 (RFC 9043, 3.8.1)."""


class Ffv1(PlainUnits):
    """The rules of FFV1 (RFC 9043, 4.4)."""

    def inspect(self, sample: SampleBytes) -> SampleContent:
        """Return whether the frame's first bit, `keyframe`, is set. See `Codec.inspect`."""
        return SampleContent(int.from_bytes(sample.read(0, 2).ljust(2, b"\0"), "big") >= _LEAST_OF_ONE)
