"""Matroska and WebM files: the table against PyAV's own packets, clips against whole-file decoding, refusals by name."""

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import fsspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import episeek
from episeek.errors import (
    BackendUnavailableError,
    ContainerError,
    EncryptedMp4Error,
    EpiseekError,
    MalformedBoxError,
    NoVideoTrackError,
    ReadError,
    SampleDescriptionError,
    SampleTableError,
    TruncatedMp4Error,
)
from episeek.mp4.moov.video_track import IDENTITY_MATRIX
from episeek.mp4.sample_table import SampleTable
from episeek.stores.byte_source import ByteRange, CountingSource
from episeek.stores.identity import FileIdentity
from episeek.stores.open_source import open_source
from episeek.stores.transfers import Transfers
from episeek.stores.transports.local import LocalSource
from episeek_pipelines.video import demuxer_file, stream_copy
from episeek_pipelines.video.matroska import demux_matroska, is_matroska
from tests.oracle.file_check import Options, check_file
from tests.support import bar_code, matroska_file
from tests.support.amount import every, examples
from tests.support.encode import Encoding, encode_episodes
from tests.support.matroska_file import Form, Video, element, encoding, float_element, integer, matroska_bytes
from tests.support.one_file_index import CAMERA, open_one_file
from tests.support.whole_file import decode_whole_file, decode_with_plain_pyav, usable_backends

