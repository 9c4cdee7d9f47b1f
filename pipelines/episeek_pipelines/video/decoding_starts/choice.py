"""Choose the samples to read: all samples of a local file, and a few sync samples of a file in a store.

All samples of a file in a store are read if the few allow no conclusion about the others.
"""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from episeek.mp4.moov.sample_boxes import Int64Array
from episeek_pipelines.video.bitstreams.parameter_sets import ParameterSets
from episeek_pipelines.video.bitstreams.sample import Codec, SampleContent, Unit

_SPREAD_COUNT = 6
"""Number of sync samples that are read besides the first two, one in each part of the file."""

FEW_COUNT = 2 + _SPREAD_COUNT
"""Number of sync samples of a file in a store that are read first. If these samples `agree`, no others are read."""


def few(sync: Int64Array, name: str) -> Int64Array:
    """Return the first two sync samples and one from each of `_SPREAD_COUNT` parts of the file.

    The same file name always gives the same choice.

    Args:
        sync: Positions of the sync samples, ascending.
        name: The file's path, from which the choice is made.
    """
    if len(sync) <= FEW_COUNT:
        return sync
    edges = np.linspace(2, len(sync), _SPREAD_COUNT + 1).astype(np.int64)
    digest = hashlib.sha256(name.encode()).digest()
    inside = [
        int(low) + int.from_bytes(digest[4 * rank : 4 * rank + 4], "big") % int(high - low)
        for rank, (low, high) in enumerate(pairwise(edges))
    ]
    chosen: Int64Array = sync[np.array([0, 1, *inside])]
    return chosen


def agree(contents: Mapping[int, SampleContent], codecs: Mapping[int, Codec], *, is_lacking: bool) -> bool:
    """Return whether the few sync samples that were read allow a conclusion about all other samples.

    Decoding has to be possible from each of these samples without units (parameter sets, headers, tables) of other samples. All of
    these samples have to carry units of the same kinds and ids. Parameter sets may be in any sample, so codecs with parameter sets
    have two more conditions: the file has a single sample entry, which contains all parameter sets, and the samples after the first
    carry either all sets of the entry or none.

    Args:
        contents: The content of the few sync samples, by position.
        codecs: The `Codec` of each sample entry that is used, by the entry's index.
        is_lacking: Whether one of these samples needs units from earlier samples.
    """
    later = [_state_units(content) for position, content in contents.items() if position]
    if is_lacking or not all(content.is_start for position, content in contents.items() if position):
        return False
    if len({tuple((unit.kind, unit.number) for unit in units) for units in later}) > 1:
        return False
    sets = [codec for codec in codecs.values() if isinstance(codec, ParameterSets)]
    if not sets:
        return True
    known = set(sets[0].entry_units())
    carried = {unit for content in contents.values() for unit in (*_state_units(content), *content.after)}
    return len(codecs) == 1 and sets[0].is_entry_complete and carried <= known and (not any(later) or carried == known)


def are_independent(contents: Mapping[int, SampleContent], starts: Sequence[int], codecs: Mapping[int, Codec]) -> bool:
    """Return whether every start, except sample 0, carries all parameter sets, headers and tables of the file's sync samples.

    Units of the sample entries have to be carried, too. If the result is True, no other sample has to be read.

    Args:
        contents: The content of all sync samples, by position.
        starts: Positions of the sync samples at which decoding can start.
        codecs: The `Codec` of each sample entry that is used, by the entry's index.
    """
    known = {unit for codec in codecs.values() for unit in codec.entry_units()}
    known.update(unit for content in contents.values() for unit in (*_state_units(content), *content.after))
    keys = {(unit.kind, unit.number) for unit in known}
    later = [start for start in starts if start]
    return all(keys <= {(unit.kind, unit.number) for unit in contents[start].before} for start in later)


def _state_units(content: SampleContent) -> tuple[Unit, ...]:
    """Return the parameter sets, headers and tables before a sample's picture.

    The unit with the encoder's version is left out, because only the first sample of a stream carries it.
    """
    return tuple(unit for unit in content.before if unit.kind != "version")
