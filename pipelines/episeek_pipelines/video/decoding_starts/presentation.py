"""Refuse files whose samples contradict the presentation times in the header.

A header without composition offsets says that samples are shown in the order in which they are stored. Some recorders also write
such a header for streams with B-pictures, whose presentation times are then unknown. Others store the two fields of a frame as two
samples with different times, although decoders return one frame for both.
"""

import itertools
from collections.abc import Sequence
from typing import Final

import numpy as np

from episeek.errors import SampleTableError
from episeek.mp4.sample_table import SampleTable
from episeek_pipelines.video.bitstreams.bits import BitsEndError
from episeek_pipelines.video.bitstreams.h264 import H264
from episeek_pipelines.video.bitstreams.h264_order import Slice, later_than, read_sequence, read_slice
from episeek_pipelines.video.bitstreams.mpeg2 import Mpeg2
from episeek_pipelines.video.bitstreams.mpeg4 import Mpeg4
from episeek_pipelines.video.bitstreams.sample import Codec, SampleBytes, State, Unit
from episeek_pipelines.video.decoding_starts.reading import SampleReader

LOOKED_AT: Final = {True: 64, False: 16}
"""Number of samples at the start of a file whose slice headers are read. The key True is for local files. The key False is for
files in a store, where one request reads all of these samples.
"""

HINT: Final = "re-encode the video"


def require_order(reader: SampleReader, codec: Codec, table: SampleTable, *, where: str) -> None:
    """Refuse a file whose first samples are single fields, or are shown in a different order than their times say.

    Args:
        reader: Reads the samples.
        codec: The `Codec` of the samples.
        table: The sample table.
        where: The file, for messages.

    Raises:
        SampleTableError: Two samples are the fields of one frame, or the order of the pictures contradicts the times.
    """
    positions = range(min(LOOKED_AT[reader.is_local], len(table)))
    rises = bool((np.diff(table.pts[: len(positions)]) > 0).all())
    if isinstance(codec, H264):
        if not _may_contradict(codec, rises=rises):
            return
        pictures = _pictures(reader, codec, positions)
        _require_frames(pictures, where)
        early = _shown_early(pictures) if rises else None
    elif isinstance(codec, Mpeg4 | Mpeg2) and rises:
        found = reader.map(lambda _, sample: codec.is_b_picture(sample), positions)
        early = next((position for position, is_b in enumerate(found) if is_b), None)
    else:
        return
    if early is not None:
        found_text = f"no composition offsets, although sample {early} is shown before a sample that is stored earlier"
        raise SampleTableError(
            where, found_text, "composition offsets, which give the times at which frames are shown", HINT
        )


def require_groups_in_turn(table: SampleTable, *, where: str) -> None:
    """Refuse a file that shows samples of one group of pictures between the samples of another group.

    Decoders show all pictures of a group before the pictures of the next group. The times of groups may overlap in a file that was
    joined from parts of other files without encoding.

    Args:
        table: The samples, with sync samples at which decoding can start.
        where: The file, for messages.

    Raises:
        SampleTableError: Two groups overlap.
    """
    starts = np.flatnonzero(table.is_sync | (np.arange(len(table)) == 0))
    shown = np.where(table.is_presented, table.pts, np.iinfo(np.int64).min)
    last = np.maximum.reduceat(shown, starts)
    order = np.argsort(table.pts[starts], kind="stable")
    overlaps = np.flatnonzero(np.maximum.accumulate(last[order])[:-1] > table.pts[starts[order[1:]]])
    if len(overlaps):
        group, later = (int(starts[order[overlaps[0] + step]]) for step in (0, 1))
        found = f"two groups of pictures, from sample {group} and from sample {later}, whose presentation times overlap"
        raise SampleTableError(where, found, "groups of pictures that are shown one after the other", HINT)


def _may_contradict(codec: H264, *, rises: bool) -> bool:
    """Return whether the parameter sets of the sample entry allow samples that are not shown at the times in the header.

    Two kinds of samples are not: single fields, which are half a picture; and pictures that are shown in another order than they
    are stored, although the times in the header rise from sample to sample (`rises`). The result is also True if no parameter set
    can be read.
    """
    try:
        found = [read_sequence(unit.data) for unit in codec.entry_units() if unit.kind == "sps"]
    except BitsEndError:
        return True
    return not found or any(not each.is_frames_only or (rises and each.order_count_bits > 0) for each in found)


def _pictures(reader: SampleReader, codec: H264, positions: Sequence[int]) -> list[list[Slice]]:
    """Return the slices of each sample; an empty list for a sample whose slices cannot be read."""
    state: State = {}
    for unit in codec.entry_units():
        codec.apply(state, unit)

    def look(_: int, sample: SampleBytes) -> tuple[tuple[Unit, ...], list[bytes]]:
        return codec.inspect(sample).before, codec.slice_heads(sample)

    pictures = []
    for units, heads in reader.map(look, positions):
        for unit in units:
            codec.apply(state, unit)
        pictures.append([found for head in heads if (found := read_slice(head, state)) is not None])
    return pictures


def _require_frames(pictures: Sequence[Sequence[Slice]], where: str) -> None:
    """Refuse two consecutive samples that are one field each, of opposite parity."""
    parities = [
        {part.is_bottom for part in slices} if slices and all(part.is_field for part in slices) else set()
        for slices in pictures
    ]
    for position, (one, other) in enumerate(itertools.pairwise(parities)):
        if len(one) == len(other) == 1 and one != other:
            found = f"samples {position} and {position + 1}, which are the two fields of a frame"
            raise SampleTableError(where, found, "one sample for each frame", HINT)


def _shown_early(pictures: Sequence[Sequence[Slice]]) -> int | None:
    """Return the position of the first B-picture that is stored after another picture but shown before it.

    A picture is compared only with pictures since the last IDR picture. The result is None if there is no such B-picture.
    """
    latest: Slice | None = None
    for position, slices in enumerate(pictures):
        if not slices or slices[0].order_count is None:
            continue
        first = slices[0]
        if first.is_idr or latest is None or later_than(first, latest):
            latest = first
        elif first.is_b and later_than(latest, first):
            return position
    return None
