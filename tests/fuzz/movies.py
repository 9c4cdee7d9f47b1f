"""Small valid MP4 files, made by chance: every spelling that headers have, with a handful of samples.

`progressive` has one moov with all tables, `fragmented` has movie fragments. Both are right by the standard, so what
the project says of them is a table, or a refusal that the README names.
"""

import struct
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random

from tests.support.mp4_boxes import (
    FTYP,
    MOVIE_TIMESCALE,
    TIMESCALE,
    array,
    box,
    box_to_the_end,
    box_with_64_bit_size,
    elst,
    full_box,
    moov,
    runs,
    sample_boxes,
    sample_entry,
    stsc,
    stsd,
    stsz,
    stsz_constant,
    stz2,
    track,
)

CODECS = (b"mp4v", b"avc1", b"hvc1", b"av01", b"vp09")
ONE_RATE = 0x10000
NOT_SYNC = 0x01010000
SYNC = 0x02000000


def movie(rng: Random) -> bytes:
    """A whole file of either kind."""
    return fragmented(rng) if rng.random() < 0.4 else progressive(rng)


def progressive(rng: Random) -> bytes:
    """A file with one moov, in front of the media data or behind it."""
    count = rng.randint(1, 12)
    sizes = _sizes(rng, count)
    timescale = rng.choice((1, 30, 15360, 90000, (1 << 31) - 1))
    # FFmpeg ignores a ctts box with offsets above 2^28
    durations = [ticks * max(min(timescale // 50_000, 10_000), 1) for ticks in _durations(rng, count)]
    composition, delay = _composition(rng, durations)
    chunks = _partition(rng, count)
    faststart = rng.random() < 0.6
    media, places = _media(rng, sizes, chunks)

    boxes: dict[str, bytes] = {}
    if composition is not None:
        signed = rng.random() < 0.5
        shift = 0 if signed else delay
        offsets = [value + shift for value in composition]
        boxes["ctts"] = full_box(b"ctts", int(signed), runs(offsets, "i"))
        delay = shift
    if rng.random() < 0.7:
        boxes["stss"] = full_box(b"stss", 0, array("I", _sync_numbers(rng, count)))
    if rng.random() < 0.3:
        boxes["stsz"] = stz2(sizes, 4 if max(sizes) < 16 else rng.choice((8, 16)))
    elif len(set(sizes)) == 1 and sizes[0]:
        boxes["stsz"] = stsz_constant(sizes[0], count)
    else:
        boxes["stsz"] = stsz(sizes)
    boxes["stsd"] = stsd(sample_entry(rng.choice(CODECS), rng.randint(1, 4000), rng.randint(1, 4000)))
    boxes["stsc"] = stsc(chunks)
    boxes |= _groups(rng, count, has_sync="stss" in boxes)
    wide = rng.random() < 0.3
    edits = _edits(rng, delay, sum(durations), timescale=timescale)
    version = int(rng.random() < 0.3)
    others = [_audio(rng)] if rng.random() < 0.3 else []
    extra = box(b"udta", box(b"meta", bytes(rng.randint(0, 20)))) if rng.random() < 0.4 else b""

    def header(start: int, places: Sequence[int] = places) -> bytes:
        offsets = [start + place for place in places]
        table = full_box(b"co64", 0, array("Q", offsets)) if wide else full_box(b"stco", 0, array("I", offsets))
        stbl = sample_boxes(sizes, chunks, offsets, durations) | boxes | {"stco": table}
        video = track(stbl, edits=edits, timescale=timescale, version=version)
        return moov(*others, video, extra=extra, version=version)

    if rng.random() < 0.1 and len(set(sizes)) > 1 and not others:  # see `invariants.check` on samples of one size
        return _sparse(rng, header, len(chunks))
    mdat, before = _mdat(rng, media, last=faststart)
    if faststart:
        gap = box(b"free", bytes(rng.randint(0, 30))) if rng.random() < 0.5 else b""
        length = len(FTYP) + len(header(0)) + len(gap) + before
        return FTYP + header(length) + gap + mdat
    return FTYP + mdat + header(len(FTYP) + before)


def _sparse(rng: Random, header: Callable[[int, Sequence[int]], bytes], chunk_count: int) -> bytes:
    """The same with chunks far apart, in an mdat box that is not written out: `invariants.check` knows what is meant."""
    far = [rng.choice((0, 1 << 12, (1 << 31) - 1, 1 << 31, (1 << 32) - 100)) for _ in range(chunk_count)]
    length = len(FTYP) + len(header(0, far)) + 8
    return FTYP + header(length, [min(place, (1 << 32) - 1 - length) for place in far]) + box_to_the_end(b"mdat")


def fragmented(rng: Random) -> bytes:
    """A file whose samples are in movie fragments; what they do not say, trex or tfhd says."""
    fragment_count = rng.randint(1, 4)
    defaults = (rng.randint(1, 1000), rng.randint(1, 20), rng.choice((0, SYNC, NOT_SYNC)))  # duration, size, flags
    empty = {
        "stsd": stsd(sample_entry(rng.choice(CODECS))),
        **{kind: full_box(kind.encode(), 0, bytes(4)) for kind in ("stts", "stsc", "stco")},
        "stsz": full_box(b"stsz", 0, bytes(8)),
    }
    extends = full_box(b"trex", 0, struct.pack(">IIIII", 1, 1, *defaults))
    length = full_box(b"mehd", 0, bytes(4)) if rng.random() < 0.3 else b""
    edits = _edits(rng, 0, 0, timescale=TIMESCALE, may_be_open=True) if rng.random() < 0.6 else b""
    header = moov(_numbered(track(empty, edits=edits)), extra=box(b"mvex", length, extends))
    parts = [FTYP, header]
    if rng.random() < 0.3:
        parts.append(full_box(b"sidx", 0, struct.pack(">IIIIHH", 1, 15360, 0, 0, 0, 0)))
    time = 0
    for number in range(1, fragment_count + 1):
        start = sum(map(len, parts))
        fragment, media, time = _fragment(rng, number, start, time, defaults)
        parts += [fragment, box(b"mdat", media)]
        if rng.random() < 0.2:
            parts.append(box(b"free", bytes(5)))
    if rng.random() < 0.3:
        parts.append(box(b"mfra", full_box(b"tfra", 0, struct.pack(">III", 1, 0, 0)), full_box(b"mfro", 0, bytes(4))))
    return b"".join(parts)


def _fragment(
    rng: Random, number: int, start: int, time: int, defaults: tuple[int, int, int]
) -> tuple[bytes, bytes, int]:
    """One moof, the payload of its mdat, and the decode time of the next."""
    duration, size, _ = defaults
    base = rng.choice((0, 1, 0x020000))  # implicit, explicit, default-base-is-moof
    own = rng.choice((0, 0x8, 0x10, 0x20, 0x38))
    if own & 0x8:
        duration = rng.randint(1, 1000)
    if own & 0x10:
        size = rng.randint(1, 20)
    own_flags = rng.choice((0, SYNC, NOT_SYNC))
    described = rng.random() < 0.2
    fields = struct.pack(">Q", start) if base == 1 else b""
    fields += struct.pack(">I", 1) if described else b""
    fields += b"".join(
        struct.pack(">I", value) for flag, value in ((8, duration), (16, size), (32, own_flags)) if own & flag
    )
    tfhd = full_box(b"tfhd", 0, struct.pack(">I", 1), fields, flags=base | own | 2 * described)
    form = rng.choice((None, (0, ">I"), (1, ">Q")))
    tfdt = b"" if form is None else full_box(b"tfdt", form[0], struct.pack(form[1], time))

    run_specs: list[tuple[int, int, int | None, bytes]] = []
    media_bytes = 0
    for _ in range(rng.randint(1, 2)):
        count = rng.randint(1, 5)
        flags = rng.choice((0, 0x100, 0x200, 0x300, 0x400, 0x800, 0xF00)) | rng.choice((0, 4))
        if run_specs and rng.random() < 0.5:
            place = None  # goes on where the run before it ended
        else:
            place, flags = media_bytes, flags | 1
        entries, run_bytes = b"", 0
        for _ in range(count):
            values = {
                0x100: rng.randint(1, 1000),
                0x200: rng.randint(0 if time else 1, 20),
                0x400: rng.choice((SYNC, NOT_SYNC)),
            }
            values[0x800] = rng.randint(0, 500)
            entries += b"".join(struct.pack(">I", value) for flag, value in values.items() if flags & flag)
            run_bytes += values[0x200] if flags & 0x200 else size
            time += values[0x100] if flags & 0x100 else duration
        run_specs.append((count, flags, place, entries))
        media_bytes += run_bytes

    def build(origin: int) -> bytes:
        truns = [
            full_box(
                b"trun",
                int(bool(flags & 0x800)),
                struct.pack(">I", count),
                struct.pack(">i", origin + place) if place is not None else b"",
                struct.pack(">I", SYNC) if flags & 4 else b"",
                entries,
                flags=flags,
            )
            for count, flags, place, entries in run_specs
        ]
        return box(b"moof", full_box(b"mfhd", 0, struct.pack(">I", number)), box(b"traf", tfhd, tfdt, *truns))

    return build(len(build(0)) + 8), bytes(rng.randrange(256) for _ in range(media_bytes)), time


def _numbered(trak: bytes) -> bytes:
    """The track header's track_ID set to 1, as fragments refer to it."""
    place = trak.index(b"tkhd") + 4 + 4 + 8
    return trak[:place] + struct.pack(">I", 1) + trak[place + 4 :]


def _sizes(rng: Random, count: int) -> list[int]:
    most = rng.choice((1, 15, 15, 40))
    if rng.random() < 0.2:
        return [most] * count
    return [most, *(rng.randint(0 if rng.random() < 0.1 else 1, most) for _ in range(count - 1))]


def _durations(rng: Random, count: int) -> list[int]:
    if rng.random() < 0.7:
        return [rng.choice((1, 512, 3000))] * count
    return [rng.randint(1, 1000) for _ in range(count)]


def _composition(rng: Random, durations: Sequence[int]) -> tuple[list[int] | None, int]:
    """Offsets that put the samples behind the first in another order, from 0, and what makes none of them negative."""
    if rng.random() < 0.4 or len(durations) < 3:
        return None, 0
    times = [sum(durations[:number]) for number in range(len(durations))]
    order = [0]
    rest = list(range(1, len(times)))
    while rest:
        group = rest[: rng.randint(1, 4)]
        rest = rest[len(group) :]
        rng.shuffle(group)
        order += group
    shown = {sample: times[rank] for rank, sample in enumerate(order)}
    offsets = [shown[sample] - times[sample] for sample in range(len(times))]
    return offsets, -min(offsets)


def _partition(rng: Random, count: int) -> list[int]:
    cuts = sorted({0, count, *(rng.randint(0, count) for _ in range(rng.randint(0, 4)))})
    return [stop - start for start, stop in pairwise(cuts)]


def _media(rng: Random, sizes: Sequence[int], chunks: Sequence[int]) -> tuple[bytes, list[int]]:
    """The payload of mdat and where in it each chunk starts: in order or not, with or without gaps."""
    lengths, sample = [], 0
    for count in chunks:
        lengths.append(sum(sizes[sample : sample + count]))
        sample += count
    order = list(range(len(chunks)))
    if rng.random() < 0.3:
        rng.shuffle(order)
    places, position = [0] * len(chunks), 0
    for chunk in order:
        position += rng.randint(0, 9) if rng.random() < 0.3 else 0
        places[chunk] = position
        position += lengths[chunk]
    return bytes(place & 255 for place in range(position)), places


def _mdat(rng: Random, media: bytes, *, last: bool) -> tuple[bytes, int]:
    """The box, and the bytes before its payload."""
    if rng.random() < 0.2:
        return box_with_64_bit_size(b"mdat", media), 16
    if last and rng.random() < 0.2:
        return box_to_the_end(b"mdat", media), 8
    return box(b"mdat", media), 8


def _sync_numbers(rng: Random, count: int) -> list[int]:
    return [1, *(number for number in range(2, count + 1) if rng.random() < 0.3)]


def _groups(rng: Random, count: int, *, has_sync: bool) -> dict[str, bytes]:
    """Boxes about groups of samples: open GOPs and the like, where not every sample is a sync sample."""
    groups = {}
    if has_sync and rng.random() < 0.2:
        groups["sgpd"] = full_box(b"sgpd", 1, b"rap ", struct.pack(">II", 1, 1), array("B", [0x80]))
        groups["sbgp"] = full_box(b"sbgp", 0, b"rap ", struct.pack(">III", 1, count, 1))
    if has_sync and rng.random() < 0.1:
        groups["stps"] = full_box(b"stps", 0, array("I", [rng.randint(1, count)]))
    if rng.random() < 0.2:
        groups["sdtp"] = full_box(b"sdtp", 0, bytes(count))
    return groups


def _edits(rng: Random, media_time: int, length: int, *, timescale: int, may_be_open: bool = False) -> bytes:
    """Nothing, or what muxers write: an empty edit, then one of all pictures. `media_time` and `length` are in ticks of the
    media; an open edit has duration 0, as in fragmented files.
    """
    if not media_time and rng.random() < 0.5:
        return b""
    edits = [(rng.randint(1, 2000), -1, ONE_RATE)] if rng.random() < 0.3 else []
    duration = 0 if may_be_open else -(-length * MOVIE_TIMESCALE // timescale)
    return elst([*edits, (rng.choice((duration, 1 << 30)), media_time, ONE_RATE)], version=rng.randint(0, 1))


def _audio(rng: Random) -> bytes:
    boxes = sample_boxes([4] * 3, [3], [8], [1024] * 3) | {"stsd": stsd(box(b"mp4a", bytes(28)))}
    return track(boxes, handler=b"soun", timescale=rng.choice((44100, 48000)))


def seeds(rng: Random, count: int) -> list[bytes]:
    """Files to start fuzzing from: whole ones, and moov boxes alone."""
    files = [movie(rng) for _ in range(count)]
    return [data if rng.random() < 0.8 else _moov_alone(data) for data in files]


def _moov_alone(data: bytes) -> bytes:
    place = data.index(b"moov") - 4
    return data[place : place + int.from_bytes(data[place : place + 4])]
