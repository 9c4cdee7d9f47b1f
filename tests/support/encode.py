"""Small MP4 files with the frame number burned in: several episodes in one long encode, so that episodes start anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import numpy.typing as npt

from tests.support import bar_code

HEIGHT, WIDTH = 64, 96
TIME_BASE = Fraction(1, 15360)
FRAME_TICKS = 512
AUDIO_RATE = 16_000


@dataclass(frozen=True, slots=True)
class Encoding:
    """How to encode."""

    codec: str
    options: dict[str, str] = field(default_factory=dict)
    b_frame_count: int = 0
    has_sound: bool = False
    is_variable_rate: bool = False
    is_faststart: bool = False


def frame_ticks(count: int, encoding: Encoding) -> npt.NDArray[np.int64]:
    """Presentation time of each frame."""
    if not encoding.is_variable_rate:
        return FRAME_TICKS * np.arange(count)
    steps = np.random.default_rng(5).choice([FRAME_TICKS // 2, FRAME_TICKS, 3 * FRAME_TICKS, 700], count - 1)
    return np.concatenate([[0], np.cumsum(steps)])


def encode_episodes(path: Path, encoding: Encoding, lengths: Sequence[int]) -> None:
    """One video of `sum(lengths)` frames; the bar code counts from 0 in each episode."""
    numbers = [number for length in lengths for number in range(length)]
    ticks = frame_ticks(len(numbers), encoding)
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 256, (HEIGHT, 4 * WIDTH, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = {"movflags": "faststart"} if encoding.is_faststart else {}
    with av.open(path.as_posix(), "w", options=flags) as container:
        stream = cast(av.VideoStream, container.add_stream(encoding.codec, rate=30, options=encoding.options))
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.time_base = stream.codec_context.time_base = TIME_BASE
        stream.codec_context.max_b_frames = encoding.b_frame_count
        sound = None
        if encoding.has_sound:
            sound = container.add_stream("aac", rate=AUDIO_RATE, layout="mono")
        sound_position = 0
        for place, (number, tick) in enumerate(zip(numbers, ticks.tolist(), strict=True)):
            picture = texture[:, 2 * place % (3 * WIDTH) :][:, :WIDTH].copy()
            picture[10:30, 10:40] = rng.integers(0, 256, 3)
            bar_code.draw(picture, number)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = tick, TIME_BASE
            container.mux(stream.encode(frame))
            while sound is not None and sound_position / AUDIO_RATE <= tick * TIME_BASE:
                samples = rng.integers(-9000, 9000, (1, 1024), np.int16)
                chunk = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
                chunk.sample_rate, chunk.pts = AUDIO_RATE, sound_position
                sound_position += 1024
                container.mux(sound.encode(chunk))
        container.mux(stream.encode(None))
        if sound is not None:
            container.mux(sound.encode(None))
