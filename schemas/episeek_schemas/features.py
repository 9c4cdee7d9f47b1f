"""Read the types and shapes that `features` in `meta/info.json` declares."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa

SCALARS: Final[Mapping[str, pa.DataType]] = MappingProxyType(
    {
        "bool": pa.bool_(),
        "string": pa.string(),
        "float16": pa.float16(),
        "float32": pa.float32(),
        "float64": pa.float64(),
        **{f"{sign}int{bits}": getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)},
    }
)
"""The Arrow type of a single value, by the dtype that the feature declares."""


_OTHER_DTYPES: Final = frozenset(
    {"image", "video", "language", "null", "date32", "date64", "utf8", "large_utf8", "string_view", "large_string"}
    | {"binary", "large_binary", "binary_view"}
)
_PARAMETRIC_DTYPE: Final = re.compile(r"(timestamp|duration|time32|time64|decimal128|decimal256)[\[(].{1,60}[\])]")


def is_known_dtype(dtype: str) -> bool:
    """Return whether LeRobot or `datasets` accepts a dtype.

    `datasets` accepts the names of pyarrow's types (`datasets.features.features.string_to_arrow`). LeRobot also accepts image,
    video and language.
    """
    return dtype in SCALARS or dtype in _OTHER_DTYPES or _PARAMETRIC_DTYPE.fullmatch(dtype) is not None


def declared_shape(spec: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Return the declared shape of a feature, or None if it is missing or is not a list of sizes.

    The shape `[1]` is returned as `()`, because LeRobot declares scalars in this way.
    """
    shape = spec.get("shape")
    if not isinstance(shape, list | tuple):
        return None
    if not all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in shape):
        return None
    return () if tuple(shape) == (1,) else tuple(shape)


def declared_dtype(spec: object) -> str | None:
    """Return the declared dtype of a feature, or None if it is missing or is not a string."""
    dtype = spec.get("dtype") if isinstance(spec, Mapping) else None
    return dtype if isinstance(dtype, str) else None
