"""Decode standalone MP4s with TorchCodec or PyAV. These packages are imported only when a picture is decoded.

The frames that a decoder returns are compared with the presentation times in the sidecars: a missing or displaced frame is a
`DecodeError`, never a wrong picture.
"""

import importlib.util
import io
import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from episeek.errors import BackendUnavailableError, DecodeError, first_line, install_hint

Backend = Literal["auto", "packets", "torchcodec", "pyav"]

EVERY_BIT = "a decoder that keeps every bit of monochrome pictures"
USE_PYAV = "use backend='pyav', or backend='auto' on the CPU"

PutPicture = Callable[[int, npt.NDArray[Any]], None]
"""A function that receives the rank of a picture among the wanted frames, and the picture, an array [height, width, channels]."""

_DEPTH_FORMAT = re.compile(r"gray(9|10|12|14|16)(le|be)")
"""FFmpeg's names of monochrome pixel formats of more than 8 bits."""


@dataclass(frozen=True, slots=True, eq=False)
class DecodedFrames:
    """The decoded pictures of a clip, and their presentation times."""

    data: Any
    """uint8 [frame_count, 3, height, width], RGB; or uint16 [frame_count, 1, height, width], the values of monochrome video
    of more than 8 bits. A torch tensor from TorchCodec, a numpy array from PyAV. With backend "auto", a tensor if torch is
    installed.
    """
    pts_seconds: npt.NDArray[np.float64]
    """Presentation times, seconds from the first frame, shape [frame_count]; a numpy array that belongs to the caller."""

    def __len__(self) -> int:
        return len(self.pts_seconds)

    def __repr__(self) -> str:
        return f"DecodedFrames({type(self.data).__name__} {tuple(self.data.shape)})"


def choose_backend(backend: Backend, device: str, *, can_be_kept: bool) -> Literal["packets", "torchcodec", "pyav"]:
    """Return the decoder to use.

    On the CPU, "auto" is "packets" if the decoder can stay open between clips, otherwise "torchcodec" if TorchCodec can be
    imported, otherwise "pyav". On other devices, "auto" is "torchcodec".

    Args:
        backend: The requested decoder.
        device: The device of the pictures.
        can_be_kept: Whether one decoder may stay open for several clips of the video and return the same pictures as a new
            decoder for each clip.

    Raises:
        BackendUnavailableError: PyAV is requested for a device that only TorchCodec supports, or "packets" for a stream whose
            decoder cannot stay open.
        ValueError: The backend is unknown.
    """
    if backend not in ("auto", "packets", "torchcodec", "pyav"):
        raise ValueError(f"backend: found {backend!r}; expected 'auto', 'packets', 'torchcodec' or 'pyav'")
    if backend == "auto":
        if device == "cpu" and can_be_kept:
            return "packets"
        return "torchcodec" if device != "cpu" or _torchcodec_loads() else "pyav"
    if backend in ("packets", "pyav") and device != "cpu":
        hint = "use device='cpu' or backend='torchcodec'"
        raise BackendUnavailableError("decode", f"device {device!r} with PyAV", "the CPU", hint)
    if backend == "packets" and not can_be_kept:
        found = "a video whose codec, depth or sample descriptions do not allow a decoder to stay open between clips"
        raise BackendUnavailableError("decode", found, "another backend than 'packets'", "use backend='auto'")
    return backend


