"""What plain decoders make of a whole file, from its first byte to its last: nothing here is this project's.

Pictures are kept as digests: a file may have any number of frames.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt

from tests.oracle.picture_digest import array_digest, bytes_digest, is_depth, native_digest, upright_depth, upright_rgb
from tests.support.whole_file import usable_backends

BATCH_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """A sample as FFmpeg sees it, in its index or as a packet."""

    position: int
    size: int
    is_key: bool
    is_discarded: bool
    """Needed for decoding at most: the edit list cuts it away."""
    pts: int | None = None
    """Ticks; of packets."""
    payload: bytes = field(default=b"", repr=False)
    """Digest of the bytes; of packets."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded picture."""

    tick: int
    native: bytes
    """Digest of the planes."""
    rgb: bytes
    """Digest of RGB, upright."""
    gray: bytes = b""
    """Digest of the picture as 16-bit numbers, upright, where it is depth."""
    size: tuple[int, int] = (0, 0)
    """Width and height as decoded, pixels."""


@dataclass(frozen=True, slots=True)
class Reference:
    """FFmpeg's reading of the first video stream."""

    is_mp4: bool
    stream_index: int
    time_base: Fraction
    entries: list[Entry]
    packets: list[Entry]
    frames: list[Frame]
    error: str = ""
    """Why decoding ended before the file did."""


def decode_with_pyav(path: Path) -> Reference:
    """Demux and decode. Raises av.error.FFmpegError when the file cannot be opened, LookupError without a video stream.

    Of a file that was cut off, the end is left out: FFmpeg gives a packet of a part of a sample, and announces others.
    """
    file_size = path.stat().st_size
    with av.open(path.as_posix()) as container:
        if not container.streams.video:
            raise LookupError("no video stream")
        stream = container.streams.video[0]
        packets = []
        error = ""
        try:
            for packet in container.demux(stream):
                if (packet.size or packet.pts is not None) and not packet.is_corrupt:
                    pts, is_key = packet.pts, bool(packet.is_keyframe)
                    position = -1 if packet.pos is None else packet.pos
                    payload = bytes_digest(bytes(packet))
                    packets.append(Entry(position, packet.size, is_key, bool(packet.is_discard), pts, payload))
        except av.error.FFmpegError as problem:
            error = f"demuxing: {problem}"
        entries = [  # values, not entries: those die with the container; of fragments, they are there only now
            Entry(entry.pos, entry.size, bool(entry.is_keyframe), bool(entry.is_discard))
            for entry in stream.index_entries
            # of samples without bytes there are no packets
            if entry.size and entry.pos + entry.size <= file_size
        ]
        facts = ("mp4" in container.format.name.split(","), stream.index, cast(Fraction, stream.time_base))
    frames: list[Frame] = []
    try:
        with av.open(path.as_posix()) as container:
            whole = (packet for packet in container.demux(video=0) if not packet.is_corrupt)
            for frame in chain.from_iterable(packet.decode() for packet in whole):
                assert isinstance(frame, av.VideoFrame)
                assert frame.pts is not None, "a picture without a time"
                depth = upright_depth(frame)
                gray = b"" if depth is None else array_digest(depth)
                rgb = b"" if is_depth(frame) else array_digest(upright_rgb(frame))  # 8 bits of depth are none of it
                frames.append(Frame(frame.pts, native_digest(frame), rgb, gray, (frame.width, frame.height)))
    except av.error.FFmpegError as problem:
        error = f"decoding: {problem}"
    return Reference(*facts, entries, packets, frames, error)


def decode_clip_with_pyav(mp4: bytes) -> list[tuple[int, bytes]]:
    """Times in ticks and native digests of all frames that FFmpeg presents."""
    with av.open(io.BytesIO(mp4), mode="r") as container:
        return [(cast(int, frame.pts), native_digest(frame)) for frame in container.decode(video=0)]


def decode_with_torchcodec(path: Path, reference: Reference) -> tuple[dict[int, bytes], str]:
    """Digest of each picture, by its time in ticks of the stream, and what went wrong when some are missing."""
    if "torchcodec" not in usable_backends():
        return {}, "TorchCodec is not installed"
    from torchcodec.decoders import VideoDecoder  # type: ignore[attr-defined]  # exported without saying so

    found: dict[int, bytes] = {}
    problem = ""
    try:
        decoder = VideoDecoder(path.as_posix(), stream_index=reference.stream_index, seek_mode="exact")
    except (RuntimeError, ValueError) as error:
        return found, _first_line(error)
    ranges = [(0, len(decoder))]
    while ranges:
        start, stop = ranges.pop()
        try:
            for seconds, digest in torchcodec_pictures(decoder, start, stop):
                found[round(Fraction(seconds) / reference.time_base)] = digest
        except (RuntimeError, ValueError, IndexError) as error:  # which of them it is, it does not say
            problem = problem or _first_line(error)
            if stop - start > 1:
                ranges += [(rank, rank + 1) for rank in range(start, stop)]
    return found, problem


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def torchcodec_pictures(decoder: Any, start: int, stop: int) -> Iterator[tuple[float, bytes]]:
    """Times in seconds and digests of frames `[start, stop)`, a few at a time."""
    height, width = decoder.metadata.height or 1, decoder.metadata.width or 1
    step = max(BATCH_BYTES // (3 * height * width), 1)
    for first in range(start, stop, step):
        batch = decoder.get_frames_in_range(first, min(first + step, stop))
        pictures: npt.NDArray[np.uint8] = batch.data.numpy()
        yield from zip(batch.pts_seconds.tolist(), map(array_digest, pictures), strict=True)
