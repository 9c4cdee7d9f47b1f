"""Decode clips with decoders that stay open from one clip to the next, and receive samples as packets, without a demuxer.

Opening a file, reading its header and starting a decoder cost more than decoding a frame. One decoder is made for each thread and
sample description, from the complete MP4 of the first clip, so that it has exactly the parameters of a demuxed file. Later clips
with the same description only pass their samples to this decoder. All clips start at a sync sample, and the decoder is flushed
between them. Files with several sample descriptions (`files.start_description_runs` in docs/format.md) are not decoded here: their
streams change the parameters of the decoder, and the changes would last into the next clip.
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
"""Greatest number of open decoders of a thread. A training job needs one for each camera and encoder."""


@dataclass(slots=True)
class _Kept:
    container: Any
    """The container from which the decoder was made. It stays open because the decoder belongs to it."""
    context: Any
    to_rgb: Callable[[Any], Any]


class _ThreadState(threading.local):
    def __init__(self) -> None:
        self.kept: OrderedDict[bytes, _Kept] = OrderedDict()


_STATE = PerProcess(_ThreadState)
"""The decoders of each thread. A forked child starts without decoders, since it must not use those of its parent."""


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
    """Decode the wanted frames of a clip, and pass them to `put`: RGB, uint8 [height, width, 3], rotated as the track's matrix
    says.

    Args:
        make_mp4: Returns the clip as a complete file, from which a new decoder is made if there is none for the key.
        key: Identifies the decoder: clips with equal keys have the same sample description and matrix.
        samples: The samples of the clip.
        payload: The bytes of the clip. Sample offsets count from its start.
        frame_ticks: Presentation times of the wanted frames in the ticks of `samples.pts`, ascending, shape [frame_count].
        put: Receives each picture with its rank in `frame_ticks`.
        timescale: Ticks per second.
        where: The clip, for messages.

    Raises:
        DecodeError: Decoding failed, a frame is missing, or a picture is monochrome with more than 8 bits.
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
        # after an error, a decoder may be in any state
        _STATE.get().kept.pop(key, None)
        if isinstance(error, av.error.FFmpegError):
            raise DecodeError(where, f"PyAV: {first_line(error)}", f"all wanted frames ({len(frame_ticks)})") from error
        raise


def _to_rgb() -> Callable[[Any], Any]:
    """Return a function that converts frames to packed RGB. It prepares the conversion again only if size or colours change."""
    import av
    from av.video.reformatter import VideoReformatter

    # from release 17 on, PyAV starts threads for each picture unless this option forbids it; older releases lack the option
    options: dict[str, Any] = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}
    return partial(VideoReformatter().reformat, format="rgb24", **options)


def _pixels(frame: Any) -> npt.NDArray[np.uint8]:
    """Return the pixels of a packed RGB frame, shape [height, width, 3], without copying them."""
    plane = frame.planes[0]
    return np.ndarray((frame.height, frame.width, 3), np.uint8, memoryview(plane), strides=(plane.line_size, 3, 1))


def _frames(context: Any, samples: "ClipSamples", view: memoryview, time_base: Fraction) -> Iterator[Any]:
    import av

    times = samples.pts.tolist()
    # decode times are the sorted presentation times, shifted so that no sample is presented before it is decoded
    sorted_times = sorted(times)
    shift = max(map(int.__sub__, sorted_times, times))
    offsets, sizes, is_sync = samples.offset.tolist(), samples.size.tolist(), samples.is_sync.tolist()
    for start, size, pts, rising, is_key in zip(offsets, sizes, times, sorted_times, is_sync, strict=True):
        # decoders may read zeros after the data, which only a packet made with a size has
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
