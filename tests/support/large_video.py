"""A video file of any size: real LeRobot episodes one after the other, repeated, muxed without an encoder in seconds."""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from tests.features.encoding import Sample, sample_entry
from tests.features.muxer import FTYP, MOVIE_TIMESCALE, Track, movie_header, trak
from tests.support.build_index import DATA, episode_frames_in_file
from tests.support.mp4_boxes import box, elst, full_box, runs, stsd

FRAMES_PER_SECOND = 30
FRAME_TICKS = 512
TIMESCALE = FRAMES_PER_SECOND * FRAME_TICKS
CHUNK_BYTES = 1 << 20
"""FFmpeg's muxer begins a chunk when this is exceeded."""


@dataclass(frozen=True, slots=True, eq=False)
class EncodedEpisode:
    """The samples of one episode in decode order, which is presentation order; the first one is a sync sample."""

    payload: bytes
    size: npt.NDArray[np.int64]  # bytes, shape [frame_count]
    is_sync: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        if not self.is_sync[0] or self.size.sum() != len(self.payload):
            raise ValueError("an episode that does not start on a sync sample, or is not as long as its samples")


@dataclass(frozen=True, slots=True)
class LargeVideo:
    """What was written."""

    path: Path
    size_bytes: int
    moov_bytes: int
    is_faststart: bool
    width: int
    height: int
    episode_lengths: tuple[int, ...]
    """Frames of each episode, in the file's order."""

    @property
    def frame_count(self) -> int:
        return sum(self.episode_lengths)


def make_large_video(path: Path, size_bytes: int = 200_000_000, *, is_faststart: bool = True) -> LargeVideo:
    """A file of at least `size_bytes` from the first camera of `tests/data/av1_multifile`: 128x96, some 700 bytes a frame."""
    episodes, entry = lerobot_episodes()
    return write_large_video(path, episodes, entry, size_bytes=size_bytes, is_faststart=is_faststart)


@cache
def lerobot_episodes() -> tuple[tuple[EncodedEpisode, ...], bytes]:
    """The episodes of the first camera of `tests/data/av1_multifile`, and their sample entry."""
    root = DATA / "av1_multifile"
    episodes: list[EncodedEpisode] = []
    entries: set[bytes] = set()
    places = episode_frames_in_file(root, "observation.images.top")
    for name in dict.fromkeys(path for path, _, _ in places):
        mp4 = (root / name).read_bytes()
        entries.add(without_bitrate(sample_entry(mp4, "video")))
        episodes += read_episodes(root / name, [length for path, _, length in places if path == name])
    (entry,) = entries
    return tuple(episodes), entry


def without_bitrate(entry: bytes) -> bytes:
    """A sample entry without its last box, btrt: all that differs between files of one encoder with one setting."""
    end = entry.rindex(b"btrt") - 4
    return struct.pack(">I", end) + entry[4:end]


def read_episodes(path: Path, lengths: Iterable[int]) -> list[EncodedEpisode]:
    """The samples of a file without reordered frames, cut into episodes."""
    with av.open(path.as_posix()) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
    if [packet.pts for packet in packets] != [FRAME_TICKS * place for place in range(len(packets))]:
        raise ValueError(f"{path}: frames that are not {FRAME_TICKS} ticks apart, in order, from 0")
    episodes, start = [], 0
    for length in lengths:
        part = packets[start : start + length]
        size = np.array([packet.size for packet in part])
        is_sync = np.array([packet.is_keyframe for packet in part])
        episodes.append(EncodedEpisode(b"".join(map(bytes, part)), size, is_sync))
        start += length
    if start != len(packets):
        raise ValueError(f"{path}: {len(packets)} samples, expected {start}")
    return episodes


