"""Decode still pictures with PyAV: the PNG and JPEG files that rows of data files contain."""

import io

import numpy as np
import numpy.typing as npt

from episeek.errors import BackendUnavailableError, DecodeError, first_line


def decode_still(contents: bytes, where: str) -> npt.NDArray[np.uint8]:
    """Return a decoded picture in RGB, shape [height, width, 3].

    Args:
        contents: The bytes of a PNG or JPEG file.
        where: The row or file that contains the picture, for messages.

    Raises:
        BackendUnavailableError: PyAV is not installed.
        DecodeError: The picture cannot be decoded.
    """
    try:
        import av
    except ImportError:
        raise BackendUnavailableError(where, "no PyAV", "PyAV, which decodes pictures", "pip install av") from None
    try:
        with av.open(io.BytesIO(contents), "r") as container:
            picture = next(container.decode(video=0))
            return np.asarray(picture.to_ndarray(format="rgb24"), np.uint8)
    except (av.FFmpegError, StopIteration, IndexError, ValueError) as error:
        raise DecodeError(where, first_line(error) or type(error).__name__, "a PNG or JPEG picture") from None
