"""Prints of episodes, which reveal copies: digests of the numbers in an episode's rows, and of the sizes of its coded frames."""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

import numpy as np

from episeek_pipelines.verify.findings.arrays import Int64Array, UInt64Array

UNKNOWN: Final = 0
"""The value in place of a digest that is unknown, or that would be equal for different episodes."""

DIGEST_BYTES: Final = 8
"""Length of a digest in bytes. The probability that any two of a million different episodes have the same digest is about 3e-8."""


def digest_of(contents: bytes) -> int:
    """Return a digest of `contents` that is never `UNKNOWN`."""
    return int.from_bytes(blake2b(contents, digest_size=DIGEST_BYTES).digest(), "little") or 1


@dataclass(frozen=True, slots=True, eq=False)
class RowPrints:
    """The prints of the rows of those episodes that one data file contains completely. Arrays have shape [episodes]."""

    path: str
    episode_index: Int64Array
    first_row: Int64Array
    row_count: Int64Array
    change_count: Int64Array
    """Number of rows in which a float differs from the previous row."""
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
    """Digest of the sizes of the samples in presentation order; `UNKNOWN` if sizes are unknown or too few to identify a copy."""