def decode_with_torchcodec(
    mp4: bytes,
    frame_mappings: bytes,
    *,
    first_frame: int,
    expected_seconds: npt.NDArray[np.float64],
    time_base_seconds: float,
    device: str,
    may_be_depth: bool,
    where: str,
) -> Any:
    """Return consecutive frames of an MP4 as a tensor uint8 [frame_count, 3, height, width] on `device`.

    Args:
        mp4: A complete file.
        frame_mappings: `custom_frame_mappings` of all of its frames.
        first_frame: Position of the first wanted frame in presentation order.
        expected_seconds: Presentation times of the wanted frames, shape [frame_count].
        time_base_seconds: Length of a tick, seconds.
        device: The device of the tensor.
        may_be_depth: Whether, judging by the header, the pictures may be monochrome with more than 8 bits.
        where: The clip, for messages.

    Raises:
        BackendUnavailableError: TorchCodec or FFmpeg's libraries are missing, or the pictures have more than 8 bits.
        DecodeError: Decoding failed, or returned frames with other presentation times.
    """
    decoder_class = _import_torchcodec()
    count = len(expected_seconds)
    try:
        decoder = decoder_class(mp4, custom_frame_mappings=frame_mappings, dimension_order="NCHW", device=device)
        # only recent releases of TorchCodec have this attribute
        pixel_format = getattr(decoder.metadata, "pixel_format", None)
        if may_be_depth and (pixel_format is None or _DEPTH_FORMAT.fullmatch(pixel_format)):
            raise BackendUnavailableError(
                where, f"TorchCodec, which returns 8 bits, for format {pixel_format or 'unknown'}", EVERY_BIT, USE_PYAV
            )
        batch = decoder.get_frames_in_range(first_frame, first_frame + count)
    except (RuntimeError, ValueError, IndexError) as error:
        raise DecodeError(where, f"TorchCodec: {first_line(error)}", f"all wanted frames ({count})") from error
    times = batch.pts_seconds.cpu().numpy()
    if times.shape != expected_seconds.shape or np.abs(times - expected_seconds).max() > time_base_seconds / 4:
        raise DecodeError(where, f"frames at {times[:3].tolist()} s", f"frames at {expected_seconds[:3].tolist()} s")
    return batch.data


class WantedFrames:
    """Finds the wanted frames of a clip among the frames that PyAV returns, and passes them to `put` one by one.

    Args:
        ticks: Presentation times of the wanted frames, ascending, shape [frame_count].
        put: Receives the pictures.
        where: The clip, for messages.
    """

    def __init__(self, ticks: npt.NDArray[np.int64], put: PutPicture, where: str) -> None:
        self._waiting = {tick: rank for rank, tick in enumerate(ticks.tolist())}
        self._count = len(self._waiting)
        self._put = put
        self._where = where
        self._shape: tuple[int, ...] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all wanted frames have arrived."""
        return not self._waiting

    def rank_of(self, frame: Any) -> int | None:
        """Return the rank of a frame among the wanted frames. Return None if it is not wanted, or was already found."""
        return None if frame.pts is None else self._waiting.pop(frame.pts, None)

    def put(self, rank: int, picture: npt.NDArray[Any], degrees: int) -> None:
        """Rotate a picture [height, width, channels] by degrees, as the matrix of the track says, and pass it on.

        Raises:
            DecodeError: The picture differs from earlier ones in size, channels or bits.
        """
        turns = quarter_turns(degrees)
        if turns:
            # torch does not support the negative strides of a rotated array
            picture = np.ascontiguousarray(np.rot90(picture, turns))
        shape = (*picture.shape, picture.itemsize)
        if self._shape is None:
            self._shape = shape
        elif shape != self._shape:
            found = f"a frame of {shape[:2]} after one of {self._shape[:2]} pixels (height, width)"
            raise DecodeError(self._where, found, "frames of one size and kind")
        self._put(rank, picture)

    def check_complete(self) -> None:
        """Raise DecodeError if a wanted frame has not arrived."""
        if self._waiting:
            found = f"a frame count of {self._count - len(self._waiting)}"
            raise DecodeError(self._where, found, f"a frame count of {self._count} from PyAV")


class PictureArray:
    """Collects pictures of one size in one array."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._array: npt.NDArray[Any] = np.empty((0, 0, 0, 0), np.uint8)

    def put(self, rank: int, picture: npt.NDArray[Any]) -> None:
        """Store a picture [height, width, channels] at position `rank` of the array."""
        if self._count == 1:
            self._array = picture[None]
            return
        # if a decoder fails, the next decoder may return pictures of another shape or type
        if (picture.shape, picture.dtype) != (self._array.shape[1:], self._array.dtype):
            self._array = np.empty((self._count, *picture.shape), picture.dtype)
        self._array[rank] = picture

    @property
    def data(self) -> npt.NDArray[Any]:
        """The pictures, shape [count, channels, height, width].

        The values of a pixel are adjacent in memory, as in TorchCodec's tensors.
        """
        return self._array.transpose(0, 3, 1, 2)


