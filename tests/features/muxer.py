"""A muxer of our own for progressive files: samples and sample entries in, a whole MP4 or QuickTime file out.

It writes what it is told, in every layout ISO/IEC 14496-12 allows and some that it does not. Shares no code with the project.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from tests.features.encoding import Elementary, Sample
from tests.support import mp4_boxes
from tests.support.mp4_boxes import box, full_box

MOVIE_TIMESCALE = 1000
UPRIGHT = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
FTYP = box(b"ftyp", b"isom", struct.pack(">I", 512), b"isomiso2mp41")
FTYP_QUICKTIME = box(b"ftyp", b"qt  ", struct.pack(">I", 512), b"qt  ")

Chunk = tuple[int, int]
"""A track's place in the file's tracks, and the chunk's place in the track's chunks; both from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One track: what is in it, and how its boxes are to be written."""

    samples: Sequence[Sample]
    entries: Sequence[bytes]
    timescale: int
    handler: bytes = b"vide"
    width: int = 0
    height: int = 0
    chunk_sizes: Sequence[int] = ()
    """Samples in each chunk; nothing: eight in each."""
    descriptions: Sequence[int] = ()
    """For each chunk, the number of its sample entry from 1; nothing: always 1."""
    sample_sizes: Literal["stsz", "stz2-8", "stz2-16", "constant"] = "stsz"
    chunk_offsets: Literal["stco", "co64"] = "stco"
    composition_version: int | None = 0
    """Of ctts; None: no ctts. Version 0 is written signed where offsets are negative, as QuickTime does."""
    sync_samples: Sequence[int] | None = None
    """Decode positions from 0 for stss; None: where the samples say so."""
    has_stss: bool = True
    edits: bytes = b""
    matrix: Sequence[int] = UPRIGHT
    header_version: int = 0
    flags: int = 7
    extra_tables: Sequence[bytes] = ()
    """More boxes for the stbl."""
    extra_media: bytes = b""
    replaced: Mapping[str, bytes] = field(default_factory=dict)
    """Boxes of the stbl in place of those made here, by name."""


def track_of(source: Elementary, **options: object) -> Track:
    """A track with all of a source's samples, unless the options say otherwise."""
    values: dict[str, object] = {
        "samples": source.samples,
        "entries": (source.entry,),
        "timescale": source.timescale,
        "handler": source.handler,
        "width": source.width,
        "height": source.height,
        "composition_version": 0 if any(sample.offset for sample in source.samples) else None,
    }
    return Track(**{**values, **options})  # type: ignore[arg-type]  # the fields' own types are checked where they are written


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How boxes and chunks lie in the file."""

    moov_first: bool = False
    ftyp: bytes = FTYP
    mdats: Sequence[Sequence[Chunk]] = ()
    """The chunks of each mdat in file order; nothing: one mdat, the tracks' chunks in turn."""
    mdat_size: Literal["32", "64", "to the end"] = "32"
    gap: bytes = b""
    """Between any two chunks; belongs to no sample."""
    before: bytes = b""
    """Boxes behind ftyp."""
    between: bytes = b""
    """Boxes between moov and mdat, and between mdats."""
    after: bytes = b""
    """Boxes at the end."""
    moov_extra: bytes = b""
    """Boxes at the end of moov."""
    moov_start: bytes = b""
    """Boxes between mvhd and the first trak."""
    movie_version: int = 0


def mux(*tracks: Track, layout: Layout | None = None) -> bytes:
    """The whole file."""
    layout = layout or Layout()
    mdats = layout.mdats or [_in_turn(tracks)]
    offsets: list[list[int]] = [[0] * len(chunk_sizes(track)) for track in tracks]
    moov = _moov(tracks, offsets, layout)
    parts, position = [layout.ftyp, layout.before], len(layout.ftyp) + len(layout.before)
    if layout.moov_first:
        position += len(moov) + len(layout.between)
    media = []
    for number, chunks in enumerate(mdats):
        payload = b""
        start = position + (16 if layout.mdat_size == "64" else 8)
        for track, chunk in chunks:
            payload += layout.gap if payload else b""
            offsets[track][chunk] = start + len(payload)
            payload += _chunk_bytes(tracks[track], chunk)
        pieces = [_mdat(payload, layout.mdat_size if number == len(mdats) - 1 else "32")]
        pieces += [layout.between] if number + 1 < len(mdats) else []
        media += pieces
        position += sum(map(len, pieces))
    moov = _moov(tracks, offsets, layout)
    parts += [moov, layout.between, *media] if layout.moov_first else [*media, layout.between, moov]
    return b"".join([*parts, layout.after])


def chunk_sizes(track: Track) -> Sequence[int]:
    """Samples in each chunk."""
    if track.chunk_sizes:
        return track.chunk_sizes
    whole, rest = divmod(len(track.samples), 8)
    return [8] * whole + ([rest] if rest else [])


def _in_turn(tracks: Sequence[Track]) -> list[Chunk]:
    chunks = [(chunk, track) for track, one in enumerate(tracks) for chunk in range(len(chunk_sizes(one)))]
    return [(track, chunk) for chunk, track in sorted(chunks)]


