"""The video samples of one MP4: where each lies, how long it is, when it is shown, whether decoding can start there.

Read from the moov box alone, vectorised, in integer ticks of the track's timescale. Clauses are those of ISO/IEC
14496-12:2022: stts 8.6.1.2, ctts 8.6.1.3, stss 8.6.2, elst 8.6.6, stsd 8.5.2, stsz and stz2 8.7.3, stsc 8.7.4, stco and
co64 8.7.5. Refused by name: movie fragments, encryption, several sample descriptions, edit lists that do more than
delay or trim one run of media, tables that disagree, samples outside the file.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from episeek.edit_list import read_edit
from episeek.errors import (
    EncryptedMp4Error,
    FragmentedMp4Error,
    MalformedBoxError,
    NoVideoTrackError,
    RotatedVideoError,
    SampleDescriptionError,
    SampleTableError,
)
from episeek.isobmff import Box, box_fields, child_boxes, find_child, parse_box, require_child

MAX_SAMPLES = 1 << 26
"""Two million seconds at 30 frames a second. Some tables are run-length coded: without a limit, a few bytes could ask
for any memory."""


Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SampleTable:
    """The samples of one video track in decode order; arrays are read-only and have shape [sample_count].

    `pts` has the edit list applied: a presentation starts at 0 unless an empty edit delays it. Samples that the edit
    list cuts away stay in the table, since others may need them for decoding; `is_presented` is false for them.
    """

    offset: Int64Array  # absolute, bytes
    size: Int64Array  # bytes
    dts: Int64Array  # decode times from 0, ticks
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
    """The stsd box, whole."""

    def __post_init__(self) -> None:
        count = len(self.offset)
        for name in ("offset", "size", "dts", "pts", "duration", "is_sync", "is_presented"):
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
        """Presented frames divided by the presented duration in seconds; 0 when nothing is presented."""
        order = self.presentation_order()
        if not len(order):
            return 0.0
        ticks = int(self.pts[order[-1]] + self.duration[order[-1]] - self.pts[order[0]])
        return len(order) * self.timescale / ticks if ticks > 0 else 0.0


def parse_sample_table(moov: bytes, *, file_size: int, where: str) -> SampleTable:
    """The sample table of the first video track of a moov box.

    Args:
        moov: The whole box, its header included.
        file_size: Bytes; every sample has to lie within.
        where: The file, for messages.

    Raises:
        Mp4Error: One of its leaves, by what is wrong.
    """
    root = parse_box(moov, 0, len(moov), where=where)
    if find_child(moov, root, "mvex", where=where) is not None:
        raise FragmentedMp4Error(
            where, "a fragmented MP4 (mvex)", "one moov that holds every sample: remux it without fragments"
        )
    movie_timescale = _timescale(moov, require_child(moov, root, "mvhd", where=where), where)
    track = _video_track(moov, root, where)
    _require_upright(moov, track, where)
    media = require_child(moov, track, "mdia", where=where)
    timescale = _timescale(moov, require_child(moov, media, "mdhd", where=where), where)
    information = require_child(moov, media, "minf", where=where)
    _require_self_contained(moov, information, where)
    boxes = _Tables(moov, require_child(moov, information, "stbl", where=where), where)

    description, codec, width, height = _sample_description(boxes)
    size = _sizes(boxes, file_size)
    count = len(size)
    offset = _offsets(boxes, size)
    duration = _run_lengths(boxes, "stts", count, signed=False)
    dts = np.zeros(count, np.int64)
    np.cumsum(duration[:-1], out=dts[1:])
    pts = dts + _run_lengths(boxes, "ctts", count, signed=True) if boxes.get("ctts") is not None else dts
    edit = read_edit(moov, track, timescale=timescale, movie_timescale=movie_timescale, where=where)
    pts, is_presented = edit.presentation_times(pts), edit.is_presented(pts)

    end = offset + size
    outside = np.flatnonzero((offset < 0) | (end > file_size))
    if len(outside):
        first = int(outside[0])
        found = f"sample {first} at bytes {offset[first]} to {end[first]}"
        raise SampleTableError(where, found, f"samples within the file's {file_size} bytes: it may be truncated")
    return SampleTable(
        offset,
        size,
        dts,
        pts,
        duration,
        _sync_samples(boxes, count),
        is_presented,
        timescale,
        codec,
        width,
        height,
        description,
    )


class _Tables:
    """The boxes of one stbl: full boxes (version, flags) that start with fixed fields and go on with an array."""

    def __init__(self, moov: bytes, stbl: Box, where: str) -> None:
        self.moov = moov
        self.where = where
        self._boxes: dict[str, Box] = {}
        for box in child_boxes(moov, stbl.payload, stbl.end, where=where):
            self._boxes.setdefault(box.type, box)

    def get(self, kind: str) -> Box | None:
        return self._boxes.get(kind)

    def require(self, kind: str) -> Box:
        box = self._boxes.get(kind)
        if box is None:
            raise MalformedBoxError(self.where, f"a sample table without {kind!r}", f"a {kind!r} box")
        return box

    def fields(self, box: Box, layout: str) -> tuple[Any, ...]:
        return box_fields(self.moov, box, layout, where=self.where)

    def array(self, box: Box, skip: int, count: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """`count` items that start `skip` bytes into the payload."""
        item = np.dtype(dtype)
        room = box.end - box.payload - skip
        if count * item.itemsize > room:
            found = f"{box.type!r} with {count} entries in {max(room, 0)} bytes"
            raise MalformedBoxError(self.where, found, f"{item.itemsize} bytes an entry")
        return np.frombuffer(self.moov, item, count, box.payload + skip)


def _timescale(moov: bytes, box: Box, where: str) -> int:
    """mvhd (8.2.2) and mdhd (8.4.2) have the timescale at the same place: behind two times of 4 or, in version 1, 8
    bytes.
    """
    (version,) = box_fields(moov, box, ">B", where=where)
    (timescale,) = box_fields(moov, box, ">4x16xI" if version == 1 else ">4x8xI", where=where)
    if not 0 < timescale < 1 << 31:
        raise MalformedBoxError(where, f"{box.type!r} with timescale {timescale}", "1 to 2147483647 ticks per second")
    return int(timescale)


def _video_track(moov: bytes, root: Box, where: str) -> Box:
    handlers = []
    for track in child_boxes(moov, root.payload, root.end, where=where):
        if track.type != "trak":
            continue
        media = find_child(moov, track, "mdia", where=where)
        handler_box = find_child(moov, media, "hdlr", where=where) if media is not None else None
        if handler_box is None:
            continue
        (handler,) = box_fields(moov, handler_box, ">8x4s", where=where)
        if handler == b"vide":
            return track
        handlers.append(handler.decode("latin-1"))
    raise NoVideoTrackError(where, f"tracks {handlers}" if handlers else "no tracks", "a video track (handler 'vide')")


def _require_upright(moov: bytes, track: Box, where: str) -> None:
    """tkhd (8.3.2): its matrix may scale and move the picture, but not turn or mirror it: a clip would show it unturned."""
    header = find_child(moov, track, "tkhd", where=where)
    if header is None:
        return
    (version,) = box_fields(moov, header, ">B", where=where)
    a, b, _, c, d, *_ = box_fields(moov, header, ">52x9i" if version == 1 else ">40x9i", where=where)
    if b or c or a < 0 or d < 0:
        found = f"a matrix that turns or mirrors the picture: {a / 65536:g} {b / 65536:g} {c / 65536:g} {d / 65536:g}"
        raise RotatedVideoError(where, found, "an upright picture: write the rotation into the pictures")


def _require_self_contained(moov: bytes, information: Box, where: str) -> None:
    data_information = find_child(moov, information, "dinf", where=where)
    reference = find_child(moov, data_information, "dref", where=where) if data_information is not None else None
    if reference is None:
        return
    box_fields(moov, reference, ">8x", where=where)
    for entry in child_boxes(moov, reference.payload + 8, reference.end, where=where):
        (flags,) = box_fields(moov, entry, ">I", where=where)
        if not flags & 1:
            raise SampleTableError(
                where, f"media data in another file ({entry.type!r} reference)", "media data in the file itself"
            )


def _sample_description(boxes: _Tables) -> tuple[bytes, str, int, int]:
    """The stsd box, and the fourcc and coded size of its one VisualSampleEntry (12.1.3)."""
    stsd = boxes.require("stsd")
    (entry_count,) = boxes.fields(stsd, ">4xI")
    if entry_count != 1:
        raise SampleDescriptionError(boxes.where, f"{entry_count} sample descriptions", "exactly one")
    entry = parse_box(boxes.moov, stsd.payload + 8, stsd.end, where=boxes.where)
    if entry.type == "encv":
        raise EncryptedMp4Error(boxes.where, "encrypted video ('encv')", "samples in the clear")
    width, height = box_fields(boxes.moov, entry, ">24xHH", where=boxes.where)
    return boxes.moov[stsd.start : stsd.end], entry.type, int(width), int(height)


def _sizes(boxes: _Tables, file_size: int) -> Int64Array:
    stsz = boxes.get("stsz")
    if stsz is not None:
        constant, count = boxes.fields(stsz, ">4xII")
        _check_count(boxes, count)
        if not constant:
            return boxes.array(stsz, 12, count, ">u4").astype(np.int64)
        if constant * count > file_size:
            found = f"{count} samples of {constant} bytes"
            raise SampleTableError(boxes.where, found, f"samples within the file's {file_size} bytes")
        return np.full(count, constant, np.int64)
    stz2 = boxes.get("stz2")
    if stz2 is None:
        raise MalformedBoxError(boxes.where, "a sample table without 'stsz' and 'stz2'", "one of them")
    field_bits, count = boxes.fields(stz2, ">7xBI")
    _check_count(boxes, count)
    if field_bits == 4:  # two to a byte, the high half first
        packed = boxes.array(stz2, 12, (count + 1) // 2, np.uint8)
        return np.stack([packed >> 4, packed & 15], axis=1).reshape(-1)[:count].astype(np.int64)
    if field_bits in (8, 16):
        return boxes.array(stz2, 12, count, f">u{field_bits // 8}").astype(np.int64)
    raise MalformedBoxError(boxes.where, f"'stz2' with fields of {field_bits} bits", "4, 8 or 16")


def _check_count(boxes: _Tables, count: int) -> None:
    if not 0 < count <= MAX_SAMPLES:
        raise SampleTableError(boxes.where, f"{count} video samples", f"1 to {MAX_SAMPLES}")


def _offsets(boxes: _Tables, size: Int64Array) -> Int64Array:
    """Absolute offsets: a chunk's offset plus the sizes of the samples before it in the same chunk."""
    stco, width = boxes.get("stco"), 4
    if stco is None:
        stco, width = boxes.require("co64"), 8
    (chunk_count,) = boxes.fields(stco, ">4xI")
    chunk_offset = boxes.array(stco, 8, chunk_count, f">u{width}")
    if width == 8 and len(chunk_offset) and int(chunk_offset.max()) >= 1 << 62:
        raise SampleTableError(boxes.where, f"a chunk at offset {int(chunk_offset.max())}", "an offset within the file")
    chunk_offset = chunk_offset.astype(np.int64)

    stsc = boxes.require("stsc")
    (run_count,) = boxes.fields(stsc, ">4xI")
    runs = boxes.array(stsc, 8, run_count, np.dtype([("first", ">u4"), ("samples", ">u4"), ("description", ">u4")]))
    first = runs["first"].astype(np.int64)
    if not run_count or first[0] != 1 or np.any(np.diff(first) <= 0) or first[-1] > chunk_count:
        raise SampleTableError(
            boxes.where, f"'stsc' runs that start at chunks {first[:4].tolist()}", f"rising from 1 to {chunk_count}"
        )
    if np.any(runs["description"] != 1):
        found = f"samples of description {int(runs['description'].max())}"
        raise SampleDescriptionError(boxes.where, found, "the first description for every sample")
    run_chunks = np.diff(np.append(first, chunk_count + 1))
    run_samples = runs["samples"].astype(np.int64)
    total = sum(
        a * b for a, b in zip(run_chunks.tolist(), run_samples.tolist(), strict=True)
    )  # exact: these may overflow 64 bits
    if total != len(size):
        raise SampleTableError(boxes.where, f"{total} samples in chunks, {len(size)} sample sizes", "the same number")
    per_chunk = np.repeat(run_samples, run_chunks)
    before = np.zeros(len(size) + 1, np.int64)
    np.cumsum(size, out=before[1:])
    chunk_first = np.cumsum(per_chunk) - per_chunk
    offset: Int64Array = before[:-1] + np.repeat(chunk_offset - before[chunk_first], per_chunk)
    return offset


