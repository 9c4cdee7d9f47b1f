"""Make the headers of clips: `ftyp`, `moov` and the header of `mdat`. A header and a fetched range of bytes form a complete MP4.

Everything needed is in the sidecars: sizes, offsets and presentation times of the samples, and the stsd box of the file. Decode
times are not needed: the n-th sample in decode order gets the n-th presentation time as its decode time. The ctts box contains the
differences, shifted so that none is negative (ISO/IEC 14496-12, 8.6.1). An edit list undoes the shift and hides the samples that
the caller wants hidden (ISO/IEC 14496-12, 8.6.6).
"""

import struct
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from episeek.mp4.moov.sample_description import start_bytes_of, with_entries
from episeek.mp4.moov.video_track import IDENTITY_MATRIX

Int64Array = npt.NDArray[np.int64]

_LANGUAGE_UNDETERMINED = 0x55C4
_UINT32_MAX = (1 << 32) - 1


@dataclass(frozen=True, slots=True, eq=False)
class ClipSamples:
    """The samples of a clip in decode order, as arrays of shape [sample_count]."""

    offset: Int64Array
    """Offset of each sample from the start of the fetched range, in bytes."""
    size: Int64Array
    """Size of each sample, in bytes."""
    pts: Int64Array
    """Presentation times, in ticks from any origin."""
    is_sync: npt.NDArray[np.bool_]
    description_index: Int64Array | None = None
    """Entry of the file's stsd box that each sample uses, from 1; None if all samples use the first entry."""


@dataclass(frozen=True, slots=True)
class TrackProperties:
    """Properties of the video track of a file, which all clips of the file share."""

    sample_description: bytes
    """The whole stsd box."""
    timescale: int
    """Ticks per second."""
    width: int
    height: int
    frame_duration: int
    """Duration of the last sample of a clip, in ticks: the sample after it, which would give its duration, is not in the clip."""
    matrix: bytes = IDENTITY_MATRIX
    """Transformation of the pictures for display: nine big-endian int32, as in tkhd (ISO/IEC 14496-12, 8.3.2)."""


def clip_header(
    samples: ClipSamples,
    track: TrackProperties,
    *,
    payload_bytes: int,
    shown_from: int,
    shown_until: int,
    last_end: int,
    chunk_bytes: int | None = None,
) -> bytes:
    """Return the bytes that precede a fetched range in a complete MP4.

    Args:
        samples: The samples in the range.
        track: Properties from the `files` table.
        payload_bytes: Length of the range in bytes.
        shown_from: Presentation time of the first frame to show, in the ticks of `samples.pts`.
        shown_until: End of the last frame to show, in the same ticks.
        last_end: End of the last sample in presentation order, in the same ticks.
        chunk_bytes: A chunk starts with the first sample at or after each multiple of this number of bytes; None for chunks of any
            size.

    If decoding needs state from earlier samples, the header ends with bytes that contain this state and belong to the first sample.
    """
    start_bytes = _start_bytes(samples, track)
    if start_bytes:
        samples = _with_start_bytes(samples, len(start_bytes))
        payload_bytes += len(start_bytes)
    order = np.argsort(samples.pts, kind="stable")
    sorted_pts = samples.pts[order]
    first_pts = int(sorted_pts[0])
    duration = _lengths(sorted_pts, last_end)
    total = int(duration.sum())
    # the smallest shift with which no composition offset is negative
    shift = int((sorted_pts - samples.pts).max())
    composition = samples.pts - sorted_pts + shift
    media_time = shift + shown_from - first_pts
    length = shown_until - shown_from

    description, index = _used_descriptions(samples, track)
    mdat = _mdat_header(payload_bytes) + start_bytes
    # the sum is an upper bound of the offsets in the clip: headers are smaller than 1 MiB and 64 bytes per sample
    wide = payload_bytes + (1 << 20) + 64 * len(samples.size) > _UINT32_MAX

    sample_to_chunk, chunk_offset = _chunks(samples, index, chunk_bytes)
    tables = [
        description,
        _full_box(b"stts", 0, 0, *_runs(duration, ">u4")),
        _full_box(b"ctts", 0, 0, *_runs(composition, ">u4")) if shift else b"",
        _sync_box(samples.is_sync),
        _full_box(b"stsz", 0, 0, struct.pack(">II", 0, len(samples.size)), samples.size.astype(">u4").tobytes()),
        sample_to_chunk,
    ]
    edits = _edit_box(length, media_time) if media_time or length != total else b""
    movie_header, track_header = _mvhd(track.timescale, length), _tkhd(track, length)
    media_header = _mdhd(track.timescale, total)

    def build(data_offset: int) -> bytes:
        table = _box(b"stbl", *tables, _chunk_offset_box(chunk_offset + data_offset, wide=wide))
        media = _box(b"mdia", media_header, _handler(), _media_information(table))
        return _FILE_TYPE + _box(b"moov", movie_header, _box(b"trak", track_header, edits, media)) + mdat

    # the size of the header does not depend on the offsets in it
    return build(len(build(0)))


