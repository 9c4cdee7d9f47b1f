"""Prints of episodes, which find copies: digests of the numbers in their rows, and of the sizes of their coded frames."""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

import numpy as np

from episeek_pipelines.verify.findings.arrays import Int64Array, UInt64Array

UNKNOWN: Final = 0
"""The value in place of a digest that is unknown, or that would be equal for different episodes."""

DIGEST_BYTES: Final = 8
"""Length of a digest. With a million episodes, two different ones have the same digest in about 3 of 100 million datasets."""


def digest_of(contents: bytes) -> int:
    """Return a digest of `contents` that is never `UNKNOWN`."""
    return int.from_bytes(blake2b(contents, digest_size=DIGEST_BYTES).digest(), "little") or 1


@dataclass(frozen=True, slots=True, eq=False)
class RowPrints:
    """The prints of the rows of the episodes that one data file contains as a whole. Arrays have shape [episodes]."""

    path: str
    episode_index: Int64Array
    first_row: Int64Array
    row_count: Int64Array
    change_count: Int64Array
    """Number of rows whose floats differ from those of the row before."""
    digest: UInt64Array
    """Digest of the numbers of all features, except for columns that number or locate a row, such as `index`."""


def _no_numbers() -> Int64Array:
    return np.zeros(0, np.int64)


def _no_digests() -> UInt64Array:
    return np.zeros(0, np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class FramePrints:
    """The prints of the coded frames of the episodes of one video. Arrays have shape [episodes]."""

    camera_key: str
    episode_index: Int64Array = field(default_factory=_no_numbers)
    digest: UInt64Array = field(default_factory=_no_digests)
    """Digest of the sizes of the samples in presentation order; `UNKNOWN` where they are unknown, or too few to identify a copy."""