def _run_lengths(boxes: _Tables, kind: str, count: int, *, signed: bool) -> Int64Array:
    """stts and ctts: runs of (sample_count, value), expanded. ctts is read as signed in both versions, as QuickTime
    writes it.
    """
    box = boxes.require(kind)
    (run_count,) = boxes.fields(box, ">4xI")
    runs = boxes.array(box, 8, run_count, np.dtype([("count", ">u4"), ("value", ">i4" if signed else ">u4")]))
    run_samples = runs["count"].astype(np.int64)
    total = int(run_samples.sum())
    if total != count:
        raise SampleTableError(boxes.where, f"{kind!r} for {total} samples, {count} sample sizes", "the same number")
    return np.repeat(runs["value"].astype(np.int64), run_samples)


def _sync_samples(boxes: _Tables, count: int) -> BoolArray:
    stss = boxes.get("stss")
    if stss is None:  # every sample is a sync sample
        return np.ones(count, np.bool_)
    (entry_count,) = boxes.fields(stss, ">4xI")
    numbers = boxes.array(stss, 8, entry_count, ">u4").astype(np.int64)
    if len(numbers) and (numbers.min() < 1 or numbers.max() > count):
        raise SampleTableError(
            boxes.where, f"sync samples {numbers.min()} to {numbers.max()}", f"numbers within 1 to {count}"
        )
    is_sync = np.zeros(count, np.bool_)
    is_sync[numbers - 1] = True
    return is_sync
