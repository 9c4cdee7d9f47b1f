"""Decode pictures one at a time, and read their luma and the number burned into them.

Decoding runs in one thread. Worker processes already use all cores, memory use stays low, and an error can be attributed to the
sample that was sent to the decoder last.
"""

import hashlib
import io
from collections.abc import Iterator
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from episeek.decode import quarter_turns
from episeek.errors import first_line

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer

CELL_PIXELS = 6
"""Side of a cell of the burned-in number, in pixels."""

_WHITE_LEVEL = 127


class PictureError(Exception):
    """The failure of a decoder.

    Args:
        message: The message of the decoder.
        pts: The presentation time of the sample that was sent to the decoder last; None if no sample was sent.
    """

    def __init__(self, message: str, pts: int | None) -> None:
        super().__init__(message, pts)
        self.message = message
        self.pts = pts


def has_decoder() -> bool:
    """Return whether PyAV is installed."""
    return find_spec("av") is not None


def decode_clip(mp4: bytes) -> Iterator["VideoFrame"]:
    """Yield the pictures of a complete MP4 with PyAV, in presentation order.

    Raises:
        PictureError: The file cannot be opened, or the decoder fails.
    """
    import av

    pts: int | None = None
    try:
        with av.open(io.BytesIO(mp4), mode="r", format="mp4") as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            for packet in container.demux(stream):
                pts = packet.pts if packet.pts is not None else pts
                yield from packet.decode()
    except av.error.FFmpegError as error:
        raise PictureError(first_line(error), pts) from error


def decode_what_can_be(mp4: bytes) -> Iterator["VideoFrame"]:
    """Yield the pictures of a complete MP4 like `decode_clip`, but skip samples that the decoder refuses.

    Raises:
        PictureError: The file cannot be opened, or its samples cannot be read.
    """
    import av

    try:
        with av.open(io.BytesIO(mp4), mode="r", format="mp4") as container:
            for _, pictures in _decoded_packets(container):
                yield from pictures
    except av.error.FFmpegError as error:
        raise PictureError(first_line(error), None) from error


def decode_file(
    path: Path, *, start_seconds: Fraction | None = None
) -> Iterator[tuple["Packet[VideoStream]", list["VideoFrame"]]]:
    """Yield (packet, pictures) in decode order for each packet of a local file, as FFmpeg reads and decodes it.

    Each packet comes with the pictures that the decoder returns in response to it, or with no pictures if the decoder refuses the
    packet. FFmpeg reads the file itself, without the sample table of episeek.

    Args:
        path: The file.
        start_seconds: FFmpeg starts at a keyframe at or before this time. With None it starts at the first sample.
    """
    import av

    with av.open(path.as_posix(), mode="r") as container:
        if start_seconds is not None:
            stream = container.streams.video[0]
            assert stream.time_base is not None
            container.seek(int(start_seconds / stream.time_base), stream=stream, backward=True)
        yield from _decoded_packets(container)


def _decoded_packets(container: "InputContainer") -> Iterator[tuple["Packet[VideoStream]", list["VideoFrame"]]]:
    """Yield (packet, pictures) for each packet, with the pictures that the decoder returns in response to the packet.

    A packet that the decoder refuses has no pictures.
    """
    import av

    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1
    for packet in container.demux(stream):
        try:
            yield packet, packet.decode()
        except av.error.FFmpegError:
            yield packet, []


def picture_digest(frame: "VideoFrame") -> bytes:
    """Return a SHA-256 digest of a picture's format, its size and all bits of its visible pixels."""
    digest = hashlib.sha256(f"{frame.format.name} {frame.width} {frame.height}".encode())
    for plane in _planes(frame):
        digest.update(np.ascontiguousarray(plane).data)
    return digest.digest()


def is_same_picture(one: "VideoFrame", other: "VideoFrame") -> bool:
    """Return whether two pictures are the same, bit for bit."""
    is_alike = (one.format.name, one.width, one.height) == (other.format.name, other.width, other.height)
    return is_alike and all(map(np.array_equal, _planes(one), _planes(other)))


def luma(frame: "VideoFrame") -> npt.NDArray[Any]:
    """Return the luma of a picture as uint8, or as uint16 values of `luma_bits` bits; shape [height, width].

    The array is a view of the picture if its format allows this.
    """
    if not frame.format.name.startswith(("yuv", "gray")) or len(_parts_of_plane(frame, 0)) != 1:
        frame = frame.reformat(format="gray")
    plane = frame.planes[0]
    is_wide = frame.format.components[0].bits > 8
    dtype = (">u2" if frame.format.name.endswith("be") else "<u2") if is_wide else "u1"
    lines: npt.NDArray[Any] = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)[:, : frame.width]
    return lines


def luma_bits(frame: "VideoFrame") -> int:
    """Return how many bits each value in the result of `luma` has."""
    is_direct = frame.format.name.startswith(("yuv", "gray")) and len(_parts_of_plane(frame, 0)) == 1
    return frame.format.components[0].bits if is_direct else 8


def burned_in_number(frame: "VideoFrame", bits: int) -> int | None:
    """Return the number that is burned into the top left of a picture; None if the picture is too small.

    Each of its `bits` bits is a black or white cell. Rotated pictures are read in the orientation in which they are shown.
    """
    picture = np.rot90(luma(frame), quarter_turns(frame.rotation))
    if picture.shape[0] < CELL_PIXELS or picture.shape[1] < CELL_PIXELS * bits:
        return None
    cells = picture[:CELL_PIXELS, : CELL_PIXELS * bits].reshape(CELL_PIXELS, bits, CELL_PIXELS)
    middle = cells[2:4, :, 2:4].mean(axis=(0, 2)) / (1 << (luma_bits(frame) - 8))
    return sum(1 << bit for bit in np.flatnonzero(middle > _WHITE_LEVEL).tolist())


def _planes(frame: "VideoFrame") -> list[npt.NDArray[np.uint8]]:
    """Return the bytes of each plane of a picture, without the padding of its lines; shape [lines, bytes per line]."""
    planes = []
    for number, plane in enumerate(frame.planes):
        parts = _parts_of_plane(frame, number)
        row_bytes = plane.width * sum((part.bits + 7) // 8 for part in parts) or plane.line_size
        lines = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)
        planes.append(lines[:, :row_bytes])
    return planes


def _parts_of_plane(frame: "VideoFrame", number: int) -> list[Any]:
    return [part for part in frame.format.components if part.plane == number]
