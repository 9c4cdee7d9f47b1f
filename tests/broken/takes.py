"""Writes a camera's file as recorded takes, one for each episode: encoded one by one, joined, with frames of no episode.

Every picture shows its frame of the episode in a bar code, and the episode in a second one below it: a wrong picture shows
itself. Frames before the episode and after it have numbers as well: -1 and before are 255 and before.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Final, cast

import av
import numpy as np
import numpy.typing as npt

from tests.broken.encoded import HEIGHT, RATE, WIDTH
from tests.broken.metadata import from_ts, to_ts
from tests.support import bar_code
from tests.support.broken_datasets import EPISODES, TOP, set_values, video

LENGTHS: Final = (49, 40, 51, 20, 33, 41)
"""Of the episodes of h264_bframes, which are in one file for each camera."""
TICKS: Final = 15360
_OPTIONS: Final = {
    "libx264": {"preset": "ultrafast", "crf": "30", "bf": "0"},
    "libsvtav1": {"preset": "12", "crf": "40"},
    "mpeg4": {"qscale": "4", "bf": "0"},
}


def write_takes(
    root: Path,
    *,
    camera: str = TOP,
    head: Mapping[int, int] = {},
    tail: Mapping[int, int] = {},
    codec: str = "libx264",
    keyframe_interval: int = 30,
    is_one_stream: bool = False,
    steps: Sequence[int] = (TICKS // RATE,),
) -> None:
    """Write the camera's file, and the seconds of its episodes: all of a take from the episode's first frame on.

    Args:
        root: A copy of h264_bframes.
        camera: The camera.
        head: Frames of no episode before an episode, by episode.
        tail: Frames of no episode after an episode, by episode.
        codec: FFmpeg's name of the encoder.
        keyframe_interval: Frames.
        is_one_stream: Encode all takes as one stream.
        steps: Ticks from one frame to the next, repeated.
    """
    takes = [
        [_picture(episode, frame) for frame in range(-head.get(episode, 0), length + tail.get(episode, 0))]
        for episode, length in enumerate(LENGTHS)
    ]
    streams = [[picture for take in takes for picture in take]] if is_one_stream else takes
    count = sum(map(len, takes))
    ticks = np.concatenate([[0], np.cumsum(np.resize(steps, count))])
    path = root / video(camera, 0)
    path.unlink()
    with av.open(path.as_posix(), "w", options={"movflags": "faststart"}) as target:
        joined: av.VideoStream | None = None
        done = 0
        for pictures in streams:
            times = ticks[done : done + len(pictures) + 1]
            with av.open(_encoded(pictures, times - times[0], codec, keyframe_interval), "r") as source:
                stream = source.streams.video[0]
                if joined is None:
                    # without a decoder: FFmpeg's libraries may lack that of AV1
                    joined = target.add_stream_from_template(stream, opaque=True)
                for packet in source.demux(stream):
                    if packet.dts is not None:
                        offset = round(int(times[0]) / TICKS / cast(Fraction, stream.time_base))
                        packet.pts, packet.dts = cast(int, packet.pts) + offset, packet.dts + offset
                        packet.stream = joined
                        target.mux(packet)
            done += len(pictures)
    starts = np.cumsum([0, *map(len, takes)])
    seconds = ticks / TICKS
    begin = [float(seconds[starts[row] + head.get(row, 0)]) for row in range(len(LENGTHS))]
    set_seconds(root, begin, [float(seconds[stop]) for stop in starts[1:]], camera=camera)


def set_seconds(root: Path, begin: Sequence[float], end: Sequence[float], *, camera: str = TOP) -> None:
    """Set the declared seconds of all episodes of a camera."""
    values = {
        (name, row): value for name, column in ((from_ts, begin), (to_ts, end)) for row, value in enumerate(column)
    }
    set_values(root, EPISODES, {(name(camera), row): value for (name, row), value in values.items()})


def set_seconds_by_lengths(root: Path, camera: str = TOP) -> None:
    """Set the declared seconds to the lengths of the episodes, one after the other."""
    stop = np.cumsum(LENGTHS) / RATE
    set_seconds(root, [0.0, *stop[:-1].tolist()], stop.tolist(), camera=camera)


def _picture(episode: int, frame: int) -> npt.NDArray[np.uint8]:
    row, column = np.mgrid[0:HEIGHT, 0:WIDTH]
    grey = ((column // 2 + 3 * frame + 40 * episode + row // 3) % 160 + 40).astype(np.uint8)
    picture = np.repeat(grey[:, :, None], 3, axis=2)
    bar_code.draw(picture, frame % 256)
    bar_code.draw(picture, episode, line=1)
    return picture


def _encoded(
    pictures: Sequence[npt.NDArray[np.uint8]], ticks: npt.NDArray[np.int64], codec: str, keyframe_interval: int
) -> BytesIO:
    """Return an MP4 with pictures at these ticks, of which the last one is the end."""
    stream_of_bytes = BytesIO()
    with av.open(stream_of_bytes, "w", format="mp4", options={"video_track_timescale": str(TICKS)}) as container:
        stream = cast(av.VideoStream, container.add_stream(codec, rate=RATE, options=_OPTIONS[codec]))
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.codec_context.gop_size = keyframe_interval
        stream.codec_context.time_base = Fraction(1, TICKS)
        for picture, tick in zip(pictures, ticks.tolist(), strict=False):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, TICKS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    stream_of_bytes.seek(0)
    return stream_of_bytes
