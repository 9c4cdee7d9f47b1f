"""Read the video samples of one MP4: their positions, sizes and times, and whether decoding can start at them.

The samples are read from the moov box and, in fragmented files, from the moof boxes as well. Times are integer ticks of the
timescale of the track. This module combines the parts of the moov box (`moov`) with the fragments (`fragments`). The docstrings of
these modules say which files they refuse. This module refuses samples outside the file. Samples without bytes are not pictures and
are skipped.
"""

import struct
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from episeek.errors import EditListError, FragmentedMp4Error, SampleDescriptionError, SampleTableError
from episeek.mp4.fragments import Fragment, announces_fragments, read_fragments
from episeek.mp4.moov.edit_list import Edit, read_edit
from episeek.mp4.moov.sample_boxes import BoolArray, Int64Array, SampleBoxes, SampleColumns, read_samples
from episeek.mp4.moov.sample_description import common_entry, read_entries
from episeek.mp4.moov.video_track import IDENTITY_MATRIX, find_video_track
from episeek.mp4.segment_index import SegmentIndex, segment_times


@dataclass(frozen=True, eq=False)
class SampleTable:
    """The samples of one video track in decode order, as read-only arrays of shape [sample_count].

    The edit list is applied to `pts`: the presentation starts at 0 unless an empty edit delays it. Samples that the edit list
    removes stay in the table, because other samples may need them for decoding; `is_presented` is false for them.
    """

    offset: Int64Array
    """Offsets in the file, in bytes."""
    size: Int64Array
    """Sizes in bytes."""
    dts: Int64Array
    """Decode times in ticks. Matroska has no decode times; there, they are the presentation times in ascending order."""
    pts: Int64Array
    """Presentation times in ticks."""
    duration: Int64Array
    """Durations in ticks."""
    is_sync: BoolArray
    is_presented: BoolArray
    timescale: int
    """Ticks per second."""
    codec: str
    """Type of the sample entry, four characters."""
    width: int
    height: int
    sample_description: bytes
    """The whole stsd box, with its size in 32 bits."""
    description_index: Int64Array | None = None
    """Entry of the stsd box that each sample uses, from 1; None if all samples use the first entry."""
    matrix: bytes = IDENTITY_MATRIX
    """Transformation of the pictures for display: nine big-endian int32, as in tkhd (ISO/IEC 14496-12, 8.3.2)."""
    start_description_index: Int64Array | None = None
    """Entry of the stsd box, from 1, to use if decoding starts at this sample. It replaces the sample's own entry until a sample
    with a different own entry follows. None if every sample uses its own entry."""
    missing_sample_count: int = 0
    """Number of further samples that the header announces, but the file does not contain, since the recording stopped early."""

    def __post_init__(self) -> None:
        count = len(self.offset)
        arrays = ["offset", "size", "dts", "pts", "duration", "is_sync", "is_presented"]
        optional = ["description_index", "start_description_index"]
        for name in [*arrays, *(name for name in optional if getattr(self, name) is not None)]:
            array = getattr(self, name)
            if array.shape != (count,):
                raise ValueError(f"{name}: found shape {array.shape}; expected ({count},)")
            array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.offset)

    def __repr__(self) -> str:
        return (
            f"SampleTable({len(self)} samples of {self.codec} {self.width}x{self.height}, "
            f"{int(self.is_sync.sum())} sync, timescale {self.timescale})"
        )

    def presentation_order(self) -> Int64Array:
        """Return the positions in decode order of the presented samples, sorted by presentation time.

        Entry k is the sample of frame k of the file; shape [presented_count].
        """
        return self._order

    @cached_property
    def _order(self) -> Int64Array:
        presented = np.flatnonzero(self.is_presented)
        order: Int64Array = presented[np.argsort(self.pts[presented], kind="stable")].astype(np.int64, copy=False)
        order.setflags(write=False)
        return order

    @property
    def average_fps(self) -> float:
        """Average number of presented frames per second; 0 if nothing is presented. A duration of 0 counts as one tick."""
        order = self.presentation_order()
        if not len(order):
            return 0.0
        ticks = int(self.pts[order[-1]] + self.duration[order[-1]] - self.pts[order[0]])
        return len(order) * self.timescale / max(ticks, 1)


