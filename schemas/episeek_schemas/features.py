"""The types and shapes that `features` of meta/info.json declares."""

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
"""Dtypes of `features`, and the Arrow type of one value."""


def declared_shape(spec: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The shape of a feature; () for a scalar, which LeRobot declares as [1]. None where the document gives no usable one."""
    shape = spec.get("shape")
    if not isinstance(shape, list | tuple):
        return None
    if not all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in shape):
        return None
    return () if tuple(shape) == (1,) else tuple(shape)


def declared_dtype(spec: object) -> str | None:
    """The dtype of a feature, None where the document gives none."""
    dtype = spec.get("dtype") if isinstance(spec, Mapping) else None
    return dtype if isinstance(dtype, str) else None
