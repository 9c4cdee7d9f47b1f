"""Find the sync samples at which an encoder started: LeRobot encodes each episode by itself and joins the streams.

Encoders leave marks in the first bytes of a sync sample. A mark tells whether the sample begins a stream or continues one:

- AV1 (AV1 specification, 5.9.2): SVT-AV1 counts pictures from the start of its stream in `order_hint`, across keyframes. A
  keyframe whose hint is 0 begins a stream, or comes a multiple of 2^OrderHintBits pictures after one.
- H.264: x264 writes a message with its own UUID into the first picture of a stream, and only there (ITU-T H.264, D.2.7).
- HEVC (ITU-T H.265, 7.4.2.2): x265 with open GOPs begins a stream with an IDR picture; its later keyframes are CRA pictures.

A file counts only where it shows the difference: where no sync sample continues a stream, all are unknown. Samples that are
no sync samples continue one.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from episeek.mp4.moov.sample_description import decoder_configuration
from episeek.mp4.sample_table import SampleTable
from episeek.stores.byte_source import ByteSource
from episeek.stores.kinds import kind_of
from episeek_pipelines.video.alignment.av1_headers import SequenceHeader, order_hint, units

Int64Array = npt.NDArray[np.int64]
Int8Array = npt.NDArray[np.int8]

STARTS: Final = 1
"""The frame begins a stream."""
UNKNOWN: Final = 0
CONTINUES: Final = -1
"""The frame continues a stream."""

_PEEK_BYTES = 1024
"""Bytes read of a sync sample. The message of x264 has some 700; what is looked for is at its start."""
_MOST_STORE_SAMPLES = 256
"""Sync samples that are read of a file in a store: each may cost a request."""

_X264_MESSAGE = bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef")
_HEVC_IDR, _HEVC_CRA = (19, 20), 21
_HEVC_SLICES = 32
"""Types of NAL units that are below this hold slices."""


def encoder_starts(source: ByteSource, path: str, table: SampleTable, wanted: Int64Array) -> Int8Array:
    """Return `STARTS`, `CONTINUES` or `UNKNOWN` for each presented frame, in presentation order.

    All sync samples of a local file are read, some hundred bytes of each. Of a file in a store only those at the frames
    `wanted` are, and none where these are many.

    Raises:
        ReadError: The file cannot be read.
    """
    order = table.presentation_order()
    marks = np.full(len(order), UNKNOWN, np.int8)
    is_sync = table.is_sync[order]
    frames = np.flatnonzero(is_sync)
    is_sparse = kind_of(source.root).transport != "local"
    if is_sparse:
        frames = np.intersect1d(frames, np.append(wanted, 0))
        if len(frames) > _MOST_STORE_SAMPLES:
            return marks
    if table.codec not in _READERS or not len(frames):
        return marks
    samples = order[frames]
    ranges = [(int(table.offset[k]), int(table.offset[k] + min(table.size[k], _PEEK_BYTES))) for k in samples]
    marks[frames] = _READERS[table.codec](table, source.get_ranges(path, ranges), frames, is_sparse)
    if not (marks == CONTINUES).any():
        return np.full(len(order), UNKNOWN, np.int8)
    marks[~is_sync] = CONTINUES
    return marks


def _av1_marks(table: SampleTable, samples: list[bytes], frames: Int64Array, is_sparse: bool) -> list[int]:
    """Return the marks by order hints.

    Where all sync samples are read, a hint that neither is 0 nor continues the count of the sample before is unknown.
    """
    sequence: SequenceHeader | None = None
    marks = []
    before: tuple[int, int] | None = None
    for data, frame in zip(samples, frames.tolist(), strict=True):
        found = list(units(data))
        sequence = next((SequenceHeader.parse(unit) for kind, unit in found if kind == "sequence"), sequence)
        picture = next((unit for kind, unit in found if kind == "frame"), None)
        hint = None if sequence is None or picture is None else order_hint(picture, sequence)
        if sequence is None or hint is None:
            before = None
            marks.append(UNKNOWN)
            continue
        modulus = 1 << sequence.order_hint_bits
        continues = before is not None and (before[1] + frame - before[0]) % modulus == hint
        if hint:
            marks.append(CONTINUES if continues or is_sparse else UNKNOWN)
        else:
            marks.append(UNKNOWN if continues else STARTS)
        before = frame, hint
    return marks


def _h264_marks(table: SampleTable, samples: list[bytes], frames: Int64Array, is_sparse: bool) -> list[int]:
    has_message = [_X264_MESSAGE in data for data in samples]
    if not any(has_message):
        return [UNKNOWN] * len(samples)
    return [STARTS if has else CONTINUES for has in has_message]


def _hevc_marks(table: SampleTable, samples: list[bytes], frames: Int64Array, is_sparse: bool) -> list[int]:
    found = decoder_configuration(table.sample_description, ("hvcC",), where="")
    length_bytes = (found[1][21] & 3) + 1 if found is not None and len(found[1]) > 21 else 4
    kinds = [_first_slice(data, length_bytes) for data in samples]
    return [STARTS if kind in _HEVC_IDR else CONTINUES if kind == _HEVC_CRA else UNKNOWN for kind in kinds]


def _first_slice(data: bytes, length_bytes: int) -> int | None:
    """Return the type of the first HEVC NAL unit that holds a slice; None where it is not within these bytes."""
    position = 0
    while position + length_bytes < len(data):
        kind = data[position + length_bytes] >> 1 & 63
        if kind < _HEVC_SLICES:
            return kind
        position += length_bytes + int.from_bytes(data[position : position + length_bytes], "big")
    return None


_READERS = {
    "av01": _av1_marks,
    "avc1": _h264_marks,
    "avc3": _h264_marks,
    "hvc1": _hevc_marks,
    "hev1": _hevc_marks,
}
