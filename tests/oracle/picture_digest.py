"""Digests of decoded pictures: equal exactly when every sample of every plane is, so that files of any length compare."""

import hashlib
import re
from typing import Any

import av
import numpy as np
import numpy.typing as npt


def native_digest(frame: av.VideoFrame) -> bytes:
    """All planes as the decoder left them (10 bits stay 10 bits), without the padding at the end of their lines, and
    what tells how to show them.
    """
    # an MP4 cannot leave the range open where it names a matrix; an open range means the limited one
    facts = (frame.format.name, frame.width, frame.height, frame.colorspace, frame.color_range or 1, frame.rotation)
    digest = hashlib.blake2b(repr(facts).encode(), digest_size=16)
    for number, plane in enumerate(frame.planes):
        lines = np.frombuffer(memoryview(plane), np.uint8, plane.height * plane.line_size)
        digest.update(lines.reshape(plane.height, -1)[:, : _line_bytes(frame, number)].tobytes())
    return digest.digest()


def _line_bytes(frame: av.VideoFrame, plane: int) -> int:
    """Bytes of picture in a line of a plane; a palette is one line of 256 colours."""
    if frame.format.has_palette and plane == 1:
        return 1024
    if len(frame.planes) == 1:  # packed formats may pad each pixel
        return -(-frame.width * frame.format.padded_bits_per_pixel // 8)
    parts = [part for part in frame.format.components if part.plane == plane]
    return sum(part.width * -(-part.bits // 8) for part in parts)


def upright_rgb(frame: av.VideoFrame) -> npt.NDArray[Any]:
    """RGB of 8 bits as it is to be shown, [3, height, width]: turned as the display matrix says."""
    return np.rot90(frame.to_ndarray(format="rgb24"), _quarter_turns(frame)).transpose(2, 0, 1)


def is_depth(frame: av.VideoFrame) -> bool:
    """Whether the decoder says that a picture is monochrome of more than 8 bits."""
    return re.fullmatch(r"gray(9|10|12|14|16)(le|be)", frame.format.name) is not None


def upright_depth(frame: av.VideoFrame) -> npt.NDArray[Any] | None:
    """Monochrome pictures of more than 8 bits, as 16-bit numbers [1, height, width]; None for others.

    Also of colour formats without any colour: so FFmpeg decodes monochrome H.264.
    """
    if is_depth(frame):
        return np.rot90(frame.to_ndarray().astype(np.uint16), _quarter_turns(frame))[None]
    if not re.fullmatch(r"yuv4\d\dp\d\dle", frame.format.name):
        return None
    first, *chroma = (np.frombuffer(memoryview(plane), "<u2").reshape(plane.height, -1) for plane in frame.planes)
    if any(np.ptp(plane[:, : part.width]) for plane, part in zip(chroma, frame.format.components[1:], strict=True)):
        return None
    return np.rot90(first[:, : frame.width], _quarter_turns(frame))[None]


def _quarter_turns(frame: av.VideoFrame) -> int:
    """Counterclockwise, halves away from 0, as TorchCodec turns pictures; an angle beyond 180 comes from no matrix."""
    degrees = frame.rotation if abs(frame.rotation) <= 180 else 0
    return int(degrees / 90 + (0.5 if degrees > 0 else -0.5))


def bytes_digest(data: bytes) -> bytes:
    """Of the bytes of a sample."""
    return hashlib.blake2b(data, digest_size=16).digest()


def array_digest(picture: npt.NDArray[Any]) -> bytes:
    """Of one picture [channels, height, width]."""
    digest = hashlib.blake2b(f"{picture.dtype} {picture.shape}".encode(), digest_size=16)
    digest.update(picture.tobytes())
    return digest.digest()
