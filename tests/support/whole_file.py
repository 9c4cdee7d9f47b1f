"""What a decoder says of a whole MP4: the oracle that clips are compared with. Each file is decoded once per process."""

import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

BACKENDS = ("torchcodec", "pyav")


@dataclass(frozen=True, slots=True, eq=False)
class WholeFile:
    """All frames of one file in presentation order."""

    pictures: npt.NDArray[np.uint8]  # [frames, 3, height, width]
    ticks: npt.NDArray[np.int64]  # presentation times
    ticks_per_second: int


@cache
def decode_whole_file(path: Path, backend: str) -> WholeFile:
    """Sequentially, from the first frame to the last, with the plain library."""
    ticks, pictures, ticks_per_second = decode_with_plain_pyav(path.read_bytes())
    if backend == "torchcodec":
        from torchcodec.decoders import VideoDecoder

        decoder = VideoDecoder(path.as_posix(), dimension_order="NCHW")
        batch = decoder.get_frames_in_range(0, len(decoder))
        np.testing.assert_allclose(batch.pts_seconds.numpy(), ticks / ticks_per_second, rtol=0, atol=1e-9)
        pictures = batch.data.numpy()
    return WholeFile(pictures, ticks, ticks_per_second)


def decode_with_plain_pyav(mp4: bytes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], int]:
    """Presentation times, pictures [frames, 3, height, width] and ticks per second of every frame that FFmpeg presents."""
    with av.open(io.BytesIO(mp4)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        assert stream.time_base.numerator == 1
        frames = list(container.decode(stream))
        pictures = np.stack([frame.to_ndarray(format="rgb24") for frame in frames]).transpose(0, 3, 1, 2)
        return np.array([frame.pts for frame in frames]), pictures, stream.time_base.denominator
