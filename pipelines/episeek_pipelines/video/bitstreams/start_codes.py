"""Parts of a sample between start codes, as MPEG-1, MPEG-2 and MPEG-4 part 2 have them (ISO/IEC 13818-2 and 14496-2, 6.2)."""

from collections.abc import Iterator

from episeek_pipelines.video.bitstreams.sample import SampleBytes

_FIRST_BYTES = 1 << 8
MAX_HEADER_BYTES = 1 << 16
"""Headers before a picture are looked for within this many bytes."""


def parts(sample: SampleBytes, *, until: int) -> Iterator[tuple[int, bytes]]:
    """Return the code and the bytes, with the start code, of each part before the first of code `until`; then that one.

    The last one is cut at 16 bytes.

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
    """Return the code and the bytes, with the start code, of each part of some bytes; from code `until` on, 16 bytes."""
    start = data.find(b"\0\0\1")
    while 0 <= start < len(data) - 3:
        code = data[start + 3]
        if code == until:
            yield code, data[start : start + 16]
            return
        stop = data.find(b"\0\0\1", start + 3)
        yield code, data[start : stop if stop >= 0 else len(data)]
        start = stop