def decode_with_pyav(
    mp4: bytes, expected_ticks: npt.NDArray[np.int64], put: PutPicture, *, is_depth: bool = False, where: str
) -> None:
    """Decode the frames of an MP4 with the expected presentation times, rotate them as the track's matrix says, and pass them to
    `put`.

    The pictures are RGB, uint8 [height, width, 3]. With `is_depth`, or if the decoder returns monochrome pictures of more than 8
    bits, they are uint16 [height, width, 1], the values as they were encoded.

    Args:
        mp4: A complete file.
        expected_ticks: Presentation times of the wanted frames, ascending, shape [frame_count].
        put: Receives each picture with its rank in `expected_ticks`.
        is_depth: Whether the video is known to be monochrome with more than 8 bits, even if the decoder returns other pictures.
        where: The clip, for messages.

    Raises:
        BackendUnavailableError: PyAV is not installed.
        DecodeError: Decoding failed, or a frame is missing.
    """
    try:
        import av
    except ImportError as error:
        raise BackendUnavailableError(
            "PyAV",
            first_line(error),
            "a decoder: PyAV, or TorchCodec with FFmpeg's shared libraries",
            f"{install_hint('torch')}, or pip install av",
        ) from error
    wanted = WantedFrames(expected_ticks, put, where)
    try:
        with av.open(io.BytesIO(mp4), mode="r", format="mp4") as container:
            for frame in container.decode(container.streams.video[0]):
                rank = wanted.rank_of(frame)
                if rank is None:
                    continue
                picture = _values(frame, where) if is_depth or _is_depth(frame) else frame.to_ndarray(format="rgb24")
                wanted.put(rank, picture, frame.rotation)
                if wanted.is_complete:
                    break
    except av.error.FFmpegError as error:
        raise DecodeError(where, f"PyAV: {first_line(error)}", f"all wanted frames ({len(expected_ticks)})") from error
    wanted.check_complete()


def _is_depth(frame: Any) -> bool:
    """Return whether a frame is monochrome with more bits than RGB would keep."""
    return len(frame.format.components) == 1 and 8 < frame.format.components[0].bits <= 16


def _values(frame: Any, where: str) -> npt.NDArray[np.uint16]:
    """Return the first plane of a monochrome frame, shape [height, width, 1]. For H.264, FFmpeg adds gray chroma planes."""
    if frame.format.components[0].bits <= 8:
        found = f"frames of {frame.format.name}"
        raise DecodeError(where, found, "pictures of more than 8 bits, as the decoder configuration says")
    chroma = zip(frame.planes[1:], frame.format.components[1:], strict=False)
    for plane, part in chroma:
        if np.ptp(np.frombuffer(memoryview(plane), "<u2").reshape(plane.height, -1)[:, : part.width]):
            found = f"colour in frames of {frame.format.name}"
            raise DecodeError(where, found, "monochrome pictures, as the decoder configuration says")
    order = ">" if frame.format.name.endswith("be") else "<"
    plane = frame.planes[0]
    lines = np.frombuffer(memoryview(plane), f"{order}u2", plane.line_size // 2 * frame.height)
    return lines.reshape(frame.height, -1)[:, : frame.width, None].astype(np.uint16)


def quarter_turns(degrees: int) -> int:
    """Return an angle as a number of counterclockwise quarter turns, rounded as in TorchCodec: to nearest, halves away from 0.

    Mirrored pictures have an angle, too. A value above 180 degrees comes from a matrix of zeros and means no turn.
    """
    turns = math.floor(abs(degrees) / 90 + 0.5) if abs(degrees) <= 180 else 0
    return turns if degrees > 0 else -turns


def torch_is_installed() -> bool:
    """Return whether torch can be imported, without importing it."""
    return "torch" in sys.modules or importlib.util.find_spec("torch") is not None


def as_tensor(pictures: npt.NDArray[Any]) -> Any:
    """Return pictures as a torch tensor on the CPU. torch has to be installed."""
    import torch

    return torch.from_numpy(pictures)


@cache
def _torchcodec_loads() -> bool:
    try:
        _import_torchcodec()
    except BackendUnavailableError:
        return False
    return True


def _import_torchcodec() -> Callable[..., Any]:
    try:
        from torchcodec.decoders import VideoDecoder  # type: ignore[attr-defined]  # not in the __all__ of the package
    except (ImportError, RuntimeError, OSError) as error:
        # RuntimeError and OSError mean that FFmpeg's shared libraries are missing
        raise BackendUnavailableError(
            "TorchCodec",
            f"{type(error).__name__}: {first_line(error)}",
            "TorchCodec, and FFmpeg's shared libraries (4 to 8) on the system",
            f"{install_hint('torch')} and install FFmpeg, or use backend='pyav'",
        ) from error
    decoder_class: Callable[..., Any] = VideoDecoder
    return decoder_class
