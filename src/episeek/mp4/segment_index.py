"""Read segment indexes: sidx boxes (ISO/IEC 14496-12:2022, 8.16.3), which give the times of movie fragments.

The times in sidx boxes are used for fragments without a decode time (tfdt), as old DASH and PIFF writers make them. The times are
presentation times, but FFmpeg uses them as decode times, and so does this module.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from episeek.errors import MalformedBoxError
from episeek.mp4.boxes import box_fields, parse_box

_REFERENCE = np.dtype([("size", ">u4"), ("duration", ">u4"), ("access", ">u4")])

_IS_INDEX = 1 << 31
"""Bit in the size field of a reference: it is set if the reference points to another sidx box instead of media."""

_MAX_TICKS = 1 << 60


@dataclass(frozen=True, slots=True)
class SegmentIndex:
    """One sidx box and its offset in the file."""

    offset: int
    """Offset of the box in bytes."""
    sidx: bytes
    """The whole box, including its header."""

    def __repr__(self) -> str:
        return f"SegmentIndex([{len(self.sidx)} bytes at {self.offset}])"


def segment_times(indexes: Iterable[SegmentIndex], *, track_id: int, timescale: int, where: str) -> dict[int, int]:
    """Return the start time of each segment of a track, in ticks of `timescale`, by the segment's offset in the file.

    Raises:
        MalformedBoxError: An index does not fit into its box, or has no timescale.
    """
    times: dict[int, int] = {}
    for index in indexes:
        box = parse_box(index.sidx, 0, len(index.sidx), where=where)
        version, reference_id, own_timescale = box_fields(index.sidx, box, ">B3xII", where=where)
        if version > 1 or reference_id != track_id:
            continue
        time, first_offset, count = box_fields(index.sidx, box, ">12xQQ2xH" if version else ">12xII2xH", where=where)
        start = box.payload + (32 if version else 24)
        if not own_timescale or time > _MAX_TICKS or count * _REFERENCE.itemsize > box.end - start:
            found = f"'sidx' with {count} references at timescale {own_timescale}"
            raise MalformedBoxError(where, found, f"a timescale, and {_REFERENCE.itemsize} bytes for each reference")
        position = index.offset + len(index.sidx) + first_offset
        for size, duration, _ in np.frombuffer(index.sidx, _REFERENCE, count, start).tolist():
            if size & _IS_INDEX:
                break
            times[position] = (2 * time * timescale + own_timescale) // (2 * own_timescale)
            position, time = position + size, time + duration
    return times