def _mdat_header(payload_bytes: int) -> bytes:
    if payload_bytes + 8 <= _UINT32_MAX:
        return struct.pack(">I4s", payload_bytes + 8, b"mdat")
    return struct.pack(">I4sQ", 1, b"mdat", payload_bytes + 16)


def _box(kind: bytes, *parts: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, parts)), kind) + b"".join(parts)


def _full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *parts)


_FILE_TYPE = _box(b"ftyp", b"isom", struct.pack(">I", 0x200), b"isom", b"iso2", b"mp41")


def _runs(values: Int64Array, dtype: str) -> tuple[bytes, bytes]:
    """Return the entry count and the pairs (run length, value) of an stts or ctts box (ISO/IEC 14496-12, 8.6.1.2 and 8.6.1.3)."""
    starts = _run_starts(values[1:] != values[:-1])
    pairs = np.empty((len(starts), 2), dtype)
    pairs[:, 0], pairs[:, 1] = _lengths(starts, len(values)), values[starts]
    return struct.pack(">I", len(starts)), pairs.tobytes()


def _run_starts(breaks: npt.NDArray[np.bool_]) -> Int64Array:
    """Return the positions at which runs of equal values start: 0, and i + 1 for each `breaks[i]` that is True."""
    inner = breaks.nonzero()[0]
    starts = np.zeros(len(inner) + 1, np.int64)
    np.add(inner, 1, out=starts[1:])
    return starts


def _lengths(starts: Int64Array, end: int) -> Int64Array:
    """Return the distance from each start to the next start, and from the last start to `end`."""
    lengths = np.empty_like(starts)
    np.subtract(starts[1:], starts[:-1], out=lengths[:-1])
    lengths[-1] = end - starts[-1]
    return lengths


def _sync_box(is_sync: npt.NDArray[np.bool_]) -> bytes:
    # without an stss box, every sample is a sync sample (ISO/IEC 14496-12, 8.6.2)
    if is_sync.all():
        return b""
    numbers = np.flatnonzero(is_sync) + 1
    return _full_box(b"stss", 0, 0, struct.pack(">I", len(numbers)), numbers.astype(">u4").tobytes())


def _used_descriptions(samples: ClipSamples, track: TrackProperties) -> tuple[bytes, Int64Array | None]:
    """Return an stsd box with only the entries that the clip's samples use, and the number of each sample's entry in it, from 1.

    The first sample uses the first entry of the returned box, because decoders are set up from the first entry. The numbers are
    None if all samples use the first entry of the file.
    """
    stsd = track.sample_description
    if samples.description_index is None:
        return with_entries(stsd, [1], where="stsd"), None
    _, first, inverse = np.unique(samples.description_index, return_index=True, return_inverse=True)
    # entries are in the order of their first use
    rank = np.argsort(np.argsort(first))
    used = samples.description_index[np.sort(first)].tolist()
    return with_entries(stsd, used, where="stsd"), rank[inverse] + 1


