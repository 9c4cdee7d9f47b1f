"""The video samples of one MP4: where each lies, how long it is, when it is shown, whether decoding can start there.

Read from the moov box and, in fragmented files, the moof boxes alone, vectorised, in integer ticks of the track's
timescale. Here the parts come together: the track (`video_track`), its tables (`sample_boxes`), its fragments
(`fragments`), its sample descriptions (`sample_description`) and its edit list (`edit_list`); what each refuses is said
there. Samples outside the file are refused here; samples of no bytes, which are no pictures, are left out.
"""

import struct
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from episeek.errors import EditListError, FragmentedMp4Error, SampleDescriptionError, SampleTableError
from episeek.mp4.edit_list import Edit, read_edit
from episeek.mp4.fragments import Fragment, announces_fragments, read_fragments
from episeek.mp4.sample_boxes import BoolArray, Int64Array, SampleBoxes, SampleColumns, read_samples
from episeek.mp4.sample_description import common_entry, read_entries
from episeek.mp4.video_track import IDENTITY_MATRIX, find_video_track


@dataclass(frozen=True, eq=False)
class SampleTable:
    """The samples of one video track in decode order; arrays are read-only and have shape [sample_count].

    `pts` has the edit list applied: a presentation starts at 0 unless an empty edit delays it. Samples that the edit
    list cuts away stay in the table, since others may need them for decoding; `is_presented` is false for them.
    """

    offset: Int64Array  # absolute, bytes
    size: Int64Array  # bytes
    dts: Int64Array  # decode times, ticks; of demuxed files presentation times in order
    pts: Int64Array  # presentation times, ticks
    duration: Int64Array  # ticks
    is_sync: BoolArray
    is_presented: BoolArray
    timescale: int
    """Ticks per second."""
    codec: str
    """Fourcc of the sample entry."""
    width: int
    height: int
    sample_description: bytes
    """The stsd box, whole; its size is in 32 bits."""
    description_index: Int64Array | None = None
    """Which of its entries each sample uses, from 1; None: all use the first."""
    matrix: bytes = IDENTITY_MATRIX
    """How pictures are turned to be shown: nine big-endian int32, as in tkhd."""

    def __post_init__(self) -> None:
        count = len(self.offset)
        arrays = ["offset", "size", "dts", "pts", "duration", "is_sync", "is_presented"]
        for name in arrays if self.description_index is None else [*arrays, "description_index"]:
            array = getattr(self, name)
            if array.shape != (count,):
                raise ValueError(f"{name} has shape {array.shape}, expected ({count},)")
            array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.offset)

    def __repr__(self) -> str:
        return (
            f"SampleTable({len(self)} samples of {self.codec} {self.width}x{self.height}, "
            f"{int(self.is_sync.sum())} sync, timescale {self.timescale})"
        )

    def presentation_order(self) -> Int64Array:
        """Decode positions of the presented samples, sorted by presentation time: entry k is the sample of the file's
        frame k.
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
        """Presented frames divided by the presented duration in seconds, which is a tick at least; 0 when nothing is presented."""
        order = self.presentation_order()
        if not len(order):
            return 0.0
        ticks = int(self.pts[order[-1]] + self.duration[order[-1]] - self.pts[order[0]])
        return len(order) * self.timescale / max(ticks, 1)


def parse_sample_table(moov: bytes, *, file_size: int, where: str, fragments: tuple[Fragment, ...] = ()) -> SampleTable:
    """The sample table of the first video track of a file.

    Args:
        moov: The whole moov box, its header included.
        file_size: Bytes; every sample has to lie within.
        where: The file, for messages.
        fragments: The file's moof boxes, in its order; both are what `read_header` finds.

    Raises:
        Mp4Error: One of its leaves, by what is wrong.
    """
    track = find_video_track(moov, where=where)
    boxes = SampleBoxes(moov, track.sample_table, where)
    stsd = boxes.require("stsd")
    description = struct.pack(">I4s", 8 + stsd.end - stsd.payload, b"stsd") + moov[stsd.payload : stsd.end]
    entries = read_entries(description, where=where)

    samples = read_samples(boxes, file_size=file_size)
    is_fragmented = announces_fragments(moov, where=where)
    moov_count = len(samples)
    if is_fragmented and fragments:
        samples = read_fragments(
            moov, fragments, track_id=track.track_id, before=samples, file_size=file_size, where=where
        )
        if len(np.unique(samples.description_index)) > 1:
            found = "fragments of several sample descriptions"
            raise SampleDescriptionError(where, found, "one for all: decoders take no notice of what fragments say")
    announced = len(samples)
    samples = _without_empty(samples)
    if not len(samples):
        if any(entry.codec == "encv" for entry in entries):
            common_entry(entries, np.ones(1, np.int64), where=where)
        if is_fragmented and not announced:
            found = "a moov that announces fragments (mvex), and no video sample in any"
            raise FragmentedMp4Error(
                where, found, "the fragments in the same file: this may be an initialization segment"
            )
        raise SampleTableError(
            where, f"{announced} video samples, none of which has a byte", "samples with pictures in them"
        )
    description_index = _several(samples.description_index)
    entry = common_entry(entries, samples.description_index, where=where)
    _check_extent(samples, file_size, where)

    times = samples.dts if samples.composition is None else samples.dts + samples.composition
    # written before the fragments were known, an edit list delays them but cuts nothing away, as players take it
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
            where, f"an edit list that shows none of {len(samples)} samples", "an edit within the media"
        )
    if is_fragmented and moov_count:
        _check_hybrid(samples, edit, times, moov_count, where)
    is_sync = samples.is_sync.copy()
    is_sync[0] = True  # whatever is said of it: decoding a file starts there
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
        entry.width,
        entry.height,
        description,
        description_index,
        track.matrix,
    )


def _without_empty(samples: SampleColumns) -> SampleColumns:
    """A sample of no bytes is no picture: the one before it is shown for longer, and decoders give no frame for it."""
    is_there = samples.size > 0
    if is_there.all():
        return samples
    shown = np.flatnonzero(is_there)
    duration = np.add.reduceat(samples.duration, shown) if len(shown) else samples.duration[:0]
    return SampleColumns(
        samples.offset[is_there],
        samples.size[is_there],
        samples.dts[is_there],
        duration,
        None if samples.composition is None else samples.composition[is_there],
        samples.is_sync[is_there],
        samples.description_index[is_there],
    )


def _check_hybrid(samples: SampleColumns, edit: Edit, times: Int64Array, moov_count: int, where: str) -> None:
    """Samples in moov and more in fragments: decoders treat the two differently where an edit cuts, or times go back."""
    if edit.is_there and (edit.length is None or not edit.is_presented(times[:moov_count]).all()):
        found = "an edit list of no duration, or one that cuts, beside samples in moov and in fragments"
        raise EditListError(where, found, "samples in one of them: remux it")
    if samples.composition is not None and (samples.composition < 0).any():
        found = "negative composition offsets, and samples in moov and in fragments"
        raise SampleTableError(where, found, "samples in one of them: remux it")


def _several(description_index: Int64Array) -> Int64Array | None:
    """None when every sample uses the first description."""
    return None if int(description_index.min()) == int(description_index.max()) == 1 else description_index


def _check_extent(samples: SampleColumns, file_size: int, where: str) -> None:
    end = samples.offset + samples.size
    outside = np.flatnonzero((samples.offset < 0) | (end > file_size))
    if len(outside):
        first = int(outside[0])
        found = f"sample {first} at bytes {samples.offset[first]} to {end[first]}"
        raise SampleTableError(where, found, f"samples within the file's {file_size} bytes: it may be truncated")
