"""Encoded pictures: short videos whose frames carry their number, from the encoders of PyAV, the same bytes on every run.

What an encoder gives is taken apart into samples and sample entries, so that the muxers of this package can put it together in
ways no encoder does.
"""

import io
import struct
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt

from tests.support import bar_code

HEIGHT, WIDTH = 64, 96
FRAME_RATE = 30
FRAME_TICKS = 512
TIMESCALE = FRAME_RATE * FRAME_TICKS
AUDIO_RATE = 16_000
AUDIO_FRAME = 1024


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to encode and how; options are FFmpeg's, as pairs."""

    codec: str
    options: tuple[tuple[str, str], ...] = ()
    pixels: str = "yuv420p"
    b_frames: int = 0
    group: int = 8
    """Frames from one keyframe to the next."""
    count: int = 24
    first: int = 0
    """The number in the first picture."""
    tag: str = ""
    width: int = WIDTH
    height: int = HEIGHT
    colours: tuple[int, int, int] | None = None
    """Primaries, transfer, matrix (ITU-T H.273)."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One encoded sample; times in ticks."""

    data: bytes
    dts: int
    offset: int
    """Composition time minus decode time."""
    duration: int
    is_sync: bool
    number: int
    """In presentation order, from 0."""


@dataclass(frozen=True, slots=True)
class Elementary:
    """The samples of one track in decode order, and the sample entry (a box) they are decoded with."""

    samples: tuple[Sample, ...]
    entry: bytes
    timescale: int
    handler: bytes
    width: int = 0
    height: int = 0

    @property
    def delay(self) -> int:
        """Composition time of the first picture: what an edit list has to skip."""
        return min(sample.dts + sample.offset for sample in self.samples)

    @property
    def duration(self) -> int:
        """Of all samples, ticks."""
        return sum(sample.duration for sample in self.samples)

    def part(self, start: int, stop: int) -> tuple[Sample, ...]:
        """Samples `[start, stop)` in decode order, with times as they are."""
        return self.samples[start:stop]


def picture(number: int, recipe: Recipe) -> npt.NDArray[np.uint8]:
    """A gradient that moves, a square whose colour changes, and the number as bars."""
    rows, columns = np.mgrid[: recipe.height, : recipe.width]
    image = np.stack([2 * columns + 5 * number, 3 * rows + 2 * number, columns + rows], axis=-1)
    image = (127 + 90 * np.sin(image / 40)).astype(np.uint8)
    image[24:44, 10 + number : 40 + number] = (number * 37 % 256, number * 91 % 256, 255 - number * 53 % 256)
    bar_code.draw(image, number)
    return image


def write_video(
    recipe: Recipe, *, container: str = "mp4", has_sound: bool = False, options: dict[str, str] | None = None
) -> bytes:
    """A file as FFmpeg's own muxers write it; `options` are the muxer's."""
    settings = {"fflags": "+bitexact", **(options or {})}
    with TemporaryDirectory() as folder:  # a real file: FFmpeg opens its output again to move the moov box
        path = Path(folder) / f"video.{container}"
        _write_video(path, recipe, container, has_sound, settings)
        return path.read_bytes()


def _write_video(path: Path, recipe: Recipe, container: str, has_sound: bool, settings: dict[str, str]) -> None:
    with av.open(path.as_posix(), "w", format=container, options=settings) as output:
        video = cast(av.VideoStream, output.add_stream(recipe.codec, rate=FRAME_RATE, options=_encoder_options(recipe)))
        _set_up(video, recipe)
        sound = output.add_stream("aac", rate=AUDIO_RATE, layout="mono") if has_sound else None
        if sound is not None:
            sound.codec_context.flags |= int(av.codec.context.Flags.bitexact)
            sound.codec_context.bit_rate = 12_000
        written = 0
        for place in range(recipe.count):
            frame = _frame(recipe.first + place, recipe)
            frame.pts, frame.time_base = place, Fraction(1, FRAME_RATE)
            output.mux(video.encode(frame))
            while sound is not None and written * FRAME_RATE <= place * AUDIO_RATE:
                wave = 4000 * np.sin(np.arange(written, written + AUDIO_FRAME) / 9)
                block = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], format="s16", layout="mono")
                block.sample_rate, block.pts = AUDIO_RATE, written
                written += AUDIO_FRAME
                output.mux(sound.encode(block))
        output.mux(video.encode(None))
        if sound is not None:
            output.mux(sound.encode(None))


def _frame(number: int, recipe: Recipe) -> av.VideoFrame:
    if recipe.pixels != "gray12le":
        return av.VideoFrame.from_ndarray(picture(number, recipe), format="rgb24").reformat(format=recipe.pixels)
    rows, columns = np.mgrid[: recipe.height, : recipe.width]
    depth = (
        700 + 21 * columns + 9 * rows + 13 * number
    )  # a ramp of odd steps: all 12 bits are used, lossless coding stays small
    bars = np.zeros((recipe.height, recipe.width, 3), np.uint8)
    bar_code.draw(bars, number)
    depth[: bar_code.BAR_HEIGHT] = np.where(bars[: bar_code.BAR_HEIGHT, :, 0], 4095, 0)
    return av.VideoFrame.from_ndarray(depth.astype(np.uint16), format="gray12le")