def write_large_video(
    path: Path, episodes: Sequence[EncodedEpisode], entry: bytes, *, size_bytes: int, is_faststart: bool = True
) -> LargeVideo:
    """Write episodes in turn until their bytes reach `size_bytes`.

    Args:
        path: The file.
        episodes: All of one size of pictures, decoded with `entry`.
        entry: A sample entry, a box.
        size_bytes: The least size of the media data.
        is_faststart: Whether moov comes before the media data.
    """
    width, height = struct.unpack_from(">HH", entry, 32)
    chosen: list[EncodedEpisode] = []
    total = 0
    while total < size_bytes:
        chosen.append(episodes[len(chosen) % len(episodes)])
        total += len(chosen[-1].payload)
    size = np.concatenate([episode.size for episode in chosen])
    is_sync = np.concatenate([episode.is_sync for episode in chosen])
    first_of_chunk = _chunk_starts(size)
    mdat_header = struct.pack(">I4s", 8 + total, b"mdat") if total + 8 < 1 << 32 else _wide_mdat(total)
    chunk_offset = np.concatenate([[0], np.cumsum(size)])[first_of_chunk]

    def moov_at(media_start: int) -> bytes:
        return _moov(size, is_sync, first_of_chunk, chunk_offset + media_start, entry, width, height)

    before_media = len(FTYP) + len(mdat_header)
    moov_bytes = len(moov_at(total))  # its size depends on how large the offsets are, not on where it is
    moov = moov_at(before_media + (moov_bytes if is_faststart else 0))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(FTYP + (moov if is_faststart else b"") + mdat_header)
        for episode in chosen:
            file.write(episode.payload)
        file.write(b"" if is_faststart else moov)
        written = file.tell()
    lengths = tuple(len(episode.size) for episode in chosen)
    return LargeVideo(path, written, moov_bytes, is_faststart, width, height, lengths)


def _wide_mdat(total: int) -> bytes:
    return struct.pack(">I4sQ", 1, b"mdat", 16 + total)


def _chunk_starts(size: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The first sample of each chunk of at most `CHUNK_BYTES`."""
    end = np.cumsum(size)
    starts, following = [], 0
    while following < len(size):
        starts.append(following)
        fitting = int(np.searchsorted(end, end[following] - size[following] + CHUNK_BYTES, "right"))
        following = max(fitting, following + 1)
    return np.array(starts)


def _moov(
    size: npt.NDArray[np.int64],
    is_sync: npt.NDArray[np.bool_],
    first_of_chunk: npt.NDArray[np.int64],
    chunk_offset: npt.NDArray[np.int64],
    entry: bytes,
    width: int,
    height: int,
) -> bytes:
    count = len(size)
    per_chunk = np.diff(first_of_chunk, append=count)
    changes = np.concatenate([[0], np.flatnonzero(np.diff(per_chunk)) + 1])
    sample_to_chunk = np.stack([changes + 1, per_chunk[changes], np.ones_like(changes)], axis=1)
    name, dtype = (b"stco", ">u4") if size.sum() < 1 << 31 else (b"co64", ">u8")
    tables = [
        stsd(entry),
        full_box(b"stts", 0, runs([FRAME_TICKS] * count, "I")),
        full_box(b"stss", 0, _array(np.flatnonzero(is_sync) + 1)),
        full_box(b"stsz", 0, bytes(4), _array(size)),
        full_box(b"stsc", 0, struct.pack(">I", len(changes)), sample_to_chunk.astype(">u4").tobytes()),
        full_box(name, 0, _array(chunk_offset, dtype)),
    ]
    movie_ticks = -(-count * FRAME_TICKS * MOVIE_TIMESCALE // TIMESCALE)  # rounded up: no frame is cut
    whole = Sample(b"", 0, 0, count * FRAME_TICKS, True, 0)  # of the samples trak looks at the durations only
    track = Track(
        samples=(whole,),
        entries=(entry,),
        timescale=TIMESCALE,
        width=width,
        height=height,
        edits=elst([(movie_ticks, 0, 0x10000)]),
    )
    return box(b"moov", movie_header(movie_ticks, 2), trak(1, track, b"".join(tables), duration=movie_ticks))


def _array(values: npt.NDArray[Any], dtype: str = ">u4") -> bytes:
    return struct.pack(">I", len(values)) + values.astype(dtype).tobytes()
