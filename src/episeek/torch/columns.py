"""Convert the columns of an episode to tensors of the types that LeRobot's items have.

LeRobot makes a tensor of each Python value of a row: floats of any width become float32, whole numbers int64 and booleans bool;
texts stay texts (`hf_transform_to_torch` in lerobot/datasets/utils.py).
"""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from episeek.errors import BackendUnavailableError, MetadataError, install_hint


def column_values(column: pa.ChunkedArray) -> Any:
    """Return the values of a column, one for each row, with the types that LeRobot's items have.

    Pictures stay encoded; `picture` decodes them.

    Returns:
        A tensor [rows, ...] if all values are numbers of one shape; otherwise a list with one value for each row.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], array.type)
    numbers = _numbers(array)
    if numbers is not None:
        return numbers
    return [_value(value) for value in array.to_pylist()]


def picture(value: Any, *, where: str) -> npt.NDArray[Any]:
    """Decode a picture that is stored in a row, and return it as uint8 [height, width, channels].

    A picture of one channel and 16 bits, such as depth, is returned as uint16 [height, width, 1], with its values unchanged.

    Args:
        value: The struct of the row, with the encoded picture in `bytes`.
        where: The name of the row, for error messages.

    Raises:
        BackendUnavailableError: Pillow is not installed.
        MetadataError: The row has no picture that can be decoded, or the values of the picture have neither 8 nor 16 bits.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise BackendUnavailableError(
            "Pillow", str(error), "Pillow for pictures in rows", install_hint("torch")
        ) from None
    data = value.get("bytes") if isinstance(value, dict) else None
    if not data:
        raise MetadataError(where, "a picture without bytes", "the encoded picture in the row")
    try:
        with Image.open(io.BytesIO(data)) as image:
            pixels = np.array(image)
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise MetadataError(where, str(error), "an encoded picture") from error
    if pixels.dtype == np.int32 and pixels.size and pixels.min() >= 0 and pixels.max() < 1 << 16:
        # Some releases of Pillow return pictures of 16 bits as int32.
        pixels = pixels.astype(np.uint16)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise MetadataError(
            where, f"a picture of {pixels.dtype} values", "values of 8 bits, or of 16 bits in one channel"
        )
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _numbers(array: pa.Array) -> torch.Tensor | None:
    """Return numbers of one shape as a tensor [rows, ...], or None for any other values."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    shape = [len(array)]
    while True:
        if array.null_count:
            return None
        if pa.types.is_fixed_size_list(array.type):
            shape.append(array.type.list_size)
            array = array.flatten()
        elif pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
            offsets = np.asarray(array.offsets)
            lengths = np.diff(offsets)
            if not len(lengths) or (lengths != lengths[0]).any():
                return None
            shape.append(int(lengths[0]))
            array = array.flatten()
        else:
            break
    if pa.types.is_boolean(array.type):
        values = np.asarray(array.to_numpy(zero_copy_only=False), np.bool_)
    elif pa.types.is_integer(array.type):
        values = array.to_numpy(zero_copy_only=False).astype(np.int64)
    elif pa.types.is_floating(array.type):
        values = array.to_numpy(zero_copy_only=False).astype(np.float32)
    else:
        return None
    return torch.from_numpy(np.array(values.reshape(shape)))


def _value(value: Any) -> Any:
    return value if value is None or isinstance(value, str | dict) else torch.tensor(value)
