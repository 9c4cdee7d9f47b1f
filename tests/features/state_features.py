"""Keyframes that the header gets wrong, and what a decoder needs of earlier samples: parameter sets, headers, tables."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from tests.features.description_features import two_encodes
from tests.features.encoding import FRAME_RATE, FRAME_TICKS, Elementary, Recipe, Sample, encode
from tests.features.fragmented_file import fragmented, runs_of
from tests.features.fragments import Run
from tests.features.muxer import mux
from tests.features.registry import Registry
from tests.features.sources import (
    AV1,
    H264,
    H264_B,
    H264_OPEN,
    HEVC,
    VP9,
    from_nal_units,
    h264_b,
    nal_units,
    parameter_sets,
    presented,
    renamed,
    with_box,
    without_box,
)
from tests.support.mp4_boxes import box

registry = Registry()
SEI, SPS, PPS = 6, 7, 8
MPEG4 = Recipe("mpeg4", b_frames=2)
INTRA_REFRESH = Recipe("libx264", (("x264-params", "intra-refresh=1:bframes=0"),))
MJPEG = Recipe("mjpeg", pixels="yuvj420p", count=6)
TABLES = (0xDB, 0xC4)


def _changed(source: Elementary, change: Callable[[int, bytes], bytes]) -> Elementary:
    """The samples with other bytes: `change` gets the decode position and the bytes."""
    samples = [replace(sample, data=change(place, sample.data)) for place, sample in enumerate(source.samples)]
    return replace(source, samples=tuple(samples))


def _one_after_the_other(*parts: Sequence[Sample]) -> tuple[Sample, ...]:
    """Samples without reordering, with times of their own."""
    joined = [sample for part in parts for sample in part]
    return tuple(replace(sample, dts=place * FRAME_TICKS, offset=0) for place, sample in enumerate(joined))


@registry.identical("flags_missing_h264.mp4", "no stss, though not every sample is a keyframe: H.264")
def flags_missing_h264() -> bytes:
    return mux(h264_b(has_stss=False))


@registry.identical("flags_missing_hevc.mp4", "the same: HEVC")
def flags_missing_hevc() -> bytes:
    return mux(presented(encode(HEVC), has_stss=False))


@registry.identical("flags_missing_mpeg4.mp4", "the same: MPEG-4 part 2")
def flags_missing_mpeg4() -> bytes:
    return mux(presented(encode(MPEG4), has_stss=False))


@registry.identical("flags_missing_av1.mp4", "the same: AV1")
def flags_missing_av1() -> bytes:
    return mux(presented(encode(AV1), has_stss=False))


@registry.identical("flags_missing_vp9.mp4", "the same: VP9")
def flags_missing_vp9() -> bytes:
    return mux(presented(encode(VP9), has_stss=False))


@registry.identical("flags_of_zero.mp4", "fragments in which all flags of samples are 0")
def flags_of_zero() -> bytes:
    return fragmented(runs_of(encode(H264), run=Run(samples=(), not_sync=0)))


@registry.identical("flags_of_intra_pictures.mp4", "stss lists I-pictures that nothing calls recovery points")
def flags_of_intra_pictures() -> bytes:
    def silent(place: int, data: bytes) -> bytes:
        return from_nal_units(unit for unit in nal_units(data) if unit[0] & 31 != SEI) if place else data

    return mux(presented(_changed(encode(H264_OPEN), silent)))


@registry.identical(
    "refresh_joined.mp4",
    "intra refresh joined: an IDR picture first, then recovery points",
    [0, 1, 2, *range(24)],
    seconds=[Fraction(place, FRAME_RATE) for place in range(27)],
)
def refresh_joined() -> bytes:
    source = encode(INTRA_REFRESH)
    samples = _one_after_the_other(source.part(0, 3), source.samples)
    return mux(presented(source, samples=samples))


@registry.identical("refresh_behind_messages.mp4", "recovery points behind 5 kB of other messages")
def refresh_behind_messages() -> bytes:
    message = bytes([SEI, 5]) + b"\xff" * 19 + bytes([155]) + bytes(range(1, 101)) * 50 + b"\x80"

    def behind(place: int, data: bytes) -> bytes:
        return data if place % INTRA_REFRESH.group else from_nal_units([message, *nal_units(data)])

    return mux(presented(_changed(encode(INTRA_REFRESH), behind)))


def _bare(entry: bytes, kind: bytes, configuration: bytes, name: bytes) -> bytes:
    return renamed(with_box(without_box(entry, kind), box(kind, configuration)), name)


@registry.identical("parameter_sets_once_h264.mp4", "avc3: parameter sets in the first sample only")
def parameter_sets_once_h264() -> bytes:
    source = encode(H264_B)
    sequence, pictures = parameter_sets(source.entry)
    place = source.entry.index(b"avcC") + 4
    bare = _bare(source.entry, b"avcC", source.entry[place : place + 5] + b"\xe0\0\xfd\xf8\xf8\0", b"avc3")
    units = [*sequence, *pictures]
    once = _changed(source, lambda at, data: data if at else from_nal_units([*units, *nal_units(data)]))
    return mux(presented(once, entries=[bare]))


def _hevc_parameter_sets(entry: bytes) -> list[bytes]:
    """The NAL units of hvcC."""
    record = entry[entry.index(b"hvcC") + 4 :]
    units, at = [], 23
    for _ in range(record[22]):
        count, at = int.from_bytes(record[at + 1 : at + 3]), at + 3
        for _ in range(count):
            size = int.from_bytes(record[at : at + 2])
            units.append(record[at + 2 : at + 2 + size])
            at += 2 + size
    return units


@registry.identical("parameter_sets_once_hevc.mp4", "hev1: parameter sets in the first sample only")
def parameter_sets_once_hevc() -> bytes:
    source = encode(HEVC)
    units = _hevc_parameter_sets(source.entry)
    place = source.entry.index(b"hvcC") + 4
    bare = _bare(source.entry, b"hvcC", source.entry[place : place + 22] + b"\0", b"hev1")
    once = _changed(source, lambda at, data: data if at else from_nal_units([*units, *nal_units(data)]))
    return mux(presented(once, entries=[bare]))


@registry.identical(
    "parameter_sets_replaced_once.mp4", "other parameter sets in band at the second keyframe, for all later ones"
)
def parameter_sets_replaced_once() -> bytes:
    first, second = two_encodes()
    sequence, pictures = parameter_sets(second.entry)
    later = list(second.part(8, 24))
    later[0] = replace(later[0], data=from_nal_units([*sequence, *pictures, *nal_units(later[0].data)]))
    return mux(presented(first, samples=[*first.part(0, 8), *later]))


@registry.identical(
    "parameter_sets_between_keyframes.mp4", "other parameter sets in a sample that is no keyframe, for all later ones"
)
def parameter_sets_between_keyframes() -> bytes:
    first, second = two_encodes()
    sequence, pictures = parameter_sets(second.entry)
    earlier = list(first.part(0, 8))
    earlier[-1] = replace(earlier[-1], data=from_nal_units([*nal_units(earlier[-1].data), *sequence, *pictures]))
    return mux(presented(first, samples=[*earlier, *second.part(8, 24)]))


@registry.identical(
    "parameter_sets_between_keyframes_hevc.mp4", "hev1: other parameter sets in a sample that is no keyframe"
)
def parameter_sets_between_keyframes_hevc() -> bytes:
    first, second = (encode(replace(HEVC, options=(*HEVC.options, ("crf", crf)))) for crf in ("20", "40"))
    earlier = list(first.part(0, 8))
    earlier[-1] = replace(
        earlier[-1], data=from_nal_units([*nal_units(earlier[-1].data), *_hevc_parameter_sets(second.entry)])
    )
    return mux(presented(first, samples=[*earlier, *second.part(8, 24)], entries=[renamed(first.entry, b"hev1")]))


@registry.refused(
    "parameter_sets_alone.mp4",
    "other parameter sets in a sample of their own, which holds no picture",
    "SampleTableError",
)
def parameter_sets_alone() -> bytes:
    first, second = two_encodes()
    sequence, pictures = parameter_sets(second.entry)
    alone = replace(first.samples[7], data=from_nal_units([*sequence, *pictures]), is_sync=False)
    samples = _one_after_the_other(first.part(0, 1), [alone], second.part(8, 9))
    return mux(presented(first, samples=samples))


@registry.refused(
    "groups_in_turn.mp4",
    "parts cut without encoding and joined: frames of the first are shown between those of the next",
    "SampleTableError",
)
def groups_in_turn() -> bytes:
    source = encode(H264_B)
    early = [replace(sample, offset=sample.offset - 3 * FRAME_TICKS // 2) for sample in source.part(8, 24)]
    return mux(presented(source, samples=[*source.part(0, 8), *early]))


@registry.identical("sequence_header_once_av1.mp4", "AV1: the sequence header in the first sample only")
def sequence_header_once_av1() -> bytes:
    def without_header(place: int, data: bytes) -> bytes:
        # SVT-AV1 writes units with a size of one byte: temporal delimiters are left out in MP4
        starts_with_header = data[0] >> 3 & 15 == 1 and data[0] & 2
        return data[2 + data[1] :] if place and starts_with_header else data

    return mux(presented(_changed(encode(AV1), without_header)))


def _without_tables(place: int, data: bytes) -> bytes:
    if not place:
        return data
    kept, at = data[:2], 2
    while data[at + 1] != 0xDA:
        size = int.from_bytes(data[at + 2 : at + 4]) + 2
        kept += b"" if data[at + 1] in TABLES else data[at : at + size]
        at += size
    return kept + data[at:]


@registry.identical(
    "tables_once_mjpeg.mp4", "Motion JPEG: quantisation and the usual Huffman tables in the first sample only", range(6)
)
def tables_once_mjpeg() -> bytes:
    return mux(presented(_changed(encode(replace(MJPEG, options=(("huffman", "default"),))), _without_tables)))


@registry.refused(
    "tables_of_the_first_picture_mjpeg.mp4",
    "Motion JPEG without Huffman tables, after a first picture with tables that were made for it",
    "SampleTableError",
)
def tables_of_the_first_picture_mjpeg() -> bytes:
    return mux(presented(_changed(encode(MJPEG), _without_tables)))
