"""How boxes, chunks and tracks may lie in a progressive file."""

import struct
from dataclasses import replace

from tests.features.encoding import Elementary, Recipe, Sample, encode, encode_sound
from tests.features.muxer import FTYP_QUICKTIME, Chunk, Layout, Track, mux, track_of
from tests.features.registry import Registry
from tests.features.sources import AV1, H264, h264, h264_b, same_size
from tests.support.mp4_boxes import box, box_with_64_bit_size, full_box

registry = Registry()
FREE = box(b"free", bytes(24))
PADDING = box(b"uuid", bytes(range(16)), b"made for a test") + FREE + box(b"skip", bytes(5)) + box(b"wide")


@registry.identical(
    "moov_last.mp4", "moov behind mdat; H.264 with B-frames, ctts version 0, edit list that skips the delay"
)
def moov_last() -> bytes:
    return mux(h264_b())


@registry.identical("moov_first.mp4", "moov in front of mdat (faststart)")
def moov_first() -> bytes:
    return mux(h264_b(), layout=Layout(moov_first=True))


@registry.identical("sound_interleaved.mp4", "two tracks, chunks of video and sound in turn")
def sound_interleaved() -> bytes:
    sound = track_of(encode_sound(24), chunk_sizes=[2] * 6 + [1])
    return mux(h264_b(chunk_sizes=[3] * 8), sound, layout=Layout(moov_first=True))


@registry.identical("sound_first.mp4", "the sound is track 1, the video track 2")
def sound_first() -> bytes:
    return mux(track_of(encode_sound(24)), h264_b())


@registry.identical("metadata_track_first.mp4", "a track of timed metadata in front of the video")
def metadata_track_first() -> bytes:
    entry = box(b"mett", bytes(6), struct.pack(">H", 1), b"\0text/plain\0")
    samples = tuple(Sample(b"note %d" % place, 1000 * place, 0, 1000, True, place) for place in range(2))
    return mux(track_of(Elementary(samples, entry, 1000, b"meta")), h264_b())


@registry.identical("several_mdats.mp4", "three mdat boxes, boxes of other kinds between them")
def several_mdats() -> bytes:
    return mux(h264_b(), layout=Layout(mdats=[[(0, 0)], [(0, 1)], [(0, 2)]], between=FREE))


@registry.identical("mdat_64_bit.mp4", "an mdat with a 64-bit size")
def mdat_64_bit() -> bytes:
    return mux(h264_b(), layout=Layout(mdat_size="64"))


@registry.identical("mdat_to_the_end.mp4", "an mdat of size 0: it reaches to the end of the file")
def mdat_to_the_end() -> bytes:
    return mux(h264_b(), layout=Layout(moov_first=True, mdat_size="to the end"))


@registry.identical("co64.mp4", "64-bit chunk offsets")
def co64() -> bytes:
    return mux(h264_b(chunk_offsets="co64"))


@registry.identical("one_sample_a_chunk.mp4", "every sample a chunk of its own")
def one_sample_a_chunk() -> bytes:
    return mux(h264_b(chunk_sizes=[1] * 24))


@registry.identical("one_chunk.mp4", "all samples in one chunk")
def one_chunk() -> bytes:
    return mux(h264_b(chunk_sizes=[24]))


@registry.identical("uneven_chunks.mp4", "chunks of 1 to 7 samples: many stsc entries")
def uneven_chunks() -> bytes:
    return mux(h264_b(chunk_sizes=[1, 7, 7, 2, 3, 3, 1]))


@registry.identical("chunks_out_of_order.mp4", "chunks lie in the file in another order than they are decoded in")
def chunks_out_of_order() -> bytes:
    order: list[Chunk] = [(0, 4), (0, 1), (0, 5), (0, 0), (0, 3), (0, 2)]
    return mux(h264_b(chunk_sizes=[4] * 6), layout=Layout(mdats=[order], moov_first=True))


@registry.identical("gaps_between_chunks.mp4", "bytes in mdat that belong to no sample")
def gaps_between_chunks() -> bytes:
    return mux(h264_b(chunk_sizes=[2] * 12), layout=Layout(gap=b"\0\0\0\1 not a sample"))


@registry.identical("stz2_8.mp4", "sample sizes in a stz2 of 8 bits")
def stz2_8() -> bytes:
    return mux(track_of(encode(replace(AV1, options=(("crf", "55"),))), sample_sizes="stz2-8"))


@registry.identical("stz2_16.mp4", "sample sizes in a stz2 of 16 bits")
def stz2_16() -> bytes:
    return mux(h264_b(sample_sizes="stz2-16"))


@registry.identical("constant_size.mp4", "one size for all samples in stsz (filled up with filler NAL units)")
def constant_size() -> bytes:
    return mux(h264(samples=same_size(encode(H264).samples), sample_sizes="constant"))