def _start_bytes(samples: ClipSamples, track: TrackProperties) -> bytes:
    """Return the bytes to put before the first sample, such as parameter sets; nearly always empty.

    The sample description that this sample uses contains them, in a box of its own.
    """
    if samples.description_index is None:
        return b""
    return start_bytes_of(track.sample_description, int(samples.description_index[0]), where="stsd")


def _with_start_bytes(samples: ClipSamples, count: int) -> ClipSamples:
    """Return the samples, with the `count` bytes before the fetched range added to the first sample.

    Raises:
        ValueError: The first sample is not at the start of the range. In an index, only samples at the start need such bytes.
    """
    if samples.offset[0] != 0:
        raise ValueError(f"first sample: found offset {samples.offset[0]}; expected 0")
    offset, size = samples.offset.copy(), samples.size.copy()
    offset[0] -= count
    size[0] += count
    return replace(samples, offset=offset, size=size)


def _chunks(
    samples: ClipSamples, description_index: Int64Array | None, chunk_bytes: int | None
) -> tuple[bytes, Int64Array]:
    """Return the stsc box (ISO/IEC 14496-12, 8.7.4), and the offset of each chunk in the fetched range.

    A chunk is a run of samples that lie back to back and share a description.
    """
    breaks = samples.offset[1:] != samples.offset[:-1] + samples.size[:-1]
    if description_index is not None:
        breaks |= description_index[1:] != description_index[:-1]
    if chunk_bytes is not None:
        breaks |= samples.offset[1:] // chunk_bytes != samples.offset[:-1] // chunk_bytes
    starts = _run_starts(breaks)
    counts = _lengths(starts, len(samples.offset))
    description = np.ones(len(starts), np.int64) if description_index is None else description_index[starts]
    changes = _run_starts((counts[1:] != counts[:-1]) | (description[1:] != description[:-1]))
    entries = np.stack([changes + 1, counts[changes], description[changes]], axis=1)
    stsc = _full_box(b"stsc", 0, 0, struct.pack(">I", len(changes)), entries.astype(">u4").tobytes())
    return stsc, samples.offset[starts]


def _chunk_offset_box(offsets: Int64Array, *, wide: bool) -> bytes:
    """Return the stco box, or the co64 box if offsets need 64 bits (ISO/IEC 14496-12, 8.7.5)."""
    kind, dtype = (b"co64", ">u8") if wide else (b"stco", ">u4")
    return _full_box(kind, 0, 0, struct.pack(">I", len(offsets)), offsets.astype(dtype).tobytes())


def _edit_box(length: int, media_time: int) -> bytes:
    return _box(b"edts", _full_box(b"elst", 1, 0, struct.pack(">IQqI", 1, length, media_time, 0x10000)))


def _mvhd(timescale: int, length: int) -> bytes:
    times = struct.pack(">QQIQ", 0, 0, timescale, length)
    return _full_box(
        b"mvhd", 1, 0, times, struct.pack(">IH10x", 0x10000, 0x100), IDENTITY_MATRIX, bytes(24), struct.pack(">I", 2)
    )


def _tkhd(track: TrackProperties, length: int) -> bytes:
    enabled_in_movie = 3
    identity = struct.pack(">QQI4xQ", 0, 0, 1, length)
    return _full_box(
        b"tkhd",
        1,
        enabled_in_movie,
        identity,
        bytes(16),
        track.matrix,
        struct.pack(">II", track.width << 16, track.height << 16),
    )


def _mdhd(timescale: int, total: int) -> bytes:
    return _full_box(b"mdhd", 1, 0, struct.pack(">QQIQHH", 0, 0, timescale, total, _LANGUAGE_UNDETERMINED, 0))


def _handler() -> bytes:
    return _full_box(b"hdlr", 0, 0, struct.pack(">4x4s12x", b"vide"), b"VideoHandler\0")


def _media_information(sample_table: bytes) -> bytes:
    self_contained = _full_box(b"dref", 0, 0, struct.pack(">I", 1), _full_box(b"url ", 0, 1))
    return _box(b"minf", _full_box(b"vmhd", 0, 1, bytes(8)), _box(b"dinf", self_contained), sample_table)
