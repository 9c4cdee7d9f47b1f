"""Decoders that stay open from one clip to the next: the samples of a clip are fed to them as packets, without a demuxer.

Opening a file, reading its header and starting a decoder cost more than decoding a frame. A decoder is made once for each thread
and sample description, from the complete MP4 of the first clip, so that it has exactly the parameters of a demuxed file. Later
clips with the same description give it their samples alone. It is drained or flushed between clips, which all start at a sync
sample. It cannot be kept where a stream changes its parameters, since those of one clip would last into the next: such
files have several sample descriptions (see `files.start_description_runs` in docs/format.md), and are not decoded here.
"""

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from episeek.decode import quarter_turns
from episeek.errors import DecodeError, first_line
from episeek.stores.processes.per_process import PerProcess

if TYPE_CHECKING:
    from episeek.mp4.clip_header import ClipSamples

MAX_KEPT = 32
"""Decoders of a thread. A training job needs one for each camera and encoder."""


@dataclass(slots=True)
class _Kept:
    container: Any
    """Open, because the decoder belongs to it."""
    context: Any
    reformatter: Any


class _ThreadState(threading.local):
    def __init__(self) -> None:
        self.kept: OrderedDict[bytes, _Kept] = OrderedDict()


_STATE = PerProcess(_ThreadState)
"""Of each process: a decoder must not be used by a forked child."""


def decode_packets(
    make_mp4: Callable[[], bytes],
    key: bytes,
    samples: "ClipSamples",
    payload: bytes | memoryview,
    frame_ticks: npt.NDArray[np.int64],
    *,
    timescale: int,
    where: str,
) -> npt.NDArray[np.uint8]:
    """Return the wanted frames of a clip, turned as the matrix of the track demands.

    Args:
        make_mp4: Returns the clip as a complete file, from which the decoder is made where there is none yet.
        key: What a decoder is made for: clips of equal keys have the same sample description and matrix.
        samples: The samples of the clip.
        payload: The bytes that the offsets of the samples count from.
        frame_ticks: Presentation times of the wanted frames in the ticks of `samples.pts`, ascending, shape [frame_count].
        timescale: Ticks per second.
        where: The clip, for messages.

    Returns:
        uint8 [frame_count, 3, height, width], RGB.

    Raises:
        DecodeError: Decoding failed, a frame is missing, or the pictures are no RGB of 8 bits.
    """
    import av

    count = len(frame_ticks)
    waiting = {tick: rank for rank, tick in enumerate(frame_ticks.tolist())}
    pictures: npt.NDArray[np.uint8] | None = None
    kept = _kept(key, make_mp4, where)
    context = kept.context
    time_base = Fraction(1, timescale)
    view = memoryview(payload)
    try:
        for frame in _frames(context, samples, view, time_base):
            rank = None if frame.pts is None else waiting.pop(frame.pts, None)
            if rank is None:
                continue
            if len(frame.format.components) == 1 and frame.format.components[0].bits > 8:
                raise DecodeError(where, f"frames of {frame.format.name}", "pictures of 8 bits")
            picture = kept.reformatter.reformat(frame, format="rgb24").to_ndarray()
            picture = np.rot90(picture, quarter_turns(frame.rotation))
            if pictures is None:
                pictures = np.empty((count, 3, *picture.shape[:2]), np.uint8)
            if picture.shape[:2] != pictures.shape[2:]:
                found = f"a frame of {picture.shape[:2]} after one of {pictures.shape[2:]} pixels (height, width)"
                raise DecodeError(where, found, "frames of one size")
            pictures[rank] = picture.transpose(2, 0, 1)
            if not waiting:
                break
        context.flush_buffers()
        if pictures is None or waiting:
            raise DecodeError(where, f"{count - len(waiting)} of the frames", f"{count} frames from PyAV")
    except BaseException as error:
        # nobody knows what a decoder keeps after an error
        _STATE.get().kept.pop(key, None)
        if isinstance(error, av.error.FFmpegError):
            raise DecodeError(where, f"PyAV: {first_line(error)}", f"{count} frames") from error
        raise
    return pictures


def _frames(context: Any, samples: "ClipSamples", view: memoryview, time_base: Fraction) -> Iterator[Any]:
    import av

    # presentation times in rising order are decode times that no sample is shown before, once shifted
    sorted_pts = np.sort(samples.pts)
    dts = sorted_pts - int((sorted_pts - samples.pts).max())
    for start, size, pts, time, is_sync in zip(
        samples.offset.tolist(),
        samples.size.tolist(),
        samples.pts.tolist(),
        dts.tolist(),
        samples.is_sync.tolist(),
        strict=True,
    ):
        packet = av.Packet(bytes(view[start : start + size]))
        packet.pts, packet.dts, packet.time_base, packet.is_keyframe = pts, time, time_base, is_sync
        yield from context.decode(packet)
    yield from context.decode(None)


def _kept(key: bytes, make_mp4: Callable[[], bytes], where: str) -> _Kept:
    import av
    from av.video.reformatter import VideoReformatter

    decoders = _STATE.get().kept
    found = decoders.get(key)
    if found is None:
        try:
            container = av.open(io.BytesIO(make_mp4()), mode="r", format="mp4")
            context = container.streams.video[0].codec_context
            context.thread_count = 1
            context.open(False)
        except av.error.FFmpegError as error:
            raise DecodeError(where, f"PyAV: {first_line(error)}", "a decoder") from error
        found = decoders[key] = _Kept(container, context, VideoReformatter())
        if len(decoders) > MAX_KEPT:
            decoders.popitem(last=False)
    decoders.move_to_end(key)
    return found
