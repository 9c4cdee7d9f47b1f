"""Read the sample tables of a track in the moov box, and expand them to one value for each sample.

The boxes are those of ISO/IEC 14496-12:2022: stts 8.6.1.2, ctts 8.6.1.3, stss 8.6.2, stsz and stz2 8.7.3, stsc 8.7.4, stco and
co64 8.7.5, sbgp 8.9.2, `rap ` 10.4. The box stps belongs to QuickTime. No more values are allocated than there are sample sizes.
Spare chunks at the end are not used. Tables that contradict each other or do not fit into their boxes are refused.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from episeek.errors import MalformedBoxError, SampleTableError
from episeek.mp4.boxes import Box, box_fields, child_boxes
from episeek.mp4.moov.run_lengths import compositions, durations

MAX_SAMPLES = 1 << 26
"""Greatest number of samples of a track: two million seconds at 30 frames per second. Without a limit, a few bytes of a run-length
coded table could demand any amount of memory."""

_MAX_CHUNK_OFFSET = 1 << 62

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class SampleColumns:
    """Samples in decode order, as arrays of shape [sample_count]."""

    offset: Int64Array
    """Offsets in the file, in bytes."""
    size: Int64Array
    """Sizes in bytes."""
    dts: Int64Array
    """Decode times in ticks."""
    duration: Int64Array
    """Durations in ticks."""
    composition: Int64Array | None
    """Composition time minus decode time, in ticks; None without a ctts box."""
    is_sync: BoolArray
    description_index: Int64Array
    """Sample description of each sample, from 1."""
    has_spare_chunks: bool = False
    """Whether the tables have chunks after the chunk of the last sample. FFmpeg then ignores the edit list."""

    def __len__(self) -> int:
        return len(self.offset)


class SampleBoxes:
    """The boxes in one stbl box. Each has version and flags, then some fields and an array."""

    def __init__(self, moov: bytes, stbl: Box, where: str) -> None:
        self.moov = moov
        self.where = where
        self.children = tuple(child_boxes(moov, stbl.payload, stbl.end, where=where))
        self._boxes: dict[str, Box] = {}
        for box in self.children:
            self._boxes.setdefault(box.type, box)

    def get(self, kind: str) -> Box | None:
        """Return the first box of this type, or None if there is none."""
        return self._boxes.get(kind)

    def require(self, kind: str) -> Box:
        """Return the first box of this type. Raises MalformedBoxError if there is none."""
        box = self._boxes.get(kind)
        if box is None:
            raise MalformedBoxError(self.where, f"a sample table without {kind!r}", f"a {kind!r} box")
        return box

    def fields(self, box: Box, layout: str) -> tuple[Any, ...]:
        """Return the fields at the start of a box. Raises MalformedBoxError if it is too small."""
        return box_fields(self.moov, box, layout, where=self.where)

    def array(self, box: Box, skip: int, count: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return an array of `count` values of type `dtype`, which begins `skip` bytes after the start of the box's payload.

        Raises MalformedBoxError if the box is too small.
        """
        item = np.dtype(dtype)
        room = box.end - box.payload - skip
        if count * item.itemsize > room:
            found = f"{box.type!r} with {count} entries in {max(room, 0)} bytes"
            raise MalformedBoxError(self.where, found, f"{item.itemsize} bytes for each entry")
        return np.frombuffer(self.moov, item, count, box.payload + skip)


def read_samples(boxes: SampleBoxes, *, file_size: int) -> SampleColumns:
    """Return the samples of a track; none if its tables are empty, as in a fragmented file.

    Args:
        boxes: The boxes in the track's stbl box.
        file_size: Size of the file in bytes, which limits the total size of the samples.

    Raises:
        MalformedBoxError: A box is missing or too small.
        SampleTableError: The tables contradict each other or the file.
    """
    size = _sizes(boxes, file_size)
    count = len(size)
    offset, description_index, has_spare_chunks = _offsets(boxes, size)
    duration = durations(_runs(boxes, boxes.require("stts"), ">u4"), count, where=boxes.where)
    dts = np.zeros(count, np.int64)
    np.cumsum(duration[:-1], out=dts[1:])
    ctts = boxes.get("ctts")
    # offsets are read as signed in both versions of the box, as QuickTime writes them
    composition = compositions(_runs(boxes, ctts, ">i4"), count, where=boxes.where) if ctts is not None else None
    is_sync = _sync_samples(boxes, count)
    return SampleColumns(offset, size, dts, duration, composition, is_sync, description_index, has_spare_chunks)


