"""Find the sync samples at which an encoder started. LeRobot encodes each episode by itself and joins the streams.

Encoders leave marks in the first bytes of a sync sample. A mark shows whether the sample begins a stream or continues one:

- AV1 (AV1 specification, 5.9.2): SVT-AV1 counts pictures from the start of its stream in `order_hint`, across keyframes. A
  keyframe with hint 0 begins a stream, or follows the start of its stream at a multiple of 2^OrderHintBits pictures.
- H.264: x264 writes a message with its own UUID into the first picture of a stream, and only there (ITU-T H.264, D.2.7).
- HEVC (ITU-T H.265, 7.4.2.2): x265 with open GOPs begins a stream with an IDR picture; its later keyframes are CRA pictures.

If no sync sample of a file continues a stream, the marks cannot distinguish one stream from several, and every frame counts as
unknown. Samples that are not sync samples continue a stream.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from episeek.mp4.moov.sample_description import decoder_configuration
from episeek.mp4.sample_table import SampleTable
from episeek.stores.byte_source import ByteSource
from episeek.stores.kinds import kind_of
from episeek_pipelines.video.alignment.av1_headers import SequenceHeader, order_hint
from episeek_pipelines.video.bitstreams.av1 import FRAME, FRAME_HEADER, SEQUENCE_HEADER, open_bitstream_units
from episeek_pipelines.video.bitstreams.nal_units import nal_units
from episeek_pipelines.video.bitstreams.sample import SampleBytes
from episeek_pipelines.video.decoding_starts.reading import SampleReader

Int64Array = npt.NDArray[np.int64]
Int8Array = npt.NDArray[np.int8]

STARTS: Final = 1
"""The frame begins a stream."""
UNKNOWN: Final = 0
CONTINUES: Final = -1
"""The frame continues a stream."""

Look = Callable[[int, SampleBytes], Any]
"""A function for `SampleReader.map`. It takes the position and the bytes of a sample, and returns what it read from the sample."""

_FRAME_HEADER_BYTES = 8
"""Number of bytes at the start of an AV1 frame header that contain its order hint."""
_MESSAGE_BYTES = 64
"""Number of bytes at the start of an H.264 SEI unit that are searched for a UUID."""
_MOST_STORE_SAMPLES = 256
"""Greatest number of sync samples that are read from a file in a store, where each may cost a request."""

_X264_MESSAGE = bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef")
_H264_SLICES, _H264_SEI = (1, 2, 5), 6
_HEVC_IDR, _HEVC_CRA = (19, 20), 21
_HEVC_SLICES = 32
"""NAL units whose type is below this number hold slices."""


def encoder_starts(source: ByteSource, path: str, table: SampleTable, wanted: Int64Array) -> Int8Array:
    """Return `STARTS`, `CONTINUES` or `UNKNOWN` for each presented frame, in presentation order.

    In a local file, a few hundred bytes of every sync sample are read. In a file in a store, only sync samples at frame 0 and at
    the frames `wanted` are read. If these are more than 256, none is read, and every frame is `UNKNOWN`. Frames of codecs other
    than AV1, H.264 and HEVC are `UNKNOWN`.

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
    if table.codec not in _MARKS or not len(frames):
        return marks
    samples = SampleReader(source, path, table).map(_LOOKS[table.codec](table), order[frames].tolist())
    marks[frames] = _MARKS[table.codec](list(samples), frames, is_sparse)
    if not (marks == CONTINUES).any():
        return np.full(len(order), UNKNOWN, np.int8)
    marks[~is_sync] = CONTINUES
    return marks


def _look_at_av1(table: SampleTable) -> Look:
    def look(position: int, sample: SampleBytes) -> tuple[list[SequenceHeader | None], bytes]:
        """Return the sequence headers before a sample's first frame, and the first bytes of the frame.

        Sequence headers that cannot be used are None.
        """
        headers = []
        for kind, _, payload, stop in open_bitstream_units(sample):
            if kind == SEQUENCE_HEADER:
                headers.append(SequenceHeader.parse(sample.read(payload, stop)))
            elif kind in (FRAME_HEADER, FRAME):
                return headers, sample.read(payload, min(payload + _FRAME_HEADER_BYTES, stop))
        return headers, b""

    return look


def _look_at_h264(table: SampleTable) -> Look:
    length_bytes = _length_bytes(table)

    def look(position: int, sample: SampleBytes) -> bool:
        """Return whether the sample has x264's SEI message (its version and settings) before its first slice."""
        for unit in nal_units(sample, length_bytes):
            kind = unit.head(1)[0] & 31
            if kind == _H264_SEI and _X264_MESSAGE in unit.head(_MESSAGE_BYTES):
                return True
            if kind in _H264_SLICES:
                break
        return False

    return look


def _look_at_hevc(table: SampleTable) -> Look:
    length_bytes = _length_bytes(table)

    def look(position: int, sample: SampleBytes) -> int | None:
        """Return the type of the sample's first NAL unit with a slice, or None if the sample has no slice."""
        kinds = (unit.head(1)[0] >> 1 & 63 for unit in nal_units(sample, length_bytes))
        return next((kind for kind in kinds if kind < _HEVC_SLICES), None)

    return look


def _length_bytes(table: SampleTable) -> int:
    """Return the size in bytes of a NAL unit's length field, from avcC or hvcC (ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1)."""
    found = decoder_configuration(table.sample_description, ("avcC", "hvcC"), where="an stsd box")
    position = 4 if found is not None and found[0] == "avcC" else 21
    return (found[1][position] & 3) + 1 if found is not None and len(found[1]) > position else 4


def _av1_marks(
    samples: list[tuple[list[SequenceHeader | None], bytes]], frames: Int64Array, is_sparse: bool
) -> list[int]:
    """Return the mark of each sync sample from its order hint; `UNKNOWN` for a sample without an order hint.

    A hint of 0 gives `STARTS`, or `UNKNOWN` if it also continues the count from the previous sync sample. Any other hint gives
    `CONTINUES`, or `UNKNOWN` if all sync samples were read and the hint does not continue the count.
    """
    sequence: SequenceHeader | None = None
    marks = []
    before: tuple[int, int] | None = None
    for (headers, picture), frame in zip(samples, frames.tolist(), strict=True):
        sequence = headers[0] if headers else sequence
        hint = order_hint(picture, sequence) if sequence is not None else None
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


def _h264_marks(samples: list[bool], frames: Int64Array, is_sparse: bool) -> list[int]:
    return (
        [STARTS if has_message else CONTINUES for has_message in samples] if any(samples) else [UNKNOWN] * len(samples)
    )


def _hevc_marks(samples: list[int | None], frames: Int64Array, is_sparse: bool) -> list[int]:
    return [STARTS if kind in _HEVC_IDR else CONTINUES if kind == _HEVC_CRA else UNKNOWN for kind in samples]


_LOOKS: Final[dict[str, Callable[[SampleTable], Look]]] = {
    "av01": _look_at_av1,
    "avc1": _look_at_h264,
    "avc3": _look_at_h264,
    "hvc1": _look_at_hevc,
    "hev1": _look_at_hevc,
}
_MARKS: Final[dict[str, Callable[[list[Any], Int64Array, bool], list[int]]]] = {
    "av01": _av1_marks,
    "avc1": _h264_marks,
    "avc3": _h264_marks,
    "hvc1": _hevc_marks,
    "hev1": _hevc_marks,
}
