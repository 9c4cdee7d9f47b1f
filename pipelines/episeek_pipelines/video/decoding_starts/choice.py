"""Which samples to look at: all sync samples of a local file, a few of a file in a store as long as these agree."""

import hashlib
from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from episeek.mp4.moov.sample_boxes import Int64Array
from episeek_pipelines.video.bitstreams.sample import SampleContent

_SPREAD_COUNT = 6
"""Sync samples that are looked at besides the first two; one in each part of the file."""


def few(sync: Int64Array, name: str) -> Int64Array:
    """Return the first two sync samples and a few others, one from each part of the file, always the same for a name.

    Args:
        sync: Positions of the sync samples, ascending.
        name: The file.
    """
    if len(sync) <= _SPREAD_COUNT + 2:
        return sync
    edges = np.linspace(2, len(sync), _SPREAD_COUNT + 1).astype(np.int64)
    digest = hashlib.sha256(name.encode()).digest()
    inside = [
        int(low) + int.from_bytes(digest[4 * rank : 4 * rank + 4], "big") % int(high - low)
        for rank, (low, high) in enumerate(pairwise(edges))
    ]
    chosen: Int64Array = sync[np.array([0, 1, *inside])]
    return chosen


def agree(contents: Mapping[int, SampleContent], *, is_lacking: bool) -> bool:
    """Return whether a few sync samples speak for the others.

    They do where all of them are starts, lack nothing, and carry units of the same kinds.

    Args:
        contents: What was found in them, by position.
        is_lacking: Whether one of them lacks decoder state.
    """
    later = [content for position, content in contents.items() if position]
    kinds = {tuple((unit.kind, unit.number) for unit in content.before if unit.kind != "version") for content in later}
    return not is_lacking and all(content.is_start for content in later) and len(kinds) < 2
