"""Files that cannot be served exactly, each to be refused by name."""

import struct
from dataclasses import replace

from tests.features.encoding import Recipe, encode, encode_sound, write_video
from tests.features.fragmented_file import STYP, fragmented, runs_of
from tests.features.fragments import Run, TrackFragment
from tests.features.muxer import FTYP, Layout, mux, track_of
from tests.features.registry import Registry
from tests.features.sources import AV1, H264, H264_B, h264, h264_b
from tests.support.mp4_boxes import array, box, full_box

registry = Registry()


@registry.refused("segment_without_init.m4s", "a media segment without its init segment", "FragmentedMp4Error")
def segment_without_init() -> bytes:
    file = fragmented(runs_of(encode(H264)))
    return STYP + file[file.index(b"moof") - 4 :]


@registry.refused("init_without_media.mp4", "an init segment alone", "FragmentedMp4Error")
def init_without_media() -> bytes:
    file = fragmented(runs_of(encode(H264)))
    return file[: file.index(b"moof") - 4]


def _protected(entry: bytes) -> bytes:
    scheme = full_box(b"schm", 0, b"cenc", struct.pack(">I", 1 << 16))
    return box(b"encv", entry[8:], box(b"sinf", box(b"frma", entry[4:8]), scheme))


@registry.refused(
    "gif.mov", "GIF in QuickTime: FFmpeg's decoder shows the frames that a clip hides", "SampleDescriptionError"
)
def gif() -> bytes:
    return write_video(Recipe("gif", pixels="rgb8", count=6), container="mov")


@registry.refused("encrypted.mp4", "an encrypted track (encv)", "EncryptedMp4Error")
def encrypted() -> bytes:
    return mux(h264_b(entries=[_protected(encode(H264_B).entry)]))


@registry.refused("encrypted_fragments.mp4", "an encrypted track in fragments", "EncryptedMp4Error")
def encrypted_fragments() -> bytes:
    source = encode(H264)
    return fragmented(runs_of(source), tracks=[track_of(source, entries=[_protected(source.entry)])])


@registry.refused("partly_encrypted.mp4", "two sample entries, one in the clear and one encrypted", "EncryptedMp4Error")
def partly_encrypted() -> bytes:
    entry = encode(H264_B).entry
    return mux(h264_b(entries=[entry, _protected(entry)], descriptions=[1, 2, 2]))


@registry.refused("two_codecs.mp4", "two sample entries of different codecs, both used", "SampleDescriptionError")
def two_codecs() -> bytes:
    first, second = encode(H264), encode(AV1)
    samples = [*first.part(0, 16), *second.part(16, 24)]
    return mux(track_of(first, samples=samples, entries=[first.entry, second.entry], descriptions=[1, 1, 2]))


@registry.refused(
    "two_sizes.mp4", "two sample entries with pictures of different sizes, both used", "SampleDescriptionError"
)
def two_sizes() -> bytes:
    first, second = encode(H264), encode(replace(H264, width=128, height=96))
    samples = [*first.part(0, 16), *second.part(16, 24)]
    return mux(track_of(first, samples=samples, entries=[first.entry, second.entry], descriptions=[1, 1, 2]))


@registry.refused("missing_description.mp4", "chunks of a sample entry that is not there", "SampleDescriptionError")
def missing_description() -> bytes:
    return mux(h264_b(descriptions=[1, 1, 2]))


@registry.refused(
    "b_pictures_without_offsets.mp4", "H.264 with reordered frames and no composition offsets", "SampleTableError"
)
def b_pictures_without_offsets() -> bytes:
    source = encode(H264_B)
    return mux(track_of(source, samples=[replace(sample, offset=0) for sample in source.samples]))


@registry.refused(
    "mpeg4_b_pictures_without_offsets.mp4",
    "MPEG-4 part 2 with reordered frames and no composition offsets",
    "SampleTableError",
)
def mpeg4_b_pictures_without_offsets() -> bytes:
    source = encode(Recipe("mpeg4", b_frames=2))
    return mux(track_of(source, samples=[replace(sample, offset=0) for sample in source.samples]))


@registry.refused("no_description.mp4", "an stsd without entries", "SampleDescriptionError")
def no_description() -> bytes:
    return mux(h264_b(entries=[]))


@registry.refused("cut_in_mdat.mp4", "moov in front, the end of mdat missing", "SampleTableError")
def cut_in_mdat() -> bytes:
    return mux(h264_b(), layout=Layout(moov_first=True))[:-900]


@registry.refused("cut_before_moov.mp4", "moov behind mdat, cut within mdat: recording stopped", "TruncatedMp4Error")
def cut_before_moov() -> bytes:
    return mux(h264_b())[:3000]