def _sizes(boxes: SampleBoxes, file_size: int) -> Int64Array:
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
    if field_bits == 4:
        # two sizes in a byte, the high half first
        packed = boxes.array(stz2, 12, (count + 1) // 2, np.uint8)
        return np.stack([packed >> 4, packed & 15], axis=1).reshape(-1)[:count].astype(np.int64)
    if field_bits in (8, 16):
        return boxes.array(stz2, 12, count, f">u{field_bits // 8}").astype(np.int64)
    raise MalformedBoxError(boxes.where, f"'stz2' with fields of {field_bits} bits", "4, 8 or 16")


def _check_count(boxes: SampleBoxes, count: int) -> None:
    if count > MAX_SAMPLES:
        raise SampleTableError(boxes.where, f"{count} video samples", f"at most {MAX_SAMPLES}")


def _offsets(boxes: SampleBoxes, size: Int64Array) -> tuple[Int64Array, Int64Array, bool]:
    """Return the offset in the file and the description of each sample, and whether the tables end with chunks without samples.
    A sample's offset is the offset of its chunk plus the sizes of the preceding samples in the chunk. A sample has the description
    of its chunk.
    """
    stco, width = boxes.get("stco"), 4
    if stco is None:
        stco, width = boxes.require("co64"), 8
    (chunk_count,) = boxes.fields(stco, ">4xI")
    chunk_offset = boxes.array(stco, 8, chunk_count, f">u{width}")
    if width == 8 and len(chunk_offset) and int(chunk_offset.max()) >= _MAX_CHUNK_OFFSET:
        raise SampleTableError(boxes.where, f"a chunk at offset {int(chunk_offset.max())}", "an offset within the file")
    chunk_offset = chunk_offset.astype(np.int64)

    stsc = boxes.require("stsc")
    (run_count,) = boxes.fields(stsc, ">4xI")
    runs = boxes.array(stsc, 8, run_count, np.dtype([("first", ">u4"), ("samples", ">u4"), ("description", ">u4")]))
    if not len(size) and not chunk_count:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), False
    first = runs["first"].astype(np.int64)
    if not run_count or first[0] != 1 or np.any(np.diff(first) <= 0) or first[-1] > chunk_count:
        raise SampleTableError(
            boxes.where,
            f"'stsc' runs that start at chunks {first[:4].tolist()}",
            f"ascending chunk numbers from 1 to at most {chunk_count}",
        )
    run_chunks = np.diff(np.append(first, chunk_count + 1))
    run_samples = runs["samples"].astype(np.int64)
    # in Python integers, because the products may overflow 64 bits
    total = sum(a * b for a, b in zip(run_chunks.tolist(), run_samples.tolist(), strict=True))
    spare = 0
    if total > len(size) and run_samples[-1] and (total - len(size)) % int(run_samples[-1]) == 0:
        spare = (total - len(size)) // int(run_samples[-1])
        if spare < run_chunks[-1]:
            run_chunks[-1] -= spare
            chunk_offset, total = chunk_offset[: len(chunk_offset) - spare], len(size)
    if total != len(size):
        raise SampleTableError(
            boxes.where, f"{total} samples in chunks, but {len(size)} sample sizes", "the same number"
        )
    per_chunk = np.repeat(run_samples, run_chunks)
    before = np.zeros(len(size) + 1, np.int64)
    np.cumsum(size, out=before[1:])
    chunk_first = np.cumsum(per_chunk) - per_chunk
    offset: Int64Array = before[:-1] + np.repeat(chunk_offset - before[chunk_first], per_chunk)
    run_description = runs["description"].astype(np.int64)
    # one value for all samples takes no memory
    if np.all(run_description == run_description[0]):
        return offset, np.broadcast_to(run_description[0], size.shape), spare > 0
    return offset, np.repeat(run_description, run_chunks * run_samples), spare > 0


def _runs(boxes: SampleBoxes, box: Box, value: str) -> npt.NDArray[np.void]:
    """Return the entries (`count`, `value`) of an stts or ctts box."""
    (run_count,) = boxes.fields(box, ">4xI")
    return boxes.array(box, 8, run_count, np.dtype([("count", ">u4"), ("value", value)]))


def _sync_samples(boxes: SampleBoxes, count: int) -> BoolArray:
    """Return, for each sample, whether it is a sync sample, at which decoding can start.

    The stss box lists the sync samples. Without it, all samples are sync samples. Partial sync samples (stps) and random access
    points count as sync samples, too, although their leading pictures need the samples before them.
    """
    groups = (box for box in boxes.children if box.type == "sbgp")
    points = next((box for box in groups if boxes.fields(box, ">4x4s") == (b"rap ",)), None)
    if boxes.get("stss") is None:
        if boxes.get("stps") is not None or points is not None:
            found = "partial sync samples or random access points, but no 'stss' box"
            raise SampleTableError(boxes.where, found, "an 'stss' box, without which every sample is a sync sample")
        return np.ones(count, np.bool_)
    is_sync = np.zeros(count, np.bool_)
    for kind in ("stss", "stps"):
        box = boxes.get(kind)
        if box is None:
            continue
        (entry_count,) = boxes.fields(box, ">4xI")
        numbers = boxes.array(box, 8, entry_count, ">u4").astype(np.int64)
        if len(numbers) and (numbers.min() < 1 or numbers.max() > count):
            found = f"sync samples {numbers.min()} to {numbers.max()} in {kind!r}"
            raise SampleTableError(boxes.where, found, f"sample numbers within 1 to {count}")
        is_sync[numbers - 1] = True
    if points is not None:
        is_sync |= _random_access_points(boxes, points, count)
    return is_sync


def _random_access_points(boxes: SampleBoxes, sbgp: Box, count: int) -> BoolArray:
    """Return, for each sample, whether it belongs to a group of type `rap `.

    The sbgp box contains runs (sample_count, group_description_index). An index of 0 means no group.
    """
    in_group = np.zeros(count, np.bool_)
    (version,) = boxes.fields(sbgp, ">B")
    # version 1 has a grouping_type_parameter
    skip = 12 if version == 1 else 8
    (run_count,) = boxes.fields(sbgp, f">{skip}xI")
    runs = boxes.array(sbgp, skip + 4, run_count, np.dtype([("count", ">u4"), ("group", ">u4")]))
    run_samples = runs["count"].astype(np.int64)
    total = int(run_samples.sum())
    if total > count:
        found = f"'sbgp' for {total} samples, but {count} sample sizes"
        raise SampleTableError(boxes.where, found, f"at most {count} samples")
    in_group[:total] = np.repeat(runs["group"] > 0, run_samples)
    return in_group
