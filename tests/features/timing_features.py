"""When samples are decoded and presented: durations, composition offsets, timescales."""

import struct
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from tests.features.encoding import FRAME_TICKS, encode, retimed
from tests.features.muxer import FTYP_QUICKTIME, Layout, mux, track_of
from tests.features.registry import Registry
from tests.features.sources import AV1, H264, H264_B, HEVC, h264, h264_b, presented, shifted, with_times
from tests.support.mp4_boxes import full_box

registry = Registry()
DELAY = 1024
"""Composition time of the first frame of `H264_B`, in ticks of 1/15360 s."""

UNEVEN = [0, 300, 1100, 1612, 1613, 3000, 3512, 4024, 4536, 6000, 6100, 6612]
UNEVEN += [UNEVEN[-1] + 700 * step for step in range(1, 7)] + [UNEVEN[-1] + 4200 + 9000 * step for step in range(1, 7)]


def times(ticks: Sequence[int], timescale: int) -> list[Fraction]:
    """Seconds from the first of some ticks on."""
    return [Fraction(tick - ticks[0], timescale) for tick in ticks]


@registry.identical("negative_offsets.mp4", "ctts version 1 with negative offsets, no edit list")
def negative_offsets() -> bytes:
    return mux(h264_b(samples=shifted(encode(H264_B).samples, offset=-DELAY), composition_version=1, edits=b""))


@registry.identical("negative_offsets_quicktime.mov", "QuickTime: ctts version 0 with negative offsets, no edit list")
def negative_offsets_quicktime() -> bytes:
    samples = shifted(encode(H264_B).samples, offset=-DELAY)
    return mux(h264_b(samples=samples, edits=b""), layout=Layout(ftyp=FTYP_QUICKTIME))


@registry.identical("delay_without_edit.mp4", "ctts without an edit list: the first frame comes late")
def delay_without_edit() -> bytes:
    return mux(h264_b(edits=b""))


@registry.identical("composition_to_decode.mp4", "cslg beside negative offsets")
def composition_to_decode() -> bytes:
    samples = shifted(encode(H264_B).samples, offset=-DELAY)
    offsets = [sample.offset for sample in samples]
    cslg = full_box(b"cslg", 0, struct.pack(">5i", DELAY, min(offsets), max(offsets), 0, 24 * FRAME_TICKS))
    return mux(h264_b(samples=samples, composition_version=1, edits=b"", extra_tables=[cslg]))


@registry.identical("constant_offset.mp4", "one composition offset for all samples, taken away by the edit list")
def constant_offset() -> bytes:
    source = encode(H264)
    source = replace(source, samples=shifted(source.samples, offset=FRAME_TICKS))
    return mux(presented(source))


@registry.identical("variable_rate.mp4", "variable frame rate: many stts runs", seconds=times(UNEVEN, 15360))
def variable_rate() -> bytes:
    return mux(presented(with_times(encode(AV1), UNEVEN, timescale=15360, last=512)))


@registry.identical(
    "variable_rate_b_frames.mp4",
    "variable frame rate with reordered frames, no edit list",
    seconds=times(UNEVEN, 15360),
)
def variable_rate_b_frames() -> bytes:
    return mux(track_of(with_times(encode(H264_B), UNEVEN, timescale=15360, last=512)))


@registry.identical("last_duration_zero.mp4", "the last sample has no duration")
def last_duration_zero() -> bytes:
    *first, last = encode(H264).samples
    return mux(h264(samples=(*first, replace(last, duration=0))))


@registry.identical(
    "large_gap.mp4", "an hour between two frames", seconds=times([*range(12), *range(108012, 108024)], 30)
)
def large_gap() -> bytes:
    ticks = [512 * place + (3600 * 15360 if place >= 12 else 0) for place in range(24)]
    return mux(track_of(with_times(encode(AV1), ticks, timescale=15360, last=512)))


@registry.identical("timescale_90000.mp4", "90000 ticks a second, with B-frames")
def timescale_90000() -> bytes:
    return mux(presented(retimed(encode(H264_B), 90_000, 3000)))


@registry.identical("timescale_600.mov", "600 ticks a second (QuickTime's own), with B-frames")
def timescale_600() -> bytes:
    return mux(presented(retimed(encode(H264_B), 600, 20)), layout=Layout(ftyp=FTYP_QUICKTIME))


MILLISECONDS = [round(1000 * frame / 30) for frame in range(24)]


@registry.identical("timescale_1000.mp4", "1000 ticks a second: frames of 33 and 34", seconds=times(MILLISECONDS, 1000))
def timescale_1000() -> bytes:
    return mux(track_of(with_times(encode(H264), MILLISECONDS, timescale=1000, last=33)))


@registry.identical("timescale_30.mp4", "30 ticks a second: one for each frame, with B-frames")
def timescale_30() -> bytes:
    return mux(presented(retimed(encode(HEVC), 30, 1)))


NTSC = [Fraction(1001 * frame, 30_000) for frame in range(24)]


@registry.identical(
    "rate_29_97.mp4", "30000 ticks a second, 1001 a frame; the edit ends between two movie ticks", seconds=NTSC
)
def rate_29_97() -> bytes:
    return mux(presented(retimed(encode(H264_B), 30_000, 1001)))


@registry.identical("largest_timescale.mp4", "a timescale of 1 000 000 000", seconds=times(range(0, 48, 2), 100))
def largest_timescale() -> bytes:
    return mux(presented(retimed(encode(H264), 1_000_000_000, 20_000_000)))
