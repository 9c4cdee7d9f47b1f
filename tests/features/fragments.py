"""A muxer of our own for fragmented files: moof, traf and trun (ISO/IEC 14496-12, clause 8.8) in every form they have."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tests.features.encoding import Sample
from tests.features.muxer import FTYP, Track, movie_header, trak
from tests.support import mp4_boxes
from tests.support.mp4_boxes import box, full_box

SYNC = 0x02000000
NOT_SYNC = 0x01010000

DATA_OFFSET, FIRST_FLAGS = 0x1, 0x4
FIELDS = {"duration": 0x100, "size": 0x200, "flags": 0x400, "offset": 0x800}
"""What a trun may hold for each sample, and the flag that says so (8.8.8)."""
DEFAULTS = {"description": 0x2, "duration": 0x8, "size": 0x10, "flags": 0x20}
"""What a tfhd may hold for all samples (8.8.7)."""

Base = Literal["moof", "absolute", "implicit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One trun."""

    samples: Sequence[Sample]
    fields: Sequence[str] = ("duration", "size", "flags", "offset")
    first_flags: int | None = None
    version: int = 0
    has_data_offset: bool = True
    not_sync: int = NOT_SYNC
    """Flags of samples that are no sync samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackFragment:
    """One traf; the bytes of its runs follow each other in the mdat."""

    runs: Sequence[Run]
    track: int = 1
    base: Base = "moof"
    defaults: Sequence[tuple[str, int]] = ()
    """Values of the tfhd, in the order of `DEFAULTS`."""
    decode_time: int | None = 0
    """Of the tfdt; None: there is none."""
    time_version: int = 1
    flags: int = 0
    """More flags of the tfhd."""
    extra: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackDefaults:
    """One trex (8.8.3)."""

    description: int = 1
    duration: int = 0
    size: int = 0
    flags: int = 0


def init_segment(
    *tracks: Track,
    defaults: Sequence[TrackDefaults] = (),
    movie_duration: int | None = None,
    movie_version: int = 0,
    extends_version: int = 0,
) -> bytes:
    """ftyp and a moov whose tables are empty; `movie_duration` is that of an mehd, in movie ticks."""
    rows = defaults or [TrackDefaults()] * len(tracks)
    extends = [
        full_box(b"trex", 0, struct.pack(">5I", number + 1, row.description, row.duration, row.size, row.flags))
        for number, row in enumerate(rows)
    ]
    if movie_duration is not None:
        form = ">Q" if extends_version else ">I"
        extends.insert(0, full_box(b"mehd", extends_version, struct.pack(form, movie_duration)))
    traks = [trak(number + 1, track, empty_tables(track), duration=0) for number, track in enumerate(tracks)]
    return FTYP + box(b"moov", movie_header(0, len(tracks) + 1, version=movie_version), *traks, box(b"mvex", *extends))


def empty_tables(track: Track) -> bytes:
    """The boxes of a stbl without samples."""
    empty = mp4_boxes.array("I", [])
    return b"".join(
        [
            mp4_boxes.stsd(*track.entries),
            full_box(b"stts", 0, empty),
            mp4_boxes.stsz([]),
            full_box(b"stsc", 0, empty),
            full_box(b"stco", 0, empty),
        ]
    )


def fragment(position: int, *parts: TrackFragment, sequence: int = 1, gap: bytes = b"", between: bytes = b"") -> bytes:
    """A moof and its mdat.

    Args:
        position: Where the moof starts in the file, bytes.
        parts: The trafs; their bytes follow each other in the mdat.
        sequence: Of the mfhd.
        gap: In the mdat in front of the first sample; belongs to none.
        between: Boxes between moof and mdat.
    """
    header = full_box(b"mfhd", 0, struct.pack(">I", sequence))
    draft = box(b"moof", header, *(_traf(part, position, position, position) for part in parts))
    data = position + len(draft) + len(between) + 8 + len(gap)
    trafs, implicit = [], position
    for part in parts:
        base = implicit if part.base == "implicit" else position
        trafs.append(_traf(part, position, base, data))
        data += sum(len(sample.data) for run in part.runs for sample in run.samples)
        implicit = data
    payload = b"".join(sample.data for part in parts for run in part.runs for sample in run.samples)
    return box(b"moof", header, *trafs) + between + box(b"mdat", gap, payload)


def _traf(part: TrackFragment, moof: int, base: int, data: int) -> bytes:
    """A traf whose first sample lies at `data`; `base` is what its data offsets count from."""
    flags = part.flags | {"moof": 0x020000, "absolute": 0x1, "implicit": 0}[part.base]
    fields = struct.pack(">Q", moof) if part.base == "absolute" else b""
    for name, value in part.defaults:
        flags |= DEFAULTS[name]
        fields += struct.pack(">I", value)
    boxes = [full_box(b"tfhd", 0, struct.pack(">I", part.track), fields, flags=flags)]
    if part.decode_time is not None:
        form = ">Q" if part.time_version else ">I"
        boxes.append(full_box(b"tfdt", part.time_version, struct.pack(form, part.decode_time)))
    for run in part.runs:
        boxes.append(_trun(run, data - base))
        data += sum(len(sample.data) for sample in run.samples)
    return box(b"traf", *boxes, part.extra)


def _trun(run: Run, data_offset: int) -> bytes:
    flags = DATA_OFFSET * run.has_data_offset | FIRST_FLAGS * (run.first_flags is not None)
    flags |= sum(FIELDS[name] for name in run.fields)
    head = struct.pack(">I", len(run.samples))
    head += struct.pack(">i", data_offset) if run.has_data_offset else b""
    head += struct.pack(">I", run.first_flags) if run.first_flags is not None else b""
    return full_box(b"trun", run.version, head, *(_row(sample, run) for sample in run.samples), flags=flags)


def _row(sample: Sample, run: Run) -> bytes:
    values = {
        "duration": struct.pack(">I", sample.duration),
        "size": struct.pack(">I", len(sample.data)),
        "flags": struct.pack(">I", SYNC if sample.is_sync else run.not_sync),
        "offset": struct.pack(">i", sample.offset),
    }
    return b"".join(value for name, value in values.items() if name in run.fields)