def _set_up(video: av.VideoStream, recipe: Recipe) -> None:
    context = video.codec_context
    context.width, context.height, context.pix_fmt = recipe.width, recipe.height, recipe.pixels
    context.time_base = Fraction(1, FRAME_RATE)
    context.gop_size, context.max_b_frames = recipe.group, recipe.b_frames
    context.thread_count = 1
    context.flags |= int(av.codec.context.Flags.bitexact)
    if recipe.tag:
        context.codec_tag = recipe.tag
    if recipe.colours is not None:
        context.color_primaries, context.color_trc, context.colorspace = recipe.colours


# x264 in PyAV 18: with mbtree the bytes of tiny pictures differ from run to run.
_LIBRARY_OPTIONS: dict[str, dict[str, str]] = {
    "libx264": {
        "preset": "veryfast",
        "crf": "43",
        "sc_threshold": "0",
        "x264-params": "threads=1:lookahead-threads=1:mbtree=0:b-adapt=0",
    },
    "libx265": {"preset": "ultrafast", "crf": "36"},
    "libsvtav1": {"preset": "10", "crf": "45"},
    "libvpx-vp9": {"crf": "45", "b": "0", "deadline": "realtime", "cpu-used": "8"},
    "libvpx": {"crf": "40", "b": "60000", "deadline": "realtime", "cpu-used": "8"},
    "mpeg4": {"qmin": "12", "qmax": "12"},
    "mpeg2video": {"qmin": "12", "qmax": "12"},
    "h263": {"qmin": "12", "qmax": "12"},
    "mjpeg": {"qmin": "12", "qmax": "12"},
}
_X265 = "log-level=none:pools=none:frame-threads=1:wpp=0:info=0:scenecut=0"
_SVT_AV1 = "lp=1:scd=0"


def _encoder_options(recipe: Recipe) -> dict[str, str]:
    """The library's options with the recipe's behind them, each library's own parameter string joined up."""
    options = dict(_LIBRARY_OPTIONS.get(recipe.codec, {}))
    wanted = dict(recipe.options)
    if recipe.codec == "libx264":
        extra = wanted.pop("x264-params", "")
        options["x264-params"] += f":{extra}" if extra else ""
    elif recipe.codec == "libx265":
        extra = wanted.pop("x265-params", "")
        options["x265-params"] = (
            f"{_X265}:keyint={recipe.group}:min-keyint={recipe.group}:bframes={recipe.b_frames}"
            + (f":{extra}" if extra else "")
        )
    elif recipe.codec == "libsvtav1":
        options["svtav1-params"] = _SVT_AV1
    return {**options, **wanted}


@cache
def encode(recipe: Recipe) -> Elementary:
    """The samples and the sample entry of a video."""
    return take_apart(write_video(recipe), "video")


@cache
def encode_sound(count: int) -> Elementary:
    """The sound of a video of `count` frames."""
    recipe = Recipe("mjpeg", pixels="yuvj420p", count=count)
    return take_apart(write_video(recipe, has_sound=True), "audio")


def take_apart(mp4: bytes, kind: str) -> Elementary:
    """One track of a file that FFmpeg wrote, before any edit list."""
    with av.open(io.BytesIO(mp4), mode="r", options={"ignore_editlist": "1", "advanced_editlist": "0"}) as container:
        stream = cast(Any, container.streams.get({kind: 0})[0])
        packets = [packet for packet in container.demux(stream) if packet.size]
        timescale = stream.time_base.denominator
        dts = [cast(int, packet.dts) - cast(int, packets[0].dts) for packet in packets]
        pts = [cast(int, packet.pts) - cast(int, packets[0].dts) for packet in packets]
        order = sorted(range(len(packets)), key=pts.__getitem__)
        number = {place: rank for rank, place in enumerate(order)}
        samples = tuple(
            Sample(
                _without_remark(bytes(packet)),
                dts[place],
                pts[place] - dts[place],
                int(packet.duration or 0),
                packet.is_keyframe,
                number[place],
            )
            for place, packet in enumerate(packets)
        )
        if kind == "audio":
            return Elementary(samples, sample_entry(mp4, kind), timescale, b"soun")
        return Elementary(samples, sample_entry(mp4, kind), timescale, b"vide", stream.width, stream.height)


def _without_remark(data: bytes) -> bytes:
    """An access unit of H.264 without what x264 says of itself at its start: a fifth of a small file."""
    if data[4:6] != b"\x06\x05":
        return data
    return data[4 + int.from_bytes(data[:4]) :]


def sample_entry(mp4: bytes, kind: str) -> bytes:
    """The one sample entry of the first track of a kind; taken by searching, not by parsing."""
    handler = {"video": b"vide", "audio": b"soun"}[kind]
    track = next(part for part in mp4[mp4.rindex(b"moov") :].split(b"trak")[1:] if handler in part)
    stsd = track.index(b"stsd")
    size, count = struct.unpack_from(">I", track, stsd - 4)[0], struct.unpack_from(">I", track, stsd + 8)[0]
    if count != 1:
        raise ValueError(f"{count} sample entries, expected one")
    return track[stsd + 12 : stsd - 4 + size]


def retimed(source: Elementary, timescale: int, frame_ticks: int) -> Elementary:
    """The same samples at another rate: every time was a multiple of `FRAME_TICKS` and becomes one of `frame_ticks`."""
    samples = [
        replace(
            sample,
            dts=sample.dts // FRAME_TICKS * frame_ticks,
            offset=sample.offset // FRAME_TICKS * frame_ticks,
            duration=frame_ticks,
        )
        for sample in source.samples
    ]
    return replace(source, samples=tuple(samples), timescale=timescale)