def _chunk_bytes(track: Track, chunk: int) -> bytes:
    sizes = chunk_sizes(track)
    first = sum(sizes[:chunk])
    return b"".join(sample.data for sample in track.samples[first : first + sizes[chunk]])


def _mdat(payload: bytes, size: Literal["32", "64", "to the end"]) -> bytes:
    write = {"32": box, "64": mp4_boxes.box_with_64_bit_size, "to the end": mp4_boxes.box_to_the_end}[size]
    return write(b"mdat", payload)


def _moov(tracks: Sequence[Track], offsets: Sequence[Sequence[int]], layout: Layout) -> bytes:
    longest = max((_in_movie_ticks(track) for track in tracks), default=0)
    return box(
        b"moov",
        movie_header(longest, len(tracks) + 1, version=layout.movie_version),
        layout.moov_start,
        *(_trak(number + 1, track, offsets[number]) for number, track in enumerate(tracks)),
        layout.moov_extra,
    )


def _in_movie_ticks(track: Track) -> int:
    return sum(sample.duration for sample in track.samples) * MOVIE_TIMESCALE // track.timescale


def movie_header(duration: int, next_track: int, *, version: int = 0) -> bytes:
    """mvhd (8.2.2); the duration is in movie ticks."""
    times = struct.pack(">IIII" if version == 0 else ">QQIQ", 0, 0, MOVIE_TIMESCALE, duration)
    rest = struct.pack(">IH10x9i24xI", 1 << 16, 1 << 8, *UPRIGHT, next_track)
    return full_box(b"mvhd", version, times, rest)


def _trak(number: int, track: Track, offsets: Sequence[int]) -> bytes:
    return trak(number, track, _sample_tables(track, offsets), duration=_in_movie_ticks(track))


def trak(number: int, track: Track, tables: bytes, *, duration: int) -> bytes:
    """A trak box around the boxes of a stbl."""
    version = track.header_version
    times = struct.pack(">IIIII" if version == 0 else ">QQIIQ", 0, 0, number, 0, duration)
    shape = struct.pack(
        ">8xHHHH9iII", 0, 0, 0x100 * (track.handler == b"soun"), 0, *track.matrix, track.width << 16, track.height << 16
    )
    ticks = sum(sample.duration for sample in track.samples)
    media_times = struct.pack(">IIII" if version == 0 else ">QQIQ", 0, 0, track.timescale, ticks)
    media_header = {b"vide": full_box(b"vmhd", 0, bytes(8), flags=1), b"soun": full_box(b"smhd", 0, bytes(4))}
    return box(
        b"trak",
        full_box(b"tkhd", version, times, shape, flags=track.flags),
        track.edits,
        box(
            b"mdia",
            full_box(b"mdhd", version, media_times, struct.pack(">HH", 0x55C4, 0)),
            full_box(b"hdlr", 0, struct.pack(">4x4s12x", track.handler), b"handler\0"),
            track.extra_media,
            box(
                b"minf",
                media_header.get(track.handler, full_box(b"nmhd", 0)),
                mp4_boxes.data_information(),
                box(b"stbl", tables),
            ),
        ),
    )


def _sample_tables(track: Track, offsets: Sequence[int]) -> bytes:
    samples = track.samples
    sizes = [len(sample.data) for sample in samples]
    boxes = {
        "stsd": mp4_boxes.stsd(*track.entries),
        "stts": full_box(b"stts", 0, mp4_boxes.runs([sample.duration for sample in samples], "I")),
    }
    if track.composition_version is not None:
        runs = mp4_boxes.runs([sample.offset for sample in samples], "i")
        boxes["ctts"] = full_box(b"ctts", track.composition_version, runs)
    if track.has_stss:
        positions = track.sync_samples
        if positions is None:
            positions = [place for place, sample in enumerate(samples) if sample.is_sync]
        if len(positions) < len(samples):
            boxes["stss"] = full_box(b"stss", 0, mp4_boxes.array("I", [place + 1 for place in positions]))
    boxes["stsz"] = _sizes_box(track, sizes)
    boxes["stsc"] = _chunk_box(track)
    form = "I" if track.chunk_offsets == "stco" else "Q"
    boxes["stco"] = full_box(track.chunk_offsets.encode(), 0, mp4_boxes.array(form, offsets))
    return b"".join([*{**boxes, **track.replaced}.values(), *track.extra_tables])


def _sizes_box(track: Track, sizes: Sequence[int]) -> bytes:
    if track.sample_sizes == "stsz":
        return mp4_boxes.stsz(sizes)
    if track.sample_sizes == "constant":
        if len(set(sizes)) != 1:
            raise ValueError(f"samples of {len(set(sizes))} sizes, expected one")
        return mp4_boxes.stsz_constant(sizes[0], len(sizes))
    return mp4_boxes.stz2(sizes, int(track.sample_sizes[5:]))


def _chunk_box(track: Track) -> bytes:
    counts = chunk_sizes(track)
    rows = list(zip(counts, track.descriptions or [1] * len(counts), strict=True))
    entries, chunk = [], 1
    for (count, description), group in groupby(rows):
        entries.append(struct.pack(">III", chunk, count, description))
        chunk += len(list(group))
    return full_box(b"stsc", 0, struct.pack(">I", len(entries)), *entries)
