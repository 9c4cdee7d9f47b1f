"""Encodes replacement videos with one defect: takes pictures, writes an MP4 with keyframes at a given interval."""

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import numpy.typing as npt

from tests.support import bar_code

HEIGHT, WIDTH = 96, 128
"""Pixels of the pictures of the sample datasets."""
RATE = 30
_GRAIN = 16
"""Pixels from one level of the pattern to the next."""

Pictures = Iterator[npt.NDArray[np.uint8]]


def moving(count: int, *, first_number: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Pictures:
    """Yield pictures that all differ, numbered from `first_number`: a soft pattern that moves by two pixels a picture."""
    rng = np.random.default_rng(0)
    length = width + 2 * count
    levels = rng.integers(0, 256, (height // _GRAIN, length // _GRAIN + 2)).astype(np.float64)
    position = np.arange(length) / _GRAIN
    lines = np.array([np.interp(position, np.arange(len(line)), line) for line in levels])
    scene = np.repeat(lines, _GRAIN, axis=0)[:, :, None] * np.array([1.0, 0.8, 0.6])
    for place in range(count):
        picture = scene[:, 2 * place : 2 * place + width].astype(np.uint8)
        bar_code.draw(picture, first_number + place)
        yield picture


def stalled(count: int, start: int, stop: int) -> Pictures:
    """Yield moving pictures, of which `[start, stop)` all show what `start` shows."""
    pictures = list(moving(count))
    pictures[start:stop] = [pictures[start]] * (stop - start)
    yield from pictures


def doubled(count: int) -> Pictures:
    """Yield each picture twice, as a camera at half the rate gives them."""
    pictures = list(moving(count))
    for place in range(count):
        yield pictures[place // 2 * 2]


def encode(
    path: Path, pictures: Pictures, *, codec: str = "libsvtav1", keyframe_interval: int = 2, reorders: bool = False
) -> None:
    """Encode a file at `path`, at 30 frames per second, in place of an existing one."""
    options = {"libsvtav1": {"preset": "12", "crf": "40"}, "libx264": {"preset": "ultrafast", "crf": "30"}}[codec]
    path.unlink(missing_ok=True)
    with av.open(path.as_posix(), "w", options={"movflags": "faststart"}) as container:
        stream = cast(av.VideoStream, container.add_stream(codec, rate=RATE, options=options))
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = keyframe_interval
        stream.codec_context.max_b_frames = 2 if reorders else 0
        for place, picture in enumerate(pictures):
            if not place:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = place, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def cut_short(path: Path, pictures: Pictures) -> None:
    """Encode a fragmented file at `path`, and cut it within its last sample: the recorder lost its power."""
    encode(path, pictures)
    with av.open(path.as_posix()) as source:
        stream = source.streams.video[0]
        packets = [packet for packet in source.demux(stream) if packet.size]
        last_bytes = packets[-1].size
        buffer = io.BytesIO()
        with av.open(buffer, "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov"}) as target:
            output = target.add_stream_from_template(stream, opaque=True)
            for packet in packets:
                packet.stream = output
                target.mux(packet)
    file = buffer.getvalue()
    # an index of the fragments comes after the last one
    end = file.rindex(b"mfra") - 4
    path.write_bytes(file[: end - last_bytes // 2])


def put_moov_last(path: Path) -> None:
    """Remux a file in place so that its moov box comes after the media data."""
    remuxed = path.with_suffix(".late")
    with av.open(path) as source, av.open(remuxed, "w", format="mp4") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    remuxed.replace(path)