@registry.refused("cut_in_moov.mp4", "cut within moov, which comes last", "TruncatedMp4Error")
def cut_in_moov() -> bytes:
    return mux(h264_b())[:-100]


@registry.refused("cut_in_open_mdat.mp4", "an mdat of size 0 whose end is missing", "SampleTableError")
def cut_in_open_mdat() -> bytes:
    return mux(h264_b(), layout=Layout(moov_first=True, mdat_size="to the end"))[:-900]


@registry.refused("sound_only.mp4", "no video track", "NoVideoTrackError")
def sound_only() -> bytes:
    return mux(track_of(encode_sound(24)))


@registry.refused("no_tracks.mp4", "a moov without tracks", "NoVideoTrackError")
def no_tracks() -> bytes:
    return mux()


@registry.refused("no_samples.mp4", "a video track without samples", "SampleTableError")
def no_samples() -> bytes:
    return mux(h264(samples=(), chunk_sizes=(), edits=b""))


@registry.refused(
    "same_time_twice.mp4", "a sample of duration 0 in the middle: two frames at one time", "EpisodeFramesError"
)
def same_time_twice() -> bytes:
    samples = list(encode(H264).samples)
    samples[10] = replace(samples[10], duration=0)
    return mux(h264(samples=samples))


@registry.refused(
    "fragments_out_of_order.mp4", "a fragment whose tfdt lies before the one in front of it", "SampleTableError"
)
def fragments_out_of_order() -> bytes:
    return _in_order([0, 2, 1])


def _in_order(groups: list[int]) -> bytes:
    samples = encode(H264).samples

    def parts(first: int, stop: int, position: int) -> list[TrackFragment]:
        chosen = samples[8 * groups[first // 8] :][:8]
        return [TrackFragment(runs=[Run(samples=chosen)], decode_time=chosen[0].dts)]

    return fragmented(parts)


@registry.refused(
    "fragments_overlap.mp4", "a fragment whose tfdt lies within the one in front of it", "SampleTableError"
)
def fragments_overlap() -> bytes:
    samples = encode(H264).samples

    def parts(first: int, stop: int, position: int) -> list[TrackFragment]:
        return [TrackFragment(runs=[Run(samples=samples[first:stop])], decode_time=max(0, samples[first].dts - 1024))]

    return fragmented(parts)


@registry.refused("more_chunks.mp4", "stsc and stco for more samples than stsz has", "SampleTableError")
def more_chunks() -> bytes:
    return mux(h264(replaced={"stsc": full_box(b"stsc", 0, struct.pack(">IIII", 1, 1, 9, 1))}))


@registry.refused("sync_sample_outside.mp4", "stss names sample 25 of 24", "SampleTableError")
def sync_sample_outside() -> bytes:
    return mux(h264(replaced={"stss": full_box(b"stss", 0, array("I", [1, 9, 25]))}))


@registry.refused("chunk_outside.mp4", "a chunk that starts behind the end of the file", "SampleTableError")
def chunk_outside() -> bytes:
    return mux(h264(replaced={"stco": full_box(b"stco", 0, array("I", [40, 1 << 20, 900]))}))


@registry.refused("other_file.mp4", "media data in another file (dref)", "SampleTableError")
def other_file() -> bytes:
    inside = full_box(b"url ", 0, flags=1)
    outside = full_box(b"url ", 0, b"other.mp4\0")
    file = mux(h264())
    for kind in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        place = file.rindex(kind) - 4
        (size,) = struct.unpack_from(">I", file, place)
        file = file[:place] + struct.pack(">I", size + len(outside) - len(inside)) + file[place + 4 :]
    return file.replace(inside, outside)


@registry.refused("compressed_header.mov", "QuickTime with a compressed moov (cmov)", "MalformedBoxError")
def compressed_header() -> bytes:
    packed = box(b"cmov", box(b"dcom", b"zlib"), box(b"cmvd", bytes(40)))
    return FTYP + box(b"moov", packed) + box(b"mdat", bytes(100))


@registry.refused("empty.mp4", "no bytes at all", "TruncatedMp4Error")
def empty() -> bytes:
    return b""


@registry.refused("text.mp4", "no video: text", "TruncatedMp4Error")
def text() -> bytes:
    return b"This is not a video.\n" * 20


@registry.refused("flash.mp4", "Flash video under another name", "ContainerError")
def flash() -> bytes:
    return write_video(H264, container="flv")


@registry.refused("mpeg4.avi", "AVI", "ContainerError")
def avi() -> bytes:
    return write_video(Recipe("mpeg4", count=8), container="avi")


@registry.refused("h264.ts", "MPEG-TS", "ContainerError")
def transport_stream() -> bytes:
    return write_video(replace(H264_B, count=8), container="mpegts")
