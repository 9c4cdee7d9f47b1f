"""Fragmented recordings that were cut short, and fragments whose times are in segment indexes."""

import struct
from fractions import Fraction

from tests.features.encoding import FRAME_RATE, encode
from tests.features.fragmented_file import b_frames, fragmented, runs_of
from tests.features.fragments import TrackFragment
from tests.features.registry import Registry
from tests.features.sources import H264, H264_INTRA
from tests.support.mp4_boxes import full_box

registry = Registry()


def _last(kind: bytes, file: bytes) -> int:
    """Where the header of the last box of a type starts."""
    return file.rindex(kind) - 4


@registry.identical("cut_in_fragment.mp4", "a fragmented file, cut within its last mdat: the whole samples", range(21))
def cut_in_fragment() -> bytes:
    return fragmented(runs_of(encode(H264)))[:-200]


@registry.identical("cut_between_samples.mp4", "a fragmented file, cut in its last mdat between two samples", range(23))
def cut_between_samples() -> bytes:
    source = encode(H264)
    return fragmented(runs_of(source))[: -len(source.samples[-1].data)]


@registry.identical("cut_in_moof.mp4", "a fragmented file, cut within its last moof", range(16))
def cut_in_moof() -> bytes:
    file = fragmented(runs_of(encode(H264)))
    return file[: _last(b"moof", file) + 60]


@registry.identical("cut_before_mdat.mp4", "a fragmented file, cut behind its last moof", range(16))
def cut_before_mdat() -> bytes:
    file = fragmented(runs_of(encode(H264)))
    return file[: _last(b"mdat", file)]


@registry.identical("cut_in_box_header.mp4", "a fragmented file, cut in the header of its last box", range(16))
def cut_in_box_header() -> bytes:
    file = fragmented(runs_of(encode(H264)))
    return file[: _last(b"moof", file) + 5]


@registry.identical("cut_b_frames.mp4", "the same with reordered frames and an edit list", range(16))
def cut_b_frames() -> bytes:
    source, track = b_frames()
    file = fragmented(runs_of(source), source=source, tracks=[track])
    return file[: _last(b"mdat", file) + 8]


@registry.identical(
    "one_frame_fragments_cut.mp4", "a fragment for each frame, the last one without its media", range(23)
)
def one_frame_fragments_cut() -> bytes:
    file = fragmented(runs_of(encode(H264_INTRA)), source=encode(H264_INTRA), steps=[1] * 24)
    return file[: _last(b"mdat", file)]


GAP = [Fraction(number + (30 if number >= 16 else 0), FRAME_RATE) for number in range(24)]


@registry.identical(
    "segment_times.mp4",
    "no tfdt; a sidx before each fragment says when it starts, the last one second later",
    seconds=GAP,
)
def segment_times() -> bytes:
    source = encode(H264)
    parts = runs_of(source, traf=TrackFragment(runs=(), decode_time=None))
    file = fragmented(parts, source=source)
    places = [place for place in range(len(file)) if file.startswith(b"moof", place + 4)]
    pieces = [file[: places[0]]]
    for number, (start, stop) in enumerate(zip(places, [*places[1:], len(file)], strict=True)):
        tick = source.samples[8 * number].dts + (source.timescale if number == 2 else 0)
        numbers = struct.pack(">IIII2xHIII", 1, source.timescale, tick, 0, 1, stop - start, 8 * 512, 1 << 31)
        pieces += [full_box(b"sidx", 0, numbers), file[start:stop]]
    return b"".join(pieces)
