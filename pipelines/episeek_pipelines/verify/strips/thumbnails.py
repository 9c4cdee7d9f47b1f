"""Make small JPEG pictures with the same bytes on every machine.

Scaling, colour conversion and encoding use FFmpeg's exact integer arithmetic.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from episeek.decode import quarter_turns
from episeek_pipelines.verify.findings.strips import MOST_FRAMES

if TYPE_CHECKING:
    from av import VideoFrame

MOST_PIXELS: Final = 160
"""Largest width and height of a small picture, in pixels."""

MOST_BYTES: Final = 40_000 // MOST_FRAMES
"""Largest size of a small picture in bytes, so that a strip has at most 40 kB."""

_QUANTIZERS: Final = (4, 8, 16, 31)
"""JPEG quantizer scales that are tried in this order until the picture is small enough; FFmpeg allows 1 to 31."""

_EXACT_SCALING: Final = 0x20 | 0x40000 | 0x80000
"""FFmpeg's scaling flags SWS_AREA, SWS_ACCURATE_RND and SWS_BITEXACT."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small picture as a JPEG file, with its width and height in pixels."""

    jpeg: bytes
    width: int
    height: int


def thumbnail(frame: "VideoFrame") -> Thumbnail:
    """Return a small picture of a frame, with the rotation of the video applied.

    Colours are converted to RGB with the matrix that the frame declares, or that of BT.601 if the frame declares none. The picture
    keeps its proportions and is never enlarged. Each side has at least 1 pixel.
    """
    from av import VideoFrame

    largest = max(frame.width, frame.height, MOST_PIXELS)
    width, height = (max(side * MOST_PIXELS // largest, 1) for side in (frame.width, frame.height))
    small = frame.reformat(width=width, height=height, format="rgb24", interpolation=_EXACT_SCALING)
    picture: npt.NDArray[np.uint8] = np.rot90(small.to_ndarray(), quarter_turns(frame.rotation))
    while True:
        turned = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        for quantizer in _QUANTIZERS:
            jpeg = _encoded(turned, quantizer)
            if len(jpeg) <= MOST_BYTES:
                return Thumbnail(jpeg, turned.width, turned.height)
        # The picture, such as noise, is too large even with the coarsest quantizer. Halve its sides and try again.
        picture = picture[::2, ::2]


def _encoded(frame: "VideoFrame", quantizer: int) -> bytes:
    """Return a frame as a JPEG file."""
    from av import CodecContext

    encoder = CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height = frame.width, frame.height
    encoder.pix_fmt = "yuvj420p"
    encoder.time_base = Fraction(1, 1)
    encoder.thread_count = 1
    encoder.options = {"dct": "int", "flags": "+bitexact+qscale", "global_quality": str(quantizer * 118)}
    picture = frame.reformat(format="yuvj420p", interpolation=_EXACT_SCALING)
    packets = [*encoder.encode(picture), *encoder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)
