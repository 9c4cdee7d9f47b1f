"""The recordings that most features are made of, and NAL units (ISO/IEC 14496-15) taken apart and put together."""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import replace

from tests.features.encoding import Elementary, Recipe, Sample, encode
from tests.features.muxer import MOVIE_TIMESCALE, Track, track_of
from tests.support import mp4_boxes

H264 = Recipe("libx264")
H264_B = Recipe("libx264", b_frames=2)
H264_INTRA = Recipe("libx264", group=1)
H264_OPEN = Recipe("libx264", (("x264-params", "open-gop=1"),), b_frames=2)
H264_10 = Recipe("libx264", pixels="yuv420p10le")
HEVC = Recipe("libx265", (("x265-params", "open-gop=0"),), b_frames=2)
HEVC_OPEN = Recipe("libx265", b_frames=3)
HEVC_10 = Recipe("libx265", (("x265-params", "open-gop=0"),), pixels="yuv420p10le", b_frames=2)
AV1 = Recipe("libsvtav1")
VP9 = Recipe("libvpx-vp9")

RATE_1 = 1 << 16
FILLER = 12
"""NAL unit type of H.264."""


def movie_ticks(track: Track, ticks: int) -> int:
    """Media ticks as the duration of an edit, to the nearest tick of the movie."""
    return round(ticks * MOVIE_TIMESCALE / track.timescale)


def edit_of(source: Elementary, *, start: int = 0, stop: int | None = None) -> bytes:
    """An edit list that presents frames `[start, stop)`; frames are of constant duration."""
    frame = source.samples[0].duration
    count = (len(source.samples) if stop is None else stop) - start
    duration = round(count * frame * MOVIE_TIMESCALE / source.timescale)
    return mp4_boxes.elst([(duration, source.delay + start * frame, RATE_1)])


def presented(source: Elementary, **options: object) -> Track:
    """The track as muxers write it: an edit list takes away the delay that reordering needs."""
    edits = edit_of(source) if source.delay else b""
    return track_of(source, **{"edits": edits, **options})


def h264_b(**options: object) -> Track:
    """H.264 with reordered frames, three groups of eight."""
    return presented(encode(H264_B), **options)


def h264(**options: object) -> Track:
    """H.264 in presentation order, three groups of eight."""
    return presented(encode(H264), **options)


def with_times(source: Elementary, ticks: Sequence[int], *, timescale: int, last: int) -> Elementary:
    """The same samples with frame k presented at `ticks[k]` behind the delay; `last` is how long the last one stays."""
    shift = max(ticks[place] - ticks[sample.number] for place, sample in enumerate(source.samples))
    ends = [*ticks[1:], ticks[-1] + last]
    samples = [
        replace(
            sample,
            dts=ticks[place],
            offset=ticks[sample.number] + shift - ticks[place],
            duration=ends[place] - ticks[place],
        )
        for place, sample in enumerate(source.samples)
    ]
    return replace(source, samples=tuple(samples), timescale=timescale)


def shifted(samples: Iterable[Sample], *, ticks: int = 0, offset: int = 0) -> tuple[Sample, ...]:
    """Samples with decode times and composition offsets moved."""
    return tuple(replace(sample, dts=sample.dts + ticks, offset=sample.offset + offset) for sample in samples)


def nal_units(data: bytes, length_bytes: int = 4) -> list[bytes]:
    """The NAL units of a sample, without their lengths."""
    units, place = [], 0
    while place < len(data):
        size = int.from_bytes(data[place : place + length_bytes])
        units.append(data[place + length_bytes : place + length_bytes + size])
        place += length_bytes + size
    return units


def from_nal_units(units: Iterable[bytes], length_bytes: int = 4) -> bytes:
    """A sample of NAL units."""
    return b"".join(len(unit).to_bytes(length_bytes) + unit for unit in units)


def same_size(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Samples of H.264 filled up to one size with a NAL unit that says nothing."""
    size = max(len(sample.data) for sample in samples) + 6
    filled = []
    for sample in samples:
        filler = bytes([FILLER]) + b"\xff" * (size - len(sample.data) - 6) + b"\x80"
        filled.append(replace(sample, data=from_nal_units([*nal_units(sample.data), filler])))
    return tuple(filled)


def parameter_sets(entry: bytes) -> tuple[list[bytes], list[bytes]]:
    """The sequence and picture parameter sets of an avcC with one of each."""
    place = entry.index(b"avcC") + 4 + 5
    found = []
    for _ in range(2):
        count = entry[place] & 31
        place += 1
        units = []
        for _ in range(count):
            (size,) = struct.unpack_from(">H", entry, place)
            units.append(entry[place + 2 : place + 2 + size])
            place += 2 + size
        found.append(units)
    return found[0], found[1]


def with_box(entry: bytes, *boxes: bytes) -> bytes:
    """A sample entry with more boxes at its end."""
    body = entry[8:] + b"".join(boxes)
    return mp4_boxes.box(entry[4:8], body)


def without_box(entry: bytes, kind: bytes) -> bytes:
    """A visual sample entry without the boxes of a kind."""
    kept, place = entry[8:86], 86
    while place + 8 <= len(entry):
        (size,) = struct.unpack_from(">I", entry, place)
        kept += b"" if entry[place + 4 : place + 8] == kind else entry[place : place + size]
        place += size
    return mp4_boxes.box(entry[4:8], kept)


def renamed(entry: bytes, kind: bytes) -> bytes:
    """A sample entry of another name."""
    return entry[:4] + kind + entry[8:]
