"""Write one packed file: first the moov box, then the samples of its parts, byte for byte.

Memory contains the tables of the file and a few mebibytes of its media.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

import numpy as np

from episeek.errors import ChangedFileError
from episeek.mp4.clip_header import ClipSamples, TrackProperties, clip_header
from episeek.mp4.moov.sample_boxes import Int64Array
from episeek.mp4.moov.sample_description import join_entries
from episeek.mp4.sample_table import SampleTable
from episeek.stores.byte_source import ByteRange
from episeek.stores.requests.errors import store_errors
from episeek.stores.requests.range_plan import WantedRange, fetch_planned, plan_requests
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.pack.descriptions import used_entries
from episeek_pipelines.pack.plan import PackedFile, Part
from episeek_pipelines.video.decoding_starts.keyframe_choice import KeyframeChoice
from episeek_pipelines.video.header import read_video_header

_CHUNK_BYTES: Final = 1 << 20
"""Size of a chunk in bytes, the same as that of FFmpeg's muxer (`build_chunks` in libavformat/movenc.c)."""

_RANGE_BYTES: Final = 1 << 22
"""Number of bytes that one request reads."""

_BATCH_BYTES: Final = 1 << 24
"""Number of bytes of media that are in memory at once."""

_BATCH_RANGES: Final = 1 << 12
"""Greatest number of byte ranges that are copied at once.

Ranges are short if the file stores samples of other tracks in between.
"""

_IN_FLIGHT: Final = 4


@dataclass(frozen=True, slots=True)
class WrittenVideo:
    """A packed file, after it was written."""

    path: str
    size_bytes: int
    samples: int


@dataclass(slots=True)
class _Columns:
    """The sample tables of a packed file, collected part by part."""

    offset: list[Int64Array]
    """Byte offsets of the samples in their source files."""
    size: list[Int64Array]
    pts: list[Int64Array]
    is_sync: list[np.ndarray]
    description: list[Int64Array]


def write_packed_file(
    source: Root, destination: Root, file: PackedFile, *, keyframes: KeyframeChoice = "auto"
) -> WrittenVideo:
    """Write a packed file. It appears under its name only when it is complete.

    Args:
        source: The root of the source files.
        destination: The root to write to.
        file: The packed file, from the plan.
        keyframes: Which sync samples to check; the same choice as when the plan was made.

    Raises:
        ChangedFileError: A source file has changed since the plan was made.
        MissingFileError, ReadError: A source file cannot be read.
        WriteError: The destination failed.
    """
    columns = _Columns([], [], [], [], [])
    numbers: dict[bytes, int] = {}
    first: SampleTable | None = None
    path, table = "", None
    for part in file.parts:
        if part.path != path or table is None:
            path, table = part.path, _read_table(source, part, keyframes)
        if first is None:
            first = table
        _add_part(columns, file, part, table, numbers)
    assert first is not None
    sizes = np.concatenate(columns.size)
    track = TrackProperties(
        join_entries(list(numbers)), file.timescale, first.width, first.height, max(1, file.frame_ticks), first.matrix
    )
    description = np.concatenate(columns.description)
    samples = ClipSamples(
        offset=np.cumsum(sizes) - sizes,
        size=sizes,
        pts=np.concatenate(columns.pts),
        is_sync=np.concatenate(columns.is_sync),
        description_index=None if len(numbers) == 1 else description,
    )
    header = clip_header(
        samples,
        track,
        payload_bytes=int(sizes.sum()),
        shown_from=0,
        shown_until=file.end_ticks,
        last_end=file.end_ticks,
        chunk_bytes=_CHUNK_BYTES,
    )
    with destination.output(file.path) as out:
        out.write(header)
        for part, offset, size in zip(file.parts, columns.offset, columns.size, strict=True):
            _copy(source, part.path, offset, size, out)
            _require_version(source, part)
        written = out.tell()
    return WrittenVideo(file.path, written, len(sizes))


def _read_table(source: Root, part: Part, keyframes: KeyframeChoice) -> SampleTable:
    header = read_video_header(source.source(), part.path, keyframes=keyframes)
    if header.digest != part.header_digest:
        raise _changed(source, part, "another header")
    return header.table


def _require_version(source: Root, part: Part) -> None:
    if source.version_of(part.path) != part.version:
        raise _changed(source, part, "another version of the file")


def _changed(source: Root, part: Part, found: str) -> ChangedFileError:
    hint = "run the command again when no other program changes the file"
    return ChangedFileError(source.join(part.path), found, "the file that was read for the plan", hint)


def _add_part(columns: _Columns, file: PackedFile, part: Part, table: SampleTable, numbers: dict[bytes, int]) -> None:
    """Add the samples of a part to the tables, and its new sample entries to `numbers`, which maps an entry to its number."""
    chosen = slice(part.start, part.stop)
    pts = table.pts[chosen]
    if file.frame_ticks:
        rank = np.empty(len(pts), np.int64)
        rank[np.argsort(pts, kind="stable")] = np.arange(len(pts))
        ticks = rank * file.frame_ticks
    else:
        ticks = pts - pts.min()
    used = used_entries(table, part.start, part.stop, where=part.path)
    new = {
        number: numbers.setdefault(entry, len(numbers) + 1)
        for number, entry in zip(used.numbers, used.entries, strict=True)
    }
    own = np.ones(len(pts), np.int64) if table.description_index is None else table.description_index[chosen]
    columns.offset.append(table.offset[chosen])
    columns.size.append(table.size[chosen])
    columns.pts.append(part.begin_ticks + ticks)
    columns.is_sync.append(table.is_sync[chosen])
    places = np.zeros(max(new) + 1, np.int64)
    places[list(new)] = list(new.values())
    columns.description.append(places[own])


def _copy(source: Root, path: str, offset: Int64Array, size: Int64Array, out: BinaryIO) -> None:
    """Copy the bytes of samples from a source file to `out`, in order."""
    reader = source.source()
    parts: list[bytes] | list[memoryview] = []
    for ranges in _batches(offset, size):
        with store_errors(source.join(path)):
            if source.is_local:
                parts = reader.get_ranges(path, ranges)
            else:
                wanted = [WantedRange(path, start, stop) for start, stop in ranges]
                requests = plan_requests(wanted, max_request_bytes=_RANGE_BYTES)
                parts = fetch_planned(reader, wanted, requests, max_in_flight=_IN_FLIGHT)
        for data in parts:
            out.write(data)
        # free the bytes before the next batch is read
        parts = []


def _batches(offset: Int64Array, size: Int64Array) -> Iterator[list[ByteRange]]:
    """Yield the byte ranges of the samples, in order, in batches of a few mebibytes. Adjacent samples share a range."""
    breaks = np.flatnonzero(offset[1:] != offset[:-1] + size[:-1]) + 1
    starts = offset[np.concatenate([[0], breaks]).astype(np.int64)]
    last = np.append(breaks, len(offset)).astype(np.int64) - 1
    stops = offset[last] + size[last]
    batch: list[ByteRange] = []
    room = _BATCH_BYTES
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        at = start
        while at < stop:
            end = min(stop, at + min(room, _RANGE_BYTES))
            batch.append((at, end))
            room -= end - at
            at = end
            if not room or len(batch) == _BATCH_RANGES:
                yield batch
                batch, room = [], _BATCH_BYTES
    if batch:
        yield batch
