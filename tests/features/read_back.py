"""What FFmpeg presents of a file, read from the pictures; and what a feature promises, in the same terms."""

import io
from fractions import Fraction
from itertools import chain

import av
import numpy as np

from tests.features.registry import Feature
from tests.support import bar_code

Frames = tuple[list[int], list[Fraction]]
"""The numbers in the pictures, and when each is presented, in seconds from the first on."""


def read_with_ffmpeg(data: bytes) -> Frames:
    """Of all frames, in the order in which they come out; a sample that was cut off is left out."""
    numbers, seconds = [], []
    with av.open(io.BytesIO(data), mode="r") as container:
        whole = (packet for packet in container.demux(video=0) if not packet.is_corrupt)
        for frame in chain.from_iterable(packet.decode() for packet in whole):
            assert isinstance(frame, av.VideoFrame)
            pictures = frame.to_ndarray(format="rgb24").transpose(2, 0, 1)[None].astype(np.uint8)
            numbers += bar_code.read(pictures)
            assert frame.pts is not None
            assert frame.time_base is not None
            seconds.append(frame.pts * frame.time_base)
    return numbers, [moment - seconds[0] for moment in seconds]


def promised(feature: Feature) -> Frames:
    """By construction; Matroska has whole milliseconds."""
    seconds = list(feature.seconds)
    if feature.name.endswith((".mkv", ".webm")):
        seconds = [Fraction(round(1000 * moment), 1000) for moment in seconds]
    return list(feature.numbers), seconds
