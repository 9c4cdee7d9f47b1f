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
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from episeek.decode import PutPicture, WantedFrames
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
    to_rgb: Callable[[Any], Any]


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
    put: PutPicture,
    *,
    timescale: int,
    where: str,
) -> None:
    """Give the wanted frames of a clip to `put`: RGB, uint8 [height, width, 3], turned as the matrix of the track demands.

    Args:
        make_mp4: Returns the clip as a complete file, from which the decoder is made where there is none yet.
        key: What a decoder is made for: clips of equal keys have the same sample description and matrix.
        samples: The samples of the clip.
        payload: The bytes that the offsets of the samples count from.
        frame_ticks: Presentation times of the wanted frames in the ticks of `samples.pts`, ascending, shape [frame_count].
        put: Takes the pictures, each with its rank in `frame_ticks`.
        timescale: Ticks per second.
        where: The clip, for messages.

    Raises:
        DecodeError: Decoding failed, a frame is missing, or the pictures are no RGB of 8 bits.
    """
    import av

    kept = _kept(key, make_mp4, where)
    wanted = WantedFrames(frame_ticks, put, where)
    try:
        for frame in _frames(kept.context, samples, memoryview(payload), Fraction(1, timescale)):
            rank = wanted.rank_of(frame)
            if rank is None:
                continue
            if len(frame.format.components) == 1 and frame.format.components[0].bits > 8:
                raise DecodeError(where, f"frames of {frame.format.name}", "pictures of 8 bits")
            wanted.put(rank, _pixels(kept.to_rgb(frame)), frame.rotation)
            if wanted.is_complete:
                break
        kept.context.flush_buffers()
        wanted.check_complete()
    except BaseException as error:
        # nobody knows what a decoder keeps after an error
        _STATE.get().kept.pop(key, None)
        if isinstance(error, av.error.FFmpegError):
            raise DecodeError(where, f"PyAV: {first_line(error)}", f"{len(frame_ticks)} frames") from error
        raise


def _to_rgb() -> Callable[[Any], Any]:
    """Return a conversion of frames to packed RGB, which keeps what it has set up for their size and colours."""
    import av
    from av.video.reformatter import VideoReformatter

    # releases from 17 on start threads for a picture unless told otherwise; those before know no threads
    options: dict[str, Any] = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}
    return partial(VideoReformatter().reformat, format="rgb24", **options)


def _pixels(frame: Any) -> npt.NDArray[np.uint8]:
    """Return the pixels of a packed RGB frame, shape [height, width, 3], without copying them."""
    plane = frame.planes[0]
    return np.ndarray((frame.height, frame.width, 3), np.uint8, memoryview(plane), strides=(plane.line_size, 3, 1))


def _frames(context: Any, samples: "ClipSamples", view: memoryview, time_base: Fraction) -> Iterator[Any]:
    import av

    times = samples.pts.tolist()
    # presentation times in rising order are decode times that no sample is shown before, once shifted
    sorted_times = sorted(times)
    shift = max(map(int.__sub__, sorted_times, times))
    offsets, sizes, is_sync = samples.offset.tolist(), samples.size.tolist(), samples.is_sync.tolist()
    for start, size, pts, rising, is_key in zip(offsets, sizes, times, sorted_times, is_sync, strict=True):
        # of a size, and filled: a packet of given bytes would lack the zeros behind them that decoders may read
        packet = av.Packet(size)
        packet.update(view[start : start + size])  # type: ignore[arg-type]  # any buffer will do
        packet.pts, packet.dts, packet.time_base, packet.is_keyframe = pts, rising - shift, time_base, is_key
        yield from context.decode(packet)
    yield from context.decode(None)


def _kept(key: bytes, make_mp4: Callable[[], bytes], where: str) -> _Kept:
    import av

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
        found = decoders[key] = _Kept(container, context, _to_rgb())
        if len(decoders) > MAX_KEPT:
            decoders.popitem(last=False)
    decoders.move_to_end(key)
    return found
