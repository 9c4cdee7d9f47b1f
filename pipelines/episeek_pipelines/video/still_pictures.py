"""Pictures that are files of their own, as those in rows of data files: PNG or JPEG, decoded by PyAV."""

import io

import numpy as np
import numpy.typing as npt

from episeek.errors import BackendUnavailableError, DecodeError, first_line


def decode_still(contents: bytes, where: str) -> npt.NDArray[np.uint8]:
    """Return the picture in a file: RGB, shape [height, width, 3].

    Args:
        contents: The file.
        where: Its place, for errors.

    Raises:
        BackendUnavailableError: PyAV is not installed.
        DecodeError: It cannot be decoded.
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
        raise DecodeError(where, first_line(error) or type(error).__name__, "a picture as PNG or JPEG") from None
