"""Sample entries, and what else the file says of the pictures."""

import struct
from dataclasses import replace

from tests.features.encoding import Elementary, encode
from tests.features.muxer import FTYP_QUICKTIME, UPRIGHT, Layout, Track, mux
from tests.features.registry import Registry
from tests.features.sources import (
    H264,
    H264_B,
    HEVC,
    HEVC_10,
    edit_of,
    from_nal_units,
    h264_b,
    nal_units,
    parameter_sets,
    presented,
    renamed,
    with_box,
    without_box,
)
from tests.support.mp4_boxes import box, full_box

registry = Registry()
ONE = 1 << 16


def two_encodes() -> tuple[Elementary, Elementary]:
    """Frames 0 to 23 twice, in other words: High profile in CABAC, and Main in CAVLC; both with the same reordering."""
    other = replace(H264_B, options=(("x264-params", "cabac=0:8x8dct=0:ref=1"), ("profile", "main"), ("crf", "34")))
    return encode(H264_B), encode(other)


def _chosen(descriptions: list[int]) -> Track:
    """Eight samples, a whole group, from one of two encodes by chunk."""
    encodes = two_encodes()
    samples = [
        sample
        for chunk, description in enumerate(descriptions)
        for sample in encodes[description - 1].part(8 * chunk, 8 * chunk + 8)
    ]
    return presented(
        encodes[0], samples=samples, entries=[source.entry for source in encodes], descriptions=descriptions
    )


@registry.identical(
    "two_entries.mp4", "two sample entries (other SPS and PPS): the first for 8 samples, the second for 16"
)
def two_entries() -> bytes:
    return mux(_chosen([1, 2, 2]))


@registry.identical("two_entries_in_turn.mp4", "two sample entries, in turn: the first, the second, the first again")
def two_entries_in_turn() -> bytes:
    return mux(_chosen([1, 2, 1]))


@registry.identical("second_entry_only.mp4", "two sample entries of which only the second is used")
def second_entry_only() -> bytes:
    return mux(_chosen([2, 2, 2]))


@registry.refused(
    "unused_depth_entry.mp4",
    "two sample entries of which the first, of gray 12 bits, is not used: TorchCodec takes all for gray",
    "SampleDescriptionError",
)
def unused_depth_entry() -> bytes:
    colour, depth = encode(HEVC), encode(replace(HEVC, pixels="gray12le", count=8))
    return mux(presented(colour, entries=[depth.entry, colour.entry], descriptions=[2, 2, 2]))


@registry.refused(
    "entries_of_colour_and_depth.mp4",
    "samples of two sample entries, colour and gray of 12 bits",
    "SampleDescriptionError",
)
def entries_of_colour_and_depth() -> bytes:
    colour, depth = encode(HEVC), encode(replace(HEVC, pixels="gray12le", count=8))
    return mux(presented(colour, entries=[depth.entry, colour.entry], descriptions=[2, 1, 2]))


@registry.identical("unused_second_entry.mp4", "two sample entries of which only the first is used")
def unused_second_entry() -> bytes:
    return mux(_chosen([1, 1, 1]))


@registry.identical("two_entries_cut.mp4", "two sample entries, and an edit that starts with frame 3", range(3, 24))
def two_entries_cut() -> bytes:
    return mux(replace(_chosen([1, 2, 1]), edits=edit_of(encode(H264_B), start=3)))


@registry.by_the_standard(
    "two_entries_cut_further.mp4",
    "two sample entries, and an edit that starts with frame 11",
    range(11, 24),
    ffmpeg="decodes with the wrong entry and fails",
)
def two_entries_cut_further() -> bytes:
    return mux(replace(_chosen([1, 2, 1]), edits=edit_of(encode(H264_B), start=11)))


# --- how the picture is to be shown ----------------------------------------------------------------------------------------------


@registry.identical("rotation_90.mp4", "to be shown turned by 90 degrees (tkhd matrix)")
def rotation_90() -> bytes:
    return mux(h264_b(matrix=(0, ONE, 0, -ONE, 0, 0, 64 << 16, 0, 1 << 30)))


@registry.identical("rotation_180.mp4", "to be shown turned by 180 degrees")
def rotation_180() -> bytes:
    return mux(h264_b(matrix=(-ONE, 0, 0, 0, -ONE, 0, 96 << 16, 64 << 16, 1 << 30)))


@registry.identical("rotation_270.mp4", "to be shown turned by 270 degrees")
def rotation_270() -> bytes:
    return mux(h264_b(matrix=(0, -ONE, 0, ONE, 0, 0, 0, 96 << 16, 1 << 30)))


@registry.identical("moved_picture.mp4", "a matrix that only moves the picture")
def moved_picture() -> bytes:
    return mux(h264_b(matrix=(*UPRIGHT[:6], 20 << 16, 10 << 16, 1 << 30)))