def parse_sample_table(
    moov: bytes,
    *,
    file_size: int,
    where: str,
    fragments: tuple[Fragment, ...] = (),
    segment_indexes: tuple[SegmentIndex, ...] = (),
) -> SampleTable:
    """Return the sample table of the first video track of a file.

    Args:
        moov: The whole moov box, including its header, from `read_header`.
        file_size: Size of the file in bytes; all samples have to lie within it.
        where: The file, for messages.
        fragments: The moof boxes of the file in file order, from `read_header`.
        segment_indexes: The sidx boxes of the file in file order, from `read_header`.

    Raises:
        Mp4Error: The file cannot be indexed; the subclass says why.
    """
    track = find_video_track(moov, where=where)
    boxes = SampleBoxes(moov, track.sample_table, where)
    stsd = boxes.require("stsd")
    description = struct.pack(">I4s", 8 + stsd.end - stsd.payload, b"stsd") + moov[stsd.payload : stsd.end]
    entries = read_entries(description, where=where)

    samples = read_samples(boxes, file_size=file_size)
    is_fragmented = announces_fragments(moov, where=where)
    moov_count, missing_count = len(samples), 0
    if is_fragmented and fragments:
        samples, missing_count = read_fragments(
            moov,
            fragments,
            track_id=track.track_id,
            before=samples,
            times=segment_times(segment_indexes, track_id=track.track_id, timescale=track.timescale, where=where),
            file_size=file_size,
            where=where,
        )
        if len(np.unique(samples.description_index)) > 1:
            found = "fragments of several sample descriptions"
            raise SampleDescriptionError(where, found, "one sample description: decoders ignore further ones")
    announced_count = len(samples)
    samples = _without_empty(samples)
    if not len(samples):
        if any(entry.codec == "encv" for entry in entries):
            common_entry(entries, np.ones(1, np.int64), where=where)
        if is_fragmented and not announced_count:
            found = "a moov box that announces fragments (mvex), but no video sample in any fragment"
            raise FragmentedMp4Error(
                where, found, "the fragments in the same file, not an initialization segment alone"
            )
        raise SampleTableError(
            where, f"{announced_count} video samples, all without bytes", "samples that contain pictures"
        )
    description_index = _unless_first(samples.description_index)
    entry = common_entry(entries, samples.description_index, where=where)
    _check_extent(samples, file_size, where)

    times = samples.dts if samples.composition is None else samples.dts + samples.composition
    # an edit list was written before the fragments: players let it delay their samples, but not remove any
    edit = read_edit(
        moov,
        track.box,
        timescale=track.timescale,
        movie_timescale=track.movie_timescale,
        is_fragmented=is_fragmented,
        is_reordered=bool(np.any(np.diff(times) < 0)),
        where=where,
    )
    is_presented = np.ones(len(samples), np.bool_) if fragments else edit.is_presented(times)
    if not is_presented.any():
        raise EditListError(
            where, f"an edit list that shows none of {len(samples)} samples", "an edit list that shows samples"
        )
    if samples.has_spare_chunks and not is_presented.all():
        found = "an edit list that hides samples, and spare chunks after the last sample"
        raise EditListError(where, found, "no spare chunks: they make FFmpeg ignore the edit list", "remux it")
    if is_fragmented and moov_count:
        _check_hybrid(samples, edit, times, moov_count, where)
    is_sync = samples.is_sync.copy()
    # decoding of a file starts at its first sample, whatever the tables say
    is_sync[0] = True
    return SampleTable(
        samples.offset,
        samples.size,
        samples.dts,
        edit.presentation_times(times),
        samples.duration,
        is_sync,
        is_presented,
        track.timescale,
        entry.codec,
        # writers that do not know the size leave it out of the entry; decoders find it in the pictures
        entry.width or track.width,
        entry.height or track.height,
        description,
        description_index,
        track.matrix,
        missing_sample_count=missing_count,
    )


def _without_empty(samples: SampleColumns) -> SampleColumns:
    """Return the samples that have bytes.

    A sample without bytes is not a picture. Decoders return no frame for it, and the previous sample is shown for longer.
    """
    has_bytes = samples.size > 0
    if has_bytes.all():
        return samples
    shown = np.flatnonzero(has_bytes)
    duration = np.add.reduceat(samples.duration, shown) if len(shown) else samples.duration[:0]
    return SampleColumns(
        samples.offset[has_bytes],
        samples.size[has_bytes],
        samples.dts[has_bytes],
        duration,
        None if samples.composition is None else samples.composition[has_bytes],
        samples.is_sync[has_bytes],
        samples.description_index[has_bytes],
        samples.has_spare_chunks,
    )


def _check_hybrid(samples: SampleColumns, edit: Edit, times: Int64Array, moov_count: int, where: str) -> None:
    """Refuse a file if decoders would treat its samples in moov differently from its samples in fragments.

    Decoders treat them differently if an edit list removes samples or has no duration, or if composition offsets are negative.

    Raises:
        EditListError: An edit list removes samples or has no duration.
        SampleTableError: Composition offsets are negative.
    """
    if edit.has_list and (edit.length is None or not edit.is_presented(times[:moov_count]).all()):
        found = "an edit list that removes samples or has no duration, with samples in moov and in fragments"
        raise EditListError(where, found, "samples only in moov or only in fragments", "remux it")
    if samples.composition is not None and (samples.composition < 0).any():
        found = "negative composition offsets, with samples in moov and in fragments"
        raise SampleTableError(where, found, "samples only in moov or only in fragments", "remux it")


def _unless_first(description_index: Int64Array) -> Int64Array | None:
    """Return the description of each sample, or None if every sample uses the first description."""
    return None if int(description_index.min()) == int(description_index.max()) == 1 else description_index


def _check_extent(samples: SampleColumns, file_size: int, where: str) -> None:
    end = samples.offset + samples.size
    outside = np.flatnonzero((samples.offset < 0) | (end > file_size))
    if len(outside):
        first = int(outside[0])
        found = f"sample {first} at bytes {samples.offset[first]} to {end[first]}"
        raise SampleTableError(where, found, f"samples within the file's {file_size} bytes: it may be truncated")
