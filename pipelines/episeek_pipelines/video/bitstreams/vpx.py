"""Find the key frames of VP8 and VP9. After a key frame, decoders need nothing from earlier samples."""

from episeek_pipelines.video.bitstreams.bits import BitReader, BitsEndError
from episeek_pipelines.video.bitstreams.sample import PlainUnits, SampleBytes, SampleContent


class Vp8(PlainUnits):
    """The `Codec` for VP8 (RFC 6386, 9.1)."""

    def inspect(self, sample: SampleBytes) -> SampleContent:
        """Return the content of a sample. Decoding starts at it if its frame is a key frame. See `Codec.inspect`."""
        head = sample.read(0, 1)
        return SampleContent(bool(head) and not head[0] & 1)


class Vp9(PlainUnits):
    """The `Codec` for VP9 (VP9 bitstream specification, 6.2). A superframe is a key frame if its first frame is a key frame."""

    def inspect(self, sample: SampleBytes) -> SampleContent:
        """Return the content of a sample. Decoding starts at it if its first frame is a key frame, shown or hidden.

        See `Codec.inspect`.
        """
        bits = BitReader(sample.read(0, 4))
        try:
            bits.u(2)
            profile = bits.u(1) + 2 * bits.u(1)
            if profile == 3:
                bits.u(1)
            is_shown_again = bits.u(1)
            return SampleContent(not is_shown_again and bits.u(1) == 0)
        except BitsEndError:
            return SampleContent(False)