@registry.identical(
    "constant_size_intra.mov",
    "QuickTime, Motion JPEG padded to one size, no stss: every sample is a sync sample",
    range(8),
)
def constant_size_intra() -> bytes:
    source = encode(Recipe("mjpeg", pixels="yuvj420p", count=8))
    size = max(len(sample.data) for sample in source.samples)
    samples = tuple(replace(sample, data=sample.data.ljust(size, b"\0")) for sample in source.samples)
    entry = box(b"jpeg", source.entry[8:86])
    track = track_of(source, samples=samples, entries=(entry,), sample_sizes="constant")
    return mux(track, layout=Layout(ftyp=FTYP_QUICKTIME))


@registry.identical("other_boxes.mp4", "uuid, free, skip and wide boxes wherever they may be")
def other_boxes() -> bytes:
    return mux(
        h264_b(), layout=Layout(before=PADDING, between=PADDING, after=PADDING, moov_extra=FREE, moov_start=FREE)
    )


@registry.identical("large_header.mp4", "34 kB of free space inside moov, which lies behind mdat")
def large_header() -> bytes:
    return mux(h264_b(), layout=Layout(moov_start=box(b"free", bytes(34_000))))


@registry.identical("quicktime.mov", "QuickTime: ftyp 'qt  '")
def quicktime() -> bytes:
    return mux(h264_b(), layout=Layout(ftyp=FTYP_QUICKTIME, before=box(b"wide")))


@registry.identical("no_ftyp.mov", "old QuickTime: no ftyp, the file starts with mdat")
def no_ftyp() -> bytes:
    return mux(h264_b(), layout=Layout(ftyp=b""))


@registry.identical("metadata.mp4", "meta and udta boxes in moov, in front of the tracks and behind them")
def metadata() -> bytes:
    handler = full_box(b"hdlr", 0, struct.pack(">4x4s12x", b"mdir"), b"\0")
    title = box(b"\xa9nam", box(b"data", struct.pack(">II", 1, 0), b"a title"))
    meta = full_box(b"meta", 0, handler, box(b"ilst", title))
    return mux(h264_b(), layout=Layout(moov_start=box(b"udta", meta), moov_extra=meta))


@registry.identical("cover_picture.mp4", "a cover picture (covr) in udta, which FFmpeg shows as one more video stream")
def cover_picture() -> bytes:
    handler = full_box(b"hdlr", 0, struct.pack(">4x4s12x", b"mdir"), b"\0")
    jpeg = encode(Recipe("mjpeg", pixels="yuvj420p", count=1)).samples[0].data
    cover = box(b"covr", box(b"data", struct.pack(">II", 13, 0), jpeg))
    udta = box(b"udta", full_box(b"meta", 0, handler, box(b"ilst", cover)))
    return mux(h264_b(), layout=Layout(moov_extra=udta))


@registry.identical("version_1_headers.mp4", "mvhd, tkhd and mdhd of version 1: 64-bit times")
def version_1_headers() -> bytes:
    return mux(h264_b(header_version=1), layout=Layout(movie_version=1))


def _another_track() -> Track:
    return track_of(encode(replace(H264, first=100)))


@registry.identical("two_video_tracks.mp4", "two video tracks: the first one counts")
def two_video_tracks() -> bytes:
    return mux(h264_b(), _another_track())


@registry.identical(
    "first_track_disabled.mp4", "two video tracks, the first one disabled (tkhd flags): it counts all the same"
)
def first_track_disabled() -> bytes:
    return mux(h264_b(flags=6), _another_track())


@registry.identical("moov_64_bit.mp4", "a moov with a 64-bit size")
def moov_64_bit() -> bytes:
    file = mux(h264_b())
    start = file.rindex(b"moov") - 4
    return file[:start] + box_with_64_bit_size(b"moov", file[start + 8 :])


@registry.identical("two_headers.mp4", "a second moov at the end, left behind by an editor: the first one counts")
def two_headers() -> bytes:
    other = mux(h264(chunk_sizes=[24]))
    return mux(h264_b(), layout=Layout(moov_first=True)) + other[other.rindex(b"moov") - 4 :]


@registry.identical("trailing_bytes.mp4", "five bytes behind the last box that are no box")
def trailing_bytes() -> bytes:
    return mux(h264_b(), layout=Layout(moov_first=True)) + bytes(5)


@registry.identical("fragments_announced.mp4", "mvex in a file that has no fragments")
def fragments_announced() -> bytes:
    extends = box(b"mvex", full_box(b"trex", 0, struct.pack(">5I", 1, 1, 0, 0, 0)))
    return mux(h264_b(), layout=Layout(moov_extra=extends))
