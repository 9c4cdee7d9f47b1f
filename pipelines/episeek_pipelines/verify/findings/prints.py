"""Prints of episodes: digests of the numbers of their rows and of the sizes of their coded frames, to find copies."""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

import numpy as np

from episeek_pipelines.verify.findings.arrays import Int64Array, UInt64Array

UNKNOWN: Final = 0
"""Stands for a digest that says nothing."""

DIGEST_BYTES: Final = 8
"""Of a million episodes, two different ones have one digest once in ten million datasets."""


def digest_of(contents: bytes) -> int:
    """Return a digest of some bytes, never `UNKNOWN`."""
    return int.from_bytes(blake2b(contents, digest_size=DIGEST_BYTES).digest(), "little") or 1


@dataclass(frozen=True, slots=True, eq=False)
class RowPrints:
    """Prints of the rows of the whole episodes of one data file; arrays have shape [episodes]."""

    path: str
    episode_index: Int64Array
    first_row: Int64Array
    row_count: Int64Array
    change_count: Int64Array
    """Rows with other floats than the row before."""
    digest: UInt64Array
    """Digest of all numbers of features, but for those that say where a row is."""


def _no_numbers() -> Int64Array:
    return np.zeros(0, np.int64)


def _no_digests() -> UInt64Array:
    return np.zeros(0, np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class FramePrints:
    """Prints of the coded frames of the episodes of one video; arrays have shape [episodes]."""

    camera_key: str
    episode_index: Int64Array = field(default_factory=_no_numbers)
    digest: UInt64Array = field(default_factory=_no_digests)
    """Digest of the sizes of the samples, in the order of presentation; `UNKNOWN` where they are not known, or tell little."""
