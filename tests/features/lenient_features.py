"""Headers that writers got wrong, which decoders read all the same: spare entries, missing values, claims of too many bytes."""

import struct
from fractions import Fraction

from tests.features.encoding import encode
from tests.features.muxer import Layout, mux
from tests.features.registry import Registry
from tests.features.sources import H264_B, h264, h264_b
from tests.support.mp4_boxes import elst, full_box

registry = Registry()


def _runs(kind: str, *runs: tuple[int, int]) -> dict[str, bytes]:
    """A stts or ctts box in place of the muxer's."""
    return {kind: full_box(kind.encode(), 0, struct.pack(">I", len(runs)), *(struct.pack(">Ii", *run) for run in runs))}


@registry.identical("fewer_times.mp4", "stts for one sample less than stsz has: the last duration goes on")
def fewer_times() -> bytes:
    return mux(h264_b(replaced=_runs("stts", (23, 512))))


@registry.identical("more_times.mp4", "stts for more samples than stsz has")
def more_times() -> bytes:
    return mux(h264_b(replaced=_runs("stts", (20, 512), (9, 512), (5, 77))))


@registry.identical("fewer_offsets.mp4", "ctts for fewer samples than stsz has: the others have no offset")
def fewer_offsets() -> bytes:
    return mux(h264(replaced=_runs("ctts", (10, 0))))


@registry.identical("more_offsets.mp4", "ctts for more samples than stsz has, and an entry of no samples")
def more_offsets() -> bytes:
    source = encode(H264_B)
    runs = [(1, sample.offset) for sample in source.samples]
    return mux(h264_b(replaced=_runs("ctts", *runs, (0, 5), (3, 1024))))


@registry.identical("spare_chunk.mp4", "an offset of one more chunk than samples need")
def spare_chunk() -> bytes:
    return _with_spare_chunk(mux(h264()))


@registry.identical("spare_chunk_b_frames.mp4", "the same with reordered frames and an edit list that delays them")
def spare_chunk_b_frames() -> bytes:
    return _with_spare_chunk(mux(h264_b(edits=elst([(800, 1024, 1 << 16)]))))


def _with_spare_chunk(file: bytes) -> bytes:
    """A progressive file whose moov comes last, with one entry more in stco, far outside the file."""
    at = file.rindex(b"stco") - 4
    (size,) = struct.unpack_from(">I", file, at)
    (count,) = struct.unpack_from(">I", file, at + 12)
    stco = (
        struct.pack(">I4sII", size + 4, b"stco", 0, count + 1) + file[at + 16 : at + size] + struct.pack(">I", 1 << 30)
    )
    grown = bytearray(file[:at] + stco + file[at + size :])
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        place = grown.rindex(kind) - 4
        struct.pack_into(">I", grown, place, struct.unpack_from(">I", grown, place)[0] + 4)
    return bytes(grown)


@registry.identical(
    "clock_steps_back.mp4",
    "a duration of -1 where the clock of a recorder went back: FFmpeg shortens the next ones",
    seconds=[
        Fraction(tick, 15360) for tick in [*range(0, 5121, 512), 5121, *(5121 + 510 + 512 * step for step in range(12))]
    ][:24],
)
def clock_steps_back() -> bytes:
    return mux(h264(replaced=_runs("stts", (10, 512), (1, -1), (1, 512), (12, 512))))


@registry.identical("url_without_flag.mp4", "a data reference without the flag of the file itself and without a place")
def url_without_flag() -> bytes:
    return mux(h264()).replace(full_box(b"url ", 0, flags=1), full_box(b"url ", 0))


@registry.identical("no_size.mp4", "a picture size of 0x0 in the sample entry, and the real one in tkhd")
def no_size() -> bytes:
    entry = encode(H264_B).entry
    return mux(h264_b(entries=[entry[:32] + bytes(4) + entry[36:]]))


@registry.identical("movie_timescale_0.mp4", "a movie timescale of 0, and no edit list")
def movie_timescale_0() -> bytes:
    return _with_movie_timescale_0(mux(h264()))


def _with_movie_timescale_0(file: bytes) -> bytes:
    at = file.rindex(b"mvhd") + 16
    return file[:at] + bytes(4) + file[at + 4 :]


@registry.identical("edit_rate_0.mp4", "an edit of everything whose writer forgot the rate")
def edit_rate_0() -> bytes:
    return mux(h264_b(edits=elst([(800, 1024, 0)])))


@registry.identical("edit_rate_1_65536.mp4", "an edit of everything whose rate was written as an integer")
def edit_rate_1_65536() -> bytes:
    return mux(h264_b(edits=elst([(800, 1024, 1)])))


@registry.identical("overlong_box.mp4", "a udta box at the end of moov that claims more bytes than moov has")
def overlong_box() -> bytes:
    return mux(h264(), layout=Layout(moov_extra=struct.pack(">I4s", 1 << 20, b"udta") + bytes(20)))


@registry.identical("junk_in_tables.mp4", "bytes at the end of stbl that are no box")
def junk_in_tables() -> bytes:
    return mux(h264(extra_tables=[b"GARBAGE12345"]))


@registry.identical("mdat_too_long.mp4", "an mdat box that claims more bytes than the file has; every sample is there")
def mdat_too_long() -> bytes:
    file = mux(h264_b(), layout=Layout(moov_first=True))
    at = file.rindex(b"mdat") - 4
    return file[:at] + struct.pack(">I", struct.unpack_from(">I", file, at)[0] + (1 << 20)) + file[at + 4 :]
