"""Matroska files made element by element (RFC 8794, RFC 9559), for what FFmpeg's muxer does not write."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av

UNKNOWN_SIZE = b"\x01" + b"\xff" * 7

KEYFRAME, INVISIBLE, FIXED_SIZE_LACING = 0x80, 0x08, 0x04


def element(number: int, *parts: bytes, has_size: bool = True) -> bytes:
    """An element with its size in eight bytes, or of unknown size."""
    payload = b"".join(parts)
    size = (1 << 56 | len(payload)).to_bytes(8, "big") if has_size else UNKNOWN_SIZE
    return number.to_bytes((number.bit_length() + 7) // 8, "big") + size + payload


def integer(number: int, value: int) -> bytes:
    """An element that holds an unsigned integer."""
    return element(number, value.to_bytes(8, "big"))


def float_element(number: int, value: float) -> bytes:
    """An element that holds a float of eight bytes."""
    return element(number, struct.pack(">d", value))


def encoding(kind: int, *parts: bytes) -> bytes:
    """ContentEncodings with one ContentEncoding of a type: 0 is compression, 1 encryption."""
    return element(0x6D80, element(0x6240, integer(0x5033, kind), *parts))


@dataclass(frozen=True, slots=True)
class Picture:
    """One encoded picture."""

    data: bytes
    milliseconds: int
    is_key: bool


@dataclass(frozen=True, slots=True)
class Video:
    """The pictures of a file in decode order, and what its track says of them."""

    pictures: Sequence[Picture]
    codec_id: bytes
    codec_private: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Form:
    """How to write a video; the defaults give an ordinary file."""

    track: bytes = b""
    """More elements of the TrackEntry."""
    video: bytes = b""
    """More elements of its Video."""
    stored: Callable[[bytes], bytes] = field(default=bytes)
    """What is put into a block for a picture's bytes."""
    flags: int = 0
    """More flags of every block."""
    track_number: int = 1
    timestamp_scale: int = 1_000_000
    default_duration: int = 0
    """Nanoseconds; none is written for 0."""
    pictures_per_cluster: int = 20
    has_groups: bool = False
    """BlockGroup and Block instead of SimpleBlock."""
    is_live: bool = False
    """Segment and clusters of unknown size."""
    has_cluster_times: bool = True
    first_millisecond: int = 0
    """Where the times start to count."""
    head: bytes = b""
    """What comes before the first cluster."""
    tail: bytes = b""
    """What follows the last cluster in the segment."""


def read_video(path: Path, codec_id: bytes) -> Video:
    """The pictures of a file that FFmpeg can read."""
    with av.open(path.as_posix()) as container:
        stream = container.streams.video[0]
        pictures = []
        for packet in container.demux(stream):
            if packet.size:
                assert packet.pts is not None
                assert packet.time_base is not None
                pictures.append(Picture(bytes(packet), round(1000 * packet.pts * packet.time_base), packet.is_keyframe))
        context = stream.codec_context
        return Video(pictures, codec_id, context.extradata or b"", context.width, context.height)


def matroska_bytes(video: Video, form: Form) -> bytes:
    """The file."""
    header = element(0x1A45DFA3, element(0x4282, b"matroska"), integer(0x4287, 4), integer(0x4285, 2))
    information = element(0x1549A966, integer(0x2AD7B1, form.timestamp_scale))
    entry = element(
        0xAE,
        integer(0xD7, form.track_number),
        integer(0x73C5, 1),
        integer(0x83, 1),
        element(0x86, video.codec_id),
        element(0x63A2, video.codec_private) if video.codec_private else b"",
        integer(0x23E383, form.default_duration) if form.default_duration else b"",
        element(0xE0, integer(0xB0, video.width), integer(0xBA, video.height), form.video),
        form.track,
    )
    clusters = []
    for start in range(0, len(video.pictures), form.pictures_per_cluster):
        group = video.pictures[start : start + form.pictures_per_cluster]
        origin = min(picture.milliseconds for picture in group)
        blocks = [_block(picture, picture.milliseconds - origin, form) for picture in group]
        time = integer(0xE7, form.first_millisecond + origin) if form.has_cluster_times else b""
        clusters.append(element(0x1F43B675, time, *blocks, has_size=not form.is_live))
    tracks = element(0x1654AE6B, entry)
    return header + element(0x18538067, information, tracks, form.head, *clusters, form.tail, has_size=not form.is_live)


def _block(picture: Picture, milliseconds: int, form: Form) -> bytes:
    number = (
        (0x4000 | form.track_number).to_bytes(2, "big")
        if form.track_number > 126
        else bytes([0x80 | form.track_number])
    )
    is_key = KEYFRAME if picture.is_key and not form.has_groups else 0
    lacing = b"\0" if form.flags & FIXED_SIZE_LACING else b""
    payload = (
        number + milliseconds.to_bytes(2, "big") + bytes([form.flags | is_key]) + lacing + form.stored(picture.data)
    )
    if not form.has_groups:
        return element(0xA3, payload)
    return element(0xA0, element(0xA1, payload), b"" if picture.is_key else element(0xFB, b"\xff"))
