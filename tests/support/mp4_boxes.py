"""Hand-made MP4 headers, box by box, so that tests can say what no encoder writes. No code of the project reads or writes
these boxes.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from episeek.errors import MissingFileError, ShortReadError
from episeek.stores.identity import FileIdentity
from episeek.stores.transfers import Transfers

TIMESCALE = 15360
MOVIE_TIMESCALE = 1000


def box(kind: bytes, *parts: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, parts)), kind) + b"".join(parts)


def box_with_64_bit_size(kind: bytes, *parts: bytes) -> bytes:
    return struct.pack(">I4sQ", 1, kind, 16 + sum(map(len, parts))) + b"".join(parts)


def box_to_the_end(kind: bytes, *parts: bytes) -> bytes:
    return struct.pack(">I4s", 0, kind) + b"".join(parts)


def full_box(kind: bytes, version: int, *parts: bytes, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def array(form: str, values: Sequence[int]) -> bytes:
    """A 32-bit count and the values."""
    return struct.pack(">I", len(values)) + struct.pack(f">{len(values)}{form}", *values)


def runs(values: Sequence[int], form: str) -> bytes:
    """Run-length coded, as in stts and ctts."""
    pairs = [(len(list(group)), value) for value, group in groupby(values)]
    return struct.pack(">I", len(pairs)) + b"".join(struct.pack(f">I{form}", *pair) for pair in pairs)


def stsz(sizes: Sequence[int]) -> bytes:
    return full_box(b"stsz", 0, struct.pack(">I", 0), array("I", sizes))


def stsz_constant(size: int, count: int) -> bytes:
    return full_box(b"stsz", 0, struct.pack(">II", size, count))


def stz2(sizes: Sequence[int], bits: int) -> bytes:
    if bits == 4:
        padded = [*sizes, 0] if len(sizes) % 2 else list(sizes)
        packed = bytes(high << 4 | low for high, low in zip(padded[::2], padded[1::2], strict=True))
    else:
        packed = struct.pack(f">{len(sizes)}{'B' if bits == 8 else 'H'}", *sizes)
    return full_box(b"stz2", 0, struct.pack(">II", bits, len(sizes)), packed)


def stsc(samples_per_chunk: Sequence[int], description: int = 1) -> bytes:
    entries, chunk = [], 1
    for count, group in groupby(samples_per_chunk):
        entries.append((chunk, count, description))
        chunk += len(list(group))
    return full_box(b"stsc", 0, struct.pack(">I", len(entries)), *(struct.pack(">III", *entry) for entry in entries))


def elst(edits: Sequence[tuple[int, int, int]], version: int = 0) -> bytes:
    """Edits as (duration in movie ticks, media time in media ticks, rate in 1/65536)."""
    form = ">IiI" if version == 0 else ">QqI"
    entries = b"".join(struct.pack(form, *edit) for edit in edits)
    return box(b"edts", full_box(b"elst", version, struct.pack(">I", len(edits)), entries))


def sample_entry(kind: bytes = b"mp4v", width: int = 128, height: int = 96) -> bytes:
    return box(kind, bytes(6), struct.pack(">H", 1), bytes(16), struct.pack(">HH", width, height), bytes(50))


def stsd(*entries: bytes) -> bytes:
    return full_box(b"stsd", 0, struct.pack(">I", len(entries)), *entries)


def data_information(flags: int = 1, place: bytes = b"") -> bytes:
    return box(b"dinf", full_box(b"dref", 0, struct.pack(">I", 1), full_box(b"url ", 0, place, flags=flags)))


def sample_boxes(
    sizes: Sequence[int], samples_per_chunk: Sequence[int], chunk_offsets: Sequence[int], durations: Sequence[int]
) -> dict[str, bytes]:
    """The boxes of a stbl by name; tests replace, add and remove some."""
    return {
        "stsd": stsd(sample_entry()),
        "stts": full_box(b"stts", 0, runs(durations, "I")),
        "stsz": stsz(sizes),
        "stsc": stsc(samples_per_chunk),
        "stco": full_box(b"stco", 0, array("I", chunk_offsets)),
    }


def media_header(kind: bytes, timescale: int, version: int = 0) -> bytes:
    times = struct.pack(">III", 0, 0, timescale) if version == 0 else struct.pack(">QQI", 0, 0, timescale)
    return full_box(kind, version, times, bytes(84))


def track(
    boxes: dict[str, bytes],
    *,
    edits: bytes = b"",
    handler: bytes = b"vide",
    timescale: int = TIMESCALE,
    version: int = 0,
    information: bytes = b"",
) -> bytes:
    media = box(
        b"mdia",
        media_header(b"mdhd", timescale, version),
        full_box(b"hdlr", 0, struct.pack(">4x4s12x", handler), b"\0"),
        box(b"minf", information or data_information(), box(b"stbl", *boxes.values())),
    )
    return box(b"trak", full_box(b"tkhd", 0, bytes(80), flags=3), edits, media)


def moov(*tracks: bytes, extra: bytes = b"", version: int = 0) -> bytes:
    return box(b"moov", media_header(b"mvhd", MOVIE_TIMESCALE, version), *tracks, extra)


FTYP = box(b"ftyp", b"isom", bytes(4), b"isommp41")


@dataclass(slots=True)
class BytesSource:
    """Files in memory, with a record of the ranges asked for."""

    files: dict[str, bytes]
    root: str = "memory"
    probe_bytes: int = 1 << 15
    tail_bytes: int = 1 << 15
    ranges: list[tuple[int, int]] = field(default_factory=list)

    def identity(self, path: str) -> FileIdentity:
        if path not in self.files:
            raise MissingFileError(path, "no such file", "a file")
        return FileIdentity(len(self.files[path]))

    def transfers(self) -> Transfers:
        return Transfers()

    def get_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        for start, stop in ranges:
            self.ranges.append((start, stop))
            if not 0 <= start <= stop <= len(self.files[path]):
                raise ShortReadError(path, f"range {start} to {stop}", f"a range within {len(self.files[path])}")
        return [self.files[path][start:stop] for start, stop in ranges]
