"""Which samples decoding may start at, and how the file says so."""

import struct
from dataclasses import replace

from tests.features.encoding import FRAME_TICKS, Elementary, Recipe, encode, write_video
from tests.features.muxer import FTYP_QUICKTIME, Layout, Track, mux, track_of
from tests.features.registry import Registry
from tests.features.sources import (
    H264,
    H264_B,
    H264_INTRA,
    H264_OPEN,
    HEVC,
    HEVC_OPEN,
    h264,
    h264_b,
    nal_units,
    presented,
)
from tests.support.mp4_boxes import array, full_box

registry = Registry()
IDR = 5


def _instantaneous(source: Elementary) -> list[int]:
    """Decode positions of the IDR pictures of H.264: the keyframes that no later frame reaches behind."""
    return [
        place
        for place, sample in enumerate(source.samples)
        if any(unit[0] & 31 == IDR for unit in nal_units(sample.data))
    ]


def _from_second_keyframe(source: Elementary) -> Track:
    """The samples from it on, cut out of the stream as they are."""
    second = [place for place, sample in enumerate(source.samples) if sample.is_sync][1]
    return track_of(source, samples=source.samples[second:])


def _open_keyframes(source: Elementary) -> list[int]:
    """Decode positions of keyframes that are none of these: frames behind them in decode order refer across them."""
    closed = _instantaneous(source)
    return [place for place, sample in enumerate(source.samples) if sample.is_sync and place not in closed]


def _random_access_groups(source: Elementary, *, leading: int) -> list[bytes]:
    """sgpd and sbgp of 'rap ' (10.4): the open keyframes, each with so many leading samples."""
    description = full_box(b"sgpd", 1, b"rap ", struct.pack(">IIB", 1, 1, 0x80 | leading))
    opened = _open_keyframes(source)
    runs: list[tuple[int, int]] = []
    for place in range(len(source.samples)):
        group = int(place in opened)
        if runs and runs[-1][1] == group:
            runs[-1] = (runs[-1][0] + 1, group)
        else:
            runs.append((1, group))
    rows = b"".join(struct.pack(">II", *run) for run in runs)
    return [description, full_box(b"sbgp", 0, b"rap ", struct.pack(">I", len(runs)), rows)]


@registry.identical("all_intra.mp4", "no stss: every sample is a sync sample (H.264, intra only)")
def all_intra() -> bytes:
    return mux(presented(encode(H264_INTRA)))


@registry.identical("all_intra_listed.mp4", "all samples listed in stss")
def all_intra_listed() -> bytes:
    numbers = full_box(b"stss", 0, array("I", range(1, 25)))
    return mux(presented(encode(H264_INTRA), extra_tables=[numbers]))


@registry.identical("one_keyframe.mp4", "one keyframe in the whole file")
def one_keyframe() -> bytes:
    return mux(presented(encode(replace(H264_B, group=250))))


@registry.identical("no_sync_samples.mp4", "an empty stss: decoding can start at the first sample only")
def no_sync_samples() -> bytes:
    return mux(presented(encode(replace(H264_B, group=250)), sync_samples=()))


@registry.identical("fewer_sync_samples.mp4", "stss leaves a keyframe out")
def fewer_sync_samples() -> bytes:
    return mux(h264_b(sync_samples=(0, 16)))


@registry.identical("first_sample_not_listed.mp4", "stss leaves the first sample out, which is a keyframe")
def first_sample_not_listed() -> bytes:
    return mux(h264_b(sync_samples=(8, 16)))


@registry.identical("sample_dependencies.mp4", "sdtp beside stss")
def sample_dependencies() -> bytes:
    rows = bytes(0x20 if sample.is_sync else 0x10 for sample in encode(H264_B).samples)
    return mux(h264_b(extra_tables=[full_box(b"sdtp", 0, rows)]))


@registry.identical("open_gop_h264.mp4", "H.264 with open GOPs, all keyframes in stss")
def open_gop_h264() -> bytes:
    return mux(presented(encode(H264_OPEN)))


@registry.identical("open_gop_h264_idr_only.mp4", "H.264 with open GOPs, only the IDR picture in stss")
def open_gop_h264_idr_only() -> bytes:
    source = encode(H264_OPEN)
    return mux(presented(source, sync_samples=_instantaneous(source)))


@registry.identical("partial_sync.mov", "QuickTime: stps lists the keyframes of open GOPs, stss the others")
def partial_sync() -> bytes:
    source = encode(H264_OPEN)
    partial = full_box(b"stps", 0, array("I", [place + 1 for place in _open_keyframes(source)]))
    track = presented(source, sync_samples=_instantaneous(source), extra_tables=[partial])
    return mux(track, layout=Layout(ftyp=FTYP_QUICKTIME))


@registry.identical("random_access_points.mp4", "sgpd and sbgp 'rap ': keyframes of open GOPs as a sample group")
def random_access_points() -> bytes:
    source = encode(H264_OPEN)
    groups = _random_access_groups(source, leading=2)
    return mux(presented(source, sync_samples=_instantaneous(source), extra_tables=groups))


@registry.identical("open_gop_hevc.mp4", "HEVC with open GOPs: CRA pictures in stss")
def open_gop_hevc() -> bytes:
    return mux(presented(encode(HEVC_OPEN)))


@registry.identical("closed_gop_hevc.mp4", "HEVC with closed GOPs and B-frames")
def closed_gop_hevc() -> bytes:
    return mux(presented(encode(HEVC)))


@registry.identical("long_reorder.mp4", "H.264 with pyramids of seven B-frames")
def long_reorder() -> bytes:
    deep = replace(H264, b_frames=7, group=24, options=(("x264-params", "b-pyramid=normal:ref=4"),))
    return write_video(deep)


@registry.identical("starts_in_open_gop_hevc.mp4", "cut out at a CRA picture: RASL pictures are skipped", range(8, 24))
def starts_in_open_gop_hevc() -> bytes:
    return mux(_from_second_keyframe(encode(HEVC_OPEN)))


@registry.identical(
    "starts_in_open_gop_h264.mp4", "cut out at a recovery point: leading pictures are skipped", range(8, 24)
)
def starts_in_open_gop_h264() -> bytes:
    return mux(_from_second_keyframe(encode(H264_OPEN)))


@registry.refused(
    "idr_shown_late.mp4", "samples shown before the IDR picture they follow: decoders show others", "SampleTableError"
)
def idr_shown_late() -> bytes:
    offsets = [3 * FRAME_TICKS, *[-FRAME_TICKS] * 3, *[0] * 20]
    samples = [replace(sample, offset=offset) for sample, offset in zip(encode(H264).samples, offsets, strict=True)]
    return mux(h264(samples=samples, composition_version=1))


@registry.identical(
    "intra_refresh.mp4", "H.264 without keyframes behind the first, recovery points flagged in stss: no place to start"
)
def intra_refresh() -> bytes:
    return write_video(Recipe("libx264", (("x264-params", "intra-refresh=1"),)))


@registry.identical(
    "empty_sample.mp4", "a sample of no bytes: the frame before it lasts longer", [*range(10), *range(11, 24)]
)
def empty_sample() -> bytes:
    samples = list(encode(H264).samples)
    samples[10] = replace(samples[10], data=b"")
    return mux(h264(samples=samples))
