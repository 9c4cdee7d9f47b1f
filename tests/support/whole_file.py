"""What a decoder says of a whole MP4: the oracle that clips are compared with. Each file is decoded once per process."""

import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import av
import numpy as np
import numpy.typing as npt

Backend = Literal["torchcodec", "pyav"]


@cache
def usable_backends() -> tuple[Backend, ...]:
    """The decoders to test with: PyAV always, TorchCodec where FFmpeg's libraries are on the system."""
    try:
        import torchcodec.decoders  # noqa: F401
    except (ImportError, RuntimeError, OSError):
        return ("pyav",)
    return ("torchcodec", "pyav")


@dataclass(frozen=True, slots=True, eq=False)
class WholeFile:
    """All frames of one file in presentation order."""

    pictures: npt.NDArray[np.uint8]  # [frames, 3, height, width]
    ticks: npt.NDArray[np.int64]  # presentation times
    ticks_per_second: int


@cache
def decode_whole_file(path: Path, backend: Backend) -> WholeFile:
    """Sequentially, from the first frame to the last, with the plain library."""
    ticks, pictures, ticks_per_second = decode_with_plain_pyav(path.read_bytes())
    if backend == "torchcodec":
        from torchcodec.decoders import VideoDecoder  # type: ignore[attr-defined]  # exported without saying so

        decoder = VideoDecoder(path.as_posix(), dimension_order="NCHW")
        batch = decoder.get_frames_in_range(0, len(decoder))
        np.testing.assert_allclose(batch.pts_seconds.numpy(), ticks / ticks_per_second, rtol=0, atol=1e-9)
        pictures = batch.data.numpy()
    return WholeFile(pictures, ticks, ticks_per_second)


def decode_with_plain_pyav(mp4: bytes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], int]:
    """Presentation times, RGB pictures [frames, 3, height, width] and ticks per second of every frame that FFmpeg presents."""
    with av.open(io.BytesIO(mp4), mode="r") as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        assert stream.time_base.numerator == 1
        frames = list(container.decode(stream))
        pictures = np.stack([frame.to_ndarray(format="rgb24") for frame in frames]).astype(np.uint8, copy=False)
        return np.array([frame.pts for frame in frames]), pictures.transpose(0, 3, 1, 2), stream.time_base.denominator
