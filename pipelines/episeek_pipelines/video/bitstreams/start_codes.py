"""Split samples of MPEG-1, MPEG-2 and MPEG-4 part 2 at their start codes (ISO/IEC 13818-2 and 14496-2, 6.2)."""

from collections.abc import Iterator

from episeek_pipelines.video.bitstreams.sample import SampleBytes

_FIRST_BYTES = 1 << 8
MAX_HEADER_BYTES = 1 << 16
"""Number of bytes at the start of a sample that are searched for headers and a picture."""


def parts(sample: SampleBytes, *, until: int) -> Iterator[tuple[int, bytes]]:
    """Yield the code and the bytes of each part of a sample, up to and including the first part with the code `until`.

    The bytes include the start code. The part with the code `until` is cut to 16 bytes.

    Raises:
        MissingBytesError: More of the sample has to be read.
    """
    limit = min(sample.size, MAX_HEADER_BYTES)
    count = min(_FIRST_BYTES, limit)
    data = sample.read(0, count)
    while count < limit and data.find(b"\0\0\1" + bytes([until]), 0, -16) < 0:
        count = min(4 * count, limit)
        data = sample.read(0, count)
    yield from split(data, until=until)


def split(data: bytes, *, until: int = -1) -> Iterator[tuple[int, bytes]]:
    """Yield the code and the bytes of each part of `data`. The bytes include the start code.

    A part with the code `until` is the last one, and is cut to 16 bytes.
    """
    start = data.find(b"\0\0\1")
    while 0 <= start < len(data) - 3:
        code = data[start + 3]
        if code == until:
            yield code, data[start : start + 16]
            return
        stop = data.find(b"\0\0\1", start + 3)
        yield code, data[start : stop if stop >= 0 else len(data)]
        start = stop