@registry.identical("colour_and_aspect.mp4", "colr (nclx) and pasp in the sample entry: pixels of 4:3")
def colour_and_aspect() -> bytes:
    entry = without_box(without_box(encode(H264_B).entry, b"pasp"), b"colr")
    colour = box(b"colr", b"nclx", struct.pack(">HHHB", 1, 1, 1, 0))
    return mux(h264_b(entries=[with_box(entry, colour, box(b"pasp", struct.pack(">II", 4, 3)))]))


@registry.identical("clean_aperture.mp4", "clap in the sample entry: a part of the picture is meant")
def clean_aperture() -> bytes:
    clap = box(b"clap", struct.pack(">IIIIiIiI", 80, 1, 48, 1, 0, 1, 0, 1))
    return mux(h264_b(entries=[with_box(encode(H264_B).entry, clap)]))


@registry.identical("hdr_hevc.mp4", "HEVC of 10 bits, BT.2020 and PQ: colr, mdcv and clli")
def hdr_hevc() -> bytes:
    source = encode(replace(HEVC_10, colours=(9, 16, 9)))
    colour = box(b"colr", b"nclx", struct.pack(">HHHB", 9, 16, 9, 0))
    mastering = box(b"mdcv", struct.pack(">8HII", 8500, 39850, 6550, 2300, 35400, 14600, 15635, 16450, 10_000_000, 1))
    light = box(b"clli", struct.pack(">HH", 1000, 400))
    entry = with_box(without_box(source.entry, b"colr"), colour, mastering, light)
    return mux(presented(source, entries=[entry]))


# --- where parameter sets are ----------------------------------------------------------------------------------------------------


def _with_parameter_sets(source: Elementary) -> Elementary:
    """H.264 with SPS and PPS in front of every keyframe."""
    sequence, pictures = parameter_sets(source.entry)
    samples = [
        replace(sample, data=from_nal_units([*sequence, *pictures, *nal_units(sample.data)]))
        if sample.is_sync
        else sample
        for sample in source.samples
    ]
    return replace(source, samples=tuple(samples))


@registry.identical("avc3.mp4", "avc3: parameter sets in the samples, and in the sample entry too")
def avc3() -> bytes:
    source = _with_parameter_sets(encode(H264_B))
    return mux(presented(source, entries=[renamed(source.entry, b"avc3")]))


@registry.identical("avc3_in_band_only.mp4", "avc3: parameter sets in the samples only, an avcC without any")
def avc3_in_band_only() -> bytes:
    source = _with_parameter_sets(encode(H264_B))
    place = source.entry.index(b"avcC") + 4
    bare = source.entry[place : place + 5] + b"\xe0\0" + b"\xfd\xf8\xf8\0"  # High profile: 4:2:0, 8 bits, no extensions
    entry = with_box(without_box(source.entry, b"avcC"), box(b"avcC", bare))
    return mux(presented(source, entries=[renamed(entry, b"avc3")]))


@registry.identical("avc3_parameters_change.mp4", "avc3: parameter sets in the samples that change in the middle")
def avc3_parameters_change() -> bytes:
    first, second = (_with_parameter_sets(source) for source in two_encodes())
    samples = [*first.part(0, 8), *second.part(8, 16), *first.part(16, 24)]
    return mux(presented(first, samples=samples, entries=[renamed(first.entry, b"avc3")]))


@registry.identical("length_of_2_bytes.mp4", "NAL units behind lengths of two bytes")
def length_of_2_bytes() -> bytes:
    source = encode(H264_B)
    place = source.entry.index(b"avcC") + 8
    entry = source.entry[:place] + bytes([source.entry[place] & ~3 | 1]) + source.entry[place + 1 :]
    samples = [replace(sample, data=from_nal_units(nal_units(sample.data), 2)) for sample in source.samples]
    return mux(presented(source, samples=samples, entries=[entry]))


@registry.identical("hvc1.mp4", "HEVC as hvc1: parameter sets in the sample entry")
def hvc1() -> bytes:
    source = encode(HEVC)
    return mux(presented(source, entries=[renamed(source.entry, b"hvc1")]))


@registry.identical("hev1_in_band.mp4", "HEVC as hev1: parameter sets repeated in the samples")
def hev1_in_band() -> bytes:
    source = encode(replace(HEVC, options=(("x265-params", "open-gop=0:repeat-headers=1"),)))
    return mux(presented(source, entries=[renamed(source.entry, b"hev1")]))


@registry.identical("bit_rate.mp4", "btrt, fiel and an unknown box in the sample entry")
def bit_rate() -> bytes:
    entry = without_box(encode(H264).entry, b"btrt")
    extra = [
        box(b"btrt", struct.pack(">III", 5000, 40_000, 30_000)),
        box(b"fiel", b"\1\0"),
        full_box(b"test", 0, bytes(4)),
    ]
    return mux(presented(encode(H264), entries=[with_box(entry, *extra)]))


@registry.identical("entry_terminator.mov", "QuickTime: four bytes of zero at the end of the sample entry")
def entry_terminator() -> bytes:
    return mux(h264_b(entries=[with_box(encode(H264_B).entry, bytes(4))]), layout=Layout(ftyp=FTYP_QUICKTIME))