FRAME_COUNT = 75
X264 = {"preset": "fast", "x264-params": "keyint=25:min-keyint=25:scenecut=0:open-gop=0"}
X265 = {"x265-params": "keyint=20:min-keyint=20:scenecut=0:open-gop=1:bframes=4:log-level=none"}
VP9 = {"g": "30", "auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "good", "cpu-used": "5"}
H264 = Encoding("libx264", X264, b_frame_count=3)
ENCODED = {
    "h264.mkv": H264,
    "h264-sound.mkv": replace(H264, has_sound=True),
    "h264-variable-rate.mkv": replace(H264, is_variable_rate=True),
    "hevc-open-gop-sound.mkv": Encoding("libx265", X265, b_frame_count=4, has_sound=True),
    "av1.webm": Encoding("libsvtav1", {"g": "30", "preset": "12", "svtav1-params": "lookahead=0"}),
    "vp9-hidden-frames.webm": Encoding("libvpx-vp9", VP9),
    "mpeg4.mkv": Encoding("mpeg4", {"g": "12"}, b_frame_count=2),
    "ffv1.mkv": Encoding("ffv1", {"g": "10"}),
}
REMUXED = {  # options of FFmpeg's muxer
    "cues-in-front.mkv": {"cues_to_front": "1"},
    "live.mkv": {"live": "1"},
    "many-clusters.mkv": {"cluster_size_limit": "2000"},
    "named.mp4": {},
}
NAMES = (*ENCODED, *REMUXED)
CODECS = {"h264": "avc1", "hevc": "hev1", "av1": "av01", "vp9": "vp09", "mpeg4": "mp4v", "ffv1": "FFV1"}


@dataclass(frozen=True, slots=True)
class BytesSource:
    """One file in memory, of any path; a read that touches `broken_at` fails."""

    data: bytes
    broken_at: int | None = None
    root: str = ""
    probe_bytes: int = 4096
    tail_bytes: int = 4096

    def identity(self, path: str) -> FileIdentity:
        return FileIdentity(len(self.data))

    def transfers(self) -> Transfers:
        return Transfers()

    def get_ranges(self, path: str, ranges: Sequence[ByteRange]) -> list[bytes]:
        if self.broken_at is not None and any(start <= self.broken_at < stop for start, stop in ranges):
            raise ReadError(path, "a broken store", "bytes")
        return [self.data[start:stop] for start, stop in ranges]


@dataclass(frozen=True, slots=True)
class Packet:
    data: bytes
    tick: int
    is_key: bool


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("matroska")


@cache
def make(name: str, folder: Path) -> Path:
    path = folder / name
    if name in ENCODED:
        encode_episodes(path, ENCODED[name], [FRAME_COUNT])
        return path
    with (
        av.open(make("h264-sound.mkv", folder).as_posix()) as source,
        av.open(path.as_posix(), "w", format="matroska", options=REMUXED[name]) as target,
    ):
        outputs = {stream.index: target.add_stream_from_template(stream, opaque=True) for stream in source.streams}
        for packet in source.demux():
            if packet.size:
                packet.stream = outputs[packet.stream_index]
                target.mux(packet)
    return path


@cache
def make_index(name: str, folder: Path) -> episeek.ByteIndex:
    path = make(name, folder)
    return open_one_file(path, demux(path.read_bytes()), folder / f"index of {name}")


@cache
def h264(folder: Path) -> Video:
    return matroska_file.read_video(make("h264.mkv", folder), b"V_MPEG4/ISO/AVC")


def demux(data: bytes) -> SampleTable:
    return demux_matroska(BytesSource(data), "file.mkv", file_size=len(data))


def read_packets(data: bytes) -> list[Packet]:
    """The first video track's, as plain PyAV gives them."""
    with av.open(io.BytesIO(data), "r", metadata_errors="replace") as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        unit = stream.time_base.numerator
        packets = container.demux(stream)
        return [
            Packet(bytes(packet), unit * (packet.pts or 0), packet.is_keyframe) for packet in packets if packet.size
        ]


def stored_samples(table: SampleTable, data: bytes) -> list[bytes]:
    return [data[at : at + size] for at, size in zip(table.offset.tolist(), table.size.tolist(), strict=True)]


def same_tables(one: SampleTable, other: SampleTable) -> bool:
    arrays = ("offset", "size", "dts", "pts", "duration", "is_sync", "is_presented")
    facts = ("timescale", "codec", "width", "height", "sample_description", "matrix")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays) and all(
        getattr(one, name) == getattr(other, name) for name in facts
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_sample_is_the_packet_that_ffmpeg_reads_where_it_lies_in_the_file(folder, name):
    data = make(name, folder).read_bytes()
    assert is_matroska(data[:4])
    table, packets = demux(data), read_packets(data)
    assert len(table) == len(packets) == FRAME_COUNT
    assert stored_samples(table, data) == [packet.data for packet in packets]
    assert table.pts.tolist() == [packet.tick for packet in packets]
    assert table.is_sync.tolist() == [packet.is_key for packet in packets]
    assert 1 < table.is_sync.sum() < FRAME_COUNT
    assert table.is_presented.all()
    assert table.timescale == 1000
    assert table.codec == CODECS.get(name.partition(".")[0].partition("-")[0], "avc1")
    assert table.codec.encode() in table.sample_description
    assert (table.width, table.height, table.matrix) == (96, 64, IDENTITY_MATRIX)


@pytest.mark.parametrize("name", NAMES)
def test_decode_times_and_durations_follow_from_the_presentation_times(folder, name):
    table = demux(make(name, folder).read_bytes())
    order = table.presentation_order()
    assert table.dts.tolist() == (table.pts[order] - table.pts[order[0]]).tolist()
    assert table.duration[order[:-1]].tolist() == np.diff(table.pts[order]).tolist()
    assert table.duration.min() > 0


def test_fixtures_are_what_they_are_meant_to_be(folder):
    """Without reordering, gaps, odd rates and unknown sizes, the tests here would show nothing."""
    tables = {name: demux(make(name, folder).read_bytes()) for name in NAMES}
    assert [name for name in ENCODED if (np.diff(tables[name].pts) < 0).any()] == [
        name for name, encoding in ENCODED.items() if encoding.b_frame_count
    ]
    assert len(set(np.diff(np.sort(tables["h264-variable-rate.mkv"].pts)).tolist())) > 2
    sound, silence = tables["h264-sound.mkv"], tables["h264.mkv"]
    assert np.median(sound.offset[1:] - sound.offset[:-1] - sound.size[:-1]) > 10
    assert np.median(silence.offset[1:] - silence.offset[:-1] - silence.size[:-1]) < 10
    cluster, cues = b"\x1f\x43\xb6\x75", b"\x1c\x53\xbb\x6b"
    contents = {name: make(name, folder).read_bytes() for name in REMUXED}
    assert contents["cues-in-front.mkv"].index(cues) < contents["cues-in-front.mkv"].index(cluster)
    assert contents["many-clusters.mkv"].count(cluster) > 20
    assert b"\x18\x53\x80\x67\x01" + b"\xff" * 7 in contents["live.mkv"]


@pytest.mark.torch
@pytest.mark.parametrize("name", every(NAMES, 3))
@settings(max_examples=examples(12), deadline=None)
@given(data=st.data())
def test_clip_of_any_window_is_bit_for_bit_what_decoding_the_whole_file_gives(folder, name, data):
    start = data.draw(st.integers(0, FRAME_COUNT - 1))
    stop = data.draw(st.integers(start + 1, min(start + 20, FRAME_COUNT)))
    path = make(name, folder)
    clip = make_index(name, folder).clip(0, CAMERA, start, stop)
    for backend in usable_backends():
        whole = decode_whole_file(path, backend)
        decoded = clip.decode(backend)
        pictures = np.asarray(decoded.data)
        assert bar_code.read(pictures) == list(range(start, stop))
        assert np.array_equal(pictures, whole.pictures[start:stop])
        ticks = whole.ticks[start:stop] - whole.ticks[start]
        assert decoded.pts_seconds.tolist() == (ticks / whole.ticks_per_second).tolist()
    hidden_ticks, hidden_pictures, ticks_per_second = decode_with_plain_pyav(clip.read())
    assert ((hidden_ticks / ticks_per_second) == decoded.pts_seconds).all()
    assert np.array_equal(hidden_pictures, decode_whole_file(path, "pyav").pictures[start:stop])


FORMS = {
    "simple blocks": Form(),
    "block groups": Form(has_groups=True),
    "unknown sizes": Form(is_live=True),
    "unknown sizes, cues behind": Form(is_live=True, tail=element(0x1C53BB6B)),
    "long track number": Form(track_number=200),
    "default duration": Form(default_duration=40_000_000),
    "clock of 10 kHz": Form(timestamp_scale=100_000),
    "clock of an odd rate": Form(timestamp_scale=999_999),
    "cropped": Form(video=integer(0x54AA, 8) + integer(0x54CC, 16)),
    "limited range": Form(video=element(0x55B0, integer(0x55B9, 1), integer(0x55B1, 5))),
    "full range": Form(video=element(0x55B0, integer(0x55B9, 2), integer(0x55B1, 1))),
    "turned": Form(video=element(0x7670, float_element(0x7675, 90.0))),
    "mirrored": Form(video=element(0x7670, float_element(0x7673, 180.0))),
    "void behind": Form(tail=element(0xEC, bytes(300))),
}
QUARTER_TURNS = {"turned": 1, "mirrored": 2}


@pytest.mark.parametrize("name", FORMS)
def test_files_of_any_form_are_indexed(folder, name):
    video, form = h264(folder), FORMS[name]
    data = matroska_bytes(video, form)
    table = demux(data)
    ratio = form.timestamp_scale * table.timescale // 1_000_000_000
    assert stored_samples(table, data) == [picture.data for picture in video.pictures]
    assert table.pts.tolist() == [ratio * picture.milliseconds for picture in video.pictures]
    assert table.is_sync.tolist() == [picture.is_key for picture in video.pictures]
    assert table.timescale * form.timestamp_scale == ratio * 1_000_000_000
    last = int(table.duration[table.presentation_order()[-1]])
    assert last == (40 if form.default_duration else int(np.median(table.duration)))
    assert (table.matrix != IDENTITY_MATRIX) == (name in QUARTER_TURNS)


@pytest.mark.torch
@pytest.mark.parametrize("name", sorted(FORMS.keys() - {"clock of an odd rate"}))
def test_clips_of_files_of_any_form_decode_as_the_file_does(folder, name):
    path = folder / f"{name}.mkv"
    path.write_bytes(matroska_bytes(h264(folder), FORMS[name]))
    index = open_one_file(path, demux(path.read_bytes()), folder / f"index of {name}")
    if name in QUARTER_TURNS:  # older releases of FFmpeg than PyAV's do not see it in Matroska, but do in MP4
        path = remux_to_mp4(path)
    for backend in usable_backends():
        pictures = np.asarray(index.clip(0, CAMERA, 30, 40).decode(backend).data)
        whole = decode_whole_file(path, backend).pictures[30:40]
        if (
            name in QUARTER_TURNS and backend == "pyav"
        ):  # clips are turned as TorchCodec turns them; plain PyAV does not
            whole = np.rot90(whole, QUARTER_TURNS[name], axes=(2, 3))
        assert np.array_equal(pictures, whole)


def remux_to_mp4(path: Path) -> Path:
    with av.open(path.as_posix()) as source, av.open(path.with_suffix(".mp4").as_posix(), "w") as target:
        output = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = output
                target.mux(packet)
    return path.with_suffix(".mp4")


def annex_b(sample: bytes) -> bytes:
    """Start codes instead of lengths."""
    units, position = [], 0
    while position < len(sample):
        size = int.from_bytes(sample[position : position + 4], "big")
        units.append(b"\0\0\0\1" + sample[position + 4 : position + 4 + size])
        position += 4 + size
    return b"".join(units)


STRIPPED = encoding(0, element(0x5034, integer(0x4254, 3), element(0x4255, b"\0\0")))
REFUSED: dict[str, tuple[Form, type[EpiseekError], str]] = {
    "header stripping": (Form(track=STRIPPED, stored=lambda data: data[2:]), ContainerError, "ContentEncodings"),
    "zlib": (Form(track=encoding(0, element(0x5034)), stored=zlib.compress), ContainerError, "ContentEncodings"),
    "encryption": (Form(track=encoding(1, element(0x5035, integer(0x47E1, 5)))), EncryptedMp4Error, "encrypted"),
    "encryption without a key": (Form(track=encoding(1)), EncryptedMp4Error, "encrypted"),
    "lacing": (Form(flags=matroska_file.FIXED_SIZE_LACING), ContainerError, "lacing"),
    "invisible": (Form(flags=matroska_file.INVISIBLE), ContainerError, "invisible"),
    "cluster without a time": (Form(has_cluster_times=False), SampleTableError, "tick None"),
    "time beyond anything": (Form(first_millisecond=1 << 53), SampleTableError, "tick"),
    "time beyond anything in small units": (
        Form(first_millisecond=1 << 40, timestamp_scale=999_999_999),
        SampleTableError,
        "a time below",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_lie_in_the_file_as_it_is_is_refused(folder, name):
    form, error, words = REFUSED[name]
    with pytest.raises(error, match=words) as caught:
        demux(matroska_bytes(h264(folder), form))
    assert caught.type is error


@pytest.mark.parametrize(
    ("changes", "form", "error", "words"),
    [
        ({"codec_id": b"V_THEORA", "codec_private": b""}, Form(), SampleDescriptionError, "theora video"),
        ({"codec_id": b"V_NONE"}, Form(), SampleDescriptionError, "FFmpeg does not know"),
        ({"codec_id": b"A_VORBIS"}, Form(), NoVideoTrackError, "no tracks"),
        ({"codec_private": b""}, Form(), ContainerError, "FFmpeg"),
        ({"pictures": ()}, Form(), TruncatedMp4Error, "no cluster"),
        ({"pictures": ()}, Form(tail=element(0x1F43B675, integer(0xE7, 0))), SampleTableError, "0 video samples"),
    ],
    ids=[
        "theora",
        "unknown codec",
        "sound under a wrong type",
        "no parameter sets",
        "no cluster",
        "no picture",
    ],
)
def test_what_an_mp4_would_not_hold_as_it_is_is_refused(folder, changes, form, error, words):
    with pytest.raises(error, match=words) as caught:
        demux(matroska_bytes(replace(h264(folder), **changes), form))
    assert caught.type is error


def parameter_sets(video: Video) -> tuple[bytes, bytes]:
    """The only sequence parameter set and the only picture parameter set of an avcC."""
    config = video.codec_private
    size = int.from_bytes(config[6:8], "big")
    sequence, rest = config[8 : 8 + size], config[8 + size :]
    return sequence, rest[3 : 3 + int.from_bytes(rest[1:3], "big")]


def with_start_codes(folder: Path) -> bytes:
    sets = parameter_sets(h264(folder))
    private = b"".join(b"\0\0\0\1" + each for each in sets)
    return matroska_bytes(replace(h264(folder), codec_private=private), Form(stored=annex_b))


def with_picture_parameters_in_band(folder: Path) -> bytes:
    sequence, picture = parameter_sets(h264(folder))
    form = Form(stored=lambda data: b"\0\0\0\1" + picture + annex_b(data))
    return matroska_bytes(replace(h264(folder), codec_private=b"\0\0\0\1" + sequence), form)


def by_the_name_of_avi(folder: Path) -> bytes:
    """FFV1 as FFmpeg 5 writes it."""
    video = matroska_file.read_video(make("ffv1.mkv", folder), b"V_FFV1")
    header = struct.pack("<IiiHH4s20x", 40, video.width, video.height, 1, 24, b"FFV1")
    private = struct.pack("<I", 40 + len(video.codec_private)) + header[4:] + video.codec_private
    return matroska_bytes(replace(video, codec_id=b"V_MS/VFW/FOURCC", codec_private=private), Form())


def matrix_alone(folder: Path) -> bytes:
    """A colour of which the container says nothing but the matrix; the pictures do not say it."""
    return matroska_bytes(h264(folder), Form(video=element(0x55B0, integer(0x55B1, 1))))


@pytest.mark.torch
@pytest.mark.parametrize("build", [with_start_codes, with_picture_parameters_in_band, by_the_name_of_avi, matrix_alone])
def test_what_the_muxer_would_change_is_described_otherwise(folder, tmp_path, build):
    (tmp_path / "file.mkv").write_bytes(build(folder))
    verdict = check_file(tmp_path / "file.mkv", "file.mkv", Options(1))
    assert verdict.status == "identical", verdict.line()


def test_codecs_by_the_names_of_avi_are_refused(folder):
    header = (40).to_bytes(4, "little") + bytes(10) + b"\x18\0H264" + bytes(20)
    video = h264(folder)
    with pytest.raises(ContainerError, match="'H264'"):
        demux(
            matroska_bytes(
                replace(video, codec_id=b"V_MS/VFW/FOURCC", codec_private=header + video.codec_private), Form()
            )
        )


@pytest.mark.parametrize("has_cover", [False, True])
def test_sound_alone_has_no_video_track_not_even_with_a_cover(folder, has_cover):
    path = folder / "sound.mka"
    with av.open(path.as_posix(), "w", format="matroska") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        if has_cover:
            container.add_attachment("cover.png", "image/png", png())
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), format="s16", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    with av.open(io.BytesIO(data), "r") as written:
        assert len(written.streams.video) == has_cover
    with pytest.raises(NoVideoTrackError, match="audio"):
        demux(data)


def png() -> bytes:
    context = av.CodecContext.create("png", "w")
    context.width, context.height, context.pix_fmt, context.framerate = 16, 16, "rgb24", Fraction(1)
    return b"".join(bytes(packet) for packet in context.encode(av.VideoFrame(16, 16, "rgb24")))


@pytest.mark.parametrize("has_groups", [False, True])
def test_keyframes_are_what_the_container_and_the_codec_agree_on(folder, has_groups):
    video = h264(folder)
    found = {}
    for name, marked in {"none": (), "all": range(FRAME_COUNT), "two": (0, 25, 30)}.items():
        pictures = [replace(picture, is_key=place in marked) for place, picture in enumerate(video.pictures)]
        table = demux(matroska_bytes(replace(video, pictures=pictures), Form(has_groups=has_groups)))
        found[name] = np.flatnonzero(table.is_sync).tolist()
    assert found == {"none": [0], "all": [0, 25, 50], "two": [0, 25]}


@settings(max_examples=examples(25), deadline=None)
@given(data=st.data())
def test_a_file_cut_anywhere_is_refused_by_name(folder, data):
    whole = make("h264-sound.mkv", folder).read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises((TruncatedMp4Error, MalformedBoxError)):
        demux(whole[:cut])


def test_a_live_stream_cut_between_blocks_has_the_frames_before_the_cut(folder):
    data = matroska_bytes(h264(folder), Form(is_live=True))
    table = demux(data)
    end = table.offset + table.size
    cut = demux(data[: end[59]])
    assert len(cut) == 60
    assert stored_samples(cut, data) == stored_samples(table, data)[:60]
    for short in (1, 5, int(table.size[59])):
        with pytest.raises(TruncatedMp4Error):
            demux(data[: end[59] - short])


def test_bytes_behind_the_segment_change_nothing_but_a_second_segment_is_refused(folder):
    data = matroska_bytes(h264(folder), Form())
    assert same_tables(demux(data + bytes(500)), demux(data))
    with pytest.raises(ContainerError, match="that FFmpeg reads"):
        demux(data + data)


UNREADABLE = element(0x1F43B675, integer(0xE7, 0), element(0xA3, b"\x81\0\0\x06\xff\0\0"))  # lacing that cannot be


@pytest.mark.parametrize("form", [Form(head=UNREADABLE), Form(tail=UNREADABLE)], ids=["first", "last"])
def test_a_block_that_ffmpeg_passes_over_is_noticed(folder, form):
    data = matroska_bytes(h264(folder), form)
    assert len(read_packets(data)) == FRAME_COUNT
    with pytest.raises(ContainerError, match="check whether the file is damaged"):
        demux(data)


def test_a_block_of_no_bytes_is_no_frame(folder):
    video = h264(folder)
    empty = matroska_file.Picture(b"", video.pictures[3].milliseconds, is_key=False)
    data = matroska_bytes(replace(video, pictures=[*video.pictures[:3], empty, *video.pictures[3:]]), Form())
    assert stored_samples(demux(data), data) == [picture.data for picture in video.pictures]


def test_a_picture_whose_bytes_ffmpeg_changes_is_refused(folder):
    """ProRes: what is in the file lacks the first eight bytes of what the decoder gets."""
    video = Video([matroska_file.Picture(bytes(200), 0, is_key=True)], b"V_PRORES", b"", 96, 64)
    with pytest.raises(ContainerError, match="whose bytes FFmpeg changes"):
        demux(matroska_bytes(video, Form()))


def test_an_element_that_cannot_be_is_refused(folder):
    with pytest.raises(MalformedBoxError, match="byte 0x00"):
        demux(matroska_bytes(h264(folder), Form(tail=bytes(20))))
    with pytest.raises(MalformedBoxError, match="unknown size"):
        demux(matroska_bytes(h264(folder), Form(tail=element(0xEC, has_size=False))))


@pytest.mark.parametrize("name", ["h264-sound.mkv", "vp9-hidden-frames.webm", "hevc-open-gop-sound.mkv"])
@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_damage_ends_in_an_error_by_name_or_in_what_ffmpeg_reads(folder, name, data):
    damaged = bytearray(make(name, folder).read_bytes())
    places = st.one_of(st.integers(0, 900), st.integers(0, len(damaged) - 1))
    for place, value in data.draw(st.dictionaries(places, st.integers(0, 255), min_size=1, max_size=5)).items():
        damaged[place] = value
    try:
        table = demux(bytes(damaged))
    except EpiseekError:
        return
    packets = read_packets(bytes(damaged))
    assert stored_samples(table, bytes(damaged)) == [packet.data for packet in packets]
    assert table.pts.tolist() == [packet.tick for packet in packets]


@pytest.mark.parametrize("name", ["h264-sound.mkv", "mpeg4.mkv", "av1.webm"])
def test_blocks_and_batches_of_any_size_give_the_same_table(folder, name, monkeypatch):
    data = make(name, folder).read_bytes()
    expected = demux(data)
    monkeypatch.setattr(demuxer_file, "BLOCK_BYTES", 997)
    monkeypatch.setattr(demuxer_file, "KEPT_BLOCKS", 2)
    assert same_tables(demux(data), expected)
    monkeypatch.setattr(stream_copy, "BATCH_BYTES", 3000)
    batched = demux(data)
    assert same_tables(replace(batched, sample_description=expected.sample_description), expected)
    assert len(batched.sample_description) == len(expected.sample_description)  # average bit rates of mp4v differ


def test_any_store_gives_the_same_table_and_is_read_once(folder, monkeypatch):
    monkeypatch.setattr(demuxer_file, "BLOCK_BYTES", 1 << 12)
    path = make("h264-sound.mkv", folder)
    fsspec.filesystem("memory").pipe_file("/matroska/file.mkv", path.read_bytes())
    tables = []
    for source, name in ((LocalSource(str(folder)), path.name), (open_source("memory://matroska"), "file.mkv")):
        counting = CountingSource(source)
        tables.append(demux_matroska(counting, name, file_size=path.stat().st_size))
        assert path.stat().st_size <= counting.byte_count < 1.2 * path.stat().st_size
    assert same_tables(*tables)


@pytest.mark.parametrize("place", [0, 100, 20_000, -1])
def test_an_error_of_the_store_arrives_as_it_is(folder, monkeypatch, place):
    monkeypatch.setattr(demuxer_file, "BLOCK_BYTES", 1 << 12)
    data = make("h264-sound.mkv", folder).read_bytes()
    with pytest.raises(ReadError, match="a broken store"):
        demux_matroska(BytesSource(data, range(len(data))[place]), "file.mkv", file_size=len(data))


def test_other_containers_are_not_matroska(folder):
    assert is_matroska(b"\x1a\x45\xdf\xa3")
    assert not is_matroska(b"")
    assert not is_matroska(b"\x1a\x45\xdf")
    for suffix in ("mp4", "avi", "ts"):
        path = folder / f"other.{suffix}"
        encode_episodes(path, Encoding("mpeg4"), [3])
        data = path.read_bytes()
        assert not is_matroska(data)
        with pytest.raises(EpiseekError):
            demux(data)


def test_pyav_is_needed_when_a_file_is_read_and_not_before(folder, monkeypatch):
    program = "import sys, episeek_pipelines.video.matroska; sys.exit('av' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(BackendUnavailableError, match="PyAV"):
        demux(make("h264.mkv", folder).read_bytes())
