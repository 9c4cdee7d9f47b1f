"""What holds for any bytes: a table that agrees with itself and clips that say the same as their file, or a named refusal.

`check` takes a whole file, or a moov box alone, and returns what came of it; whatever else happens is raised.
"""

import zlib

import numpy as np

from episeek.errors import EpiseekError
from episeek.mp4.sample_table import SampleTable, parse_sample_table
from episeek_pipelines.video.header import read_video_header
from tests.fuzz.clips import check_some_clip, sample_entries
from tests.fuzz.promises import WHERE, PaddedSource, check_refusal, hold, read_table

MAX_CLIP_SAMPLES = 64
LARGE_FILE_BYTES = 1 << 40
SMALL_FILE_BYTES = 1 << 16
MDAT_TO_THE_END = b"\0\0\0\0mdat"
ARRAYS = ("offset", "size", "dts", "pts", "duration", "is_sync", "is_presented")


def check(data: bytes, *, clips_one_in: int = 1) -> str:
    """What comes of `data`: "clips", "table" (of which no clip can be made) or the name of the refusal.

    Args:
        data: A whole file; one that ends with the header of an mdat box to its end is taken for a large one. Bytes that
            start with a moov box are taken for such a box alone, too.
        clips_one_in: Of how many tables one is tried for clips, which takes longer than all else; data decides which.

    Raises:
        AssertionError: The table or a clip of it is wrong.
        Exception: Whatever the parser let through.
    """
    outcome = check_file(source_of(data), clips_one_in=clips_one_in)
    return check_moov(data) if data[4:8] == b"moov" else outcome


def source_of(data: bytes) -> PaddedSource:
    """`data` as a file; with zeros behind it where it ends with an mdat box that has no end."""
    return PaddedSource(data, max(len(data), _pretended_bytes(data)) if data.endswith(MDAT_TO_THE_END) else len(data))


def check_file(source: PaddedSource, *, clips_one_in: int = 1) -> str:
    """A whole file."""
    choice = zlib.crc32(source.data)
    try:
        table = read_table(source)
    except EpiseekError as error:
        return check_refusal(error)
    check_table(table, source.file_size)
    is_tried = len(table) <= MAX_CLIP_SAMPLES and (choice >> 18) % clips_one_in == 0
    if not is_tried:
        return "table"
    try:
        shown = read_video_header(source, WHERE).table  # what is skipped is told by the pictures' own bytes
    except EpiseekError as error:
        return check_refusal(error)
    return "clips" if check_some_clip(source, shown, choice) else "table"


def check_moov(data: bytes, file_size: int | None = None) -> str:
    """`data` as the moov box of a file of `file_size` bytes: no clips, since there is no file."""
    file_size = _pretended_bytes(data) if file_size is None else file_size
    try:
        table = parse_sample_table(data, file_size=file_size, where=WHERE)
    except EpiseekError as error:
        return check_refusal(error)
    check_table(table, file_size)
    return "table"


def _pretended_bytes(data: bytes) -> int:
    """Large when every sample has a size of its own, so that offsets may be large: samples of one size may rightly be as
    many as the file has bytes.
    """
    place = data.find(b"stsz")
    has_own_sizes = b"stz2" in data if place < 0 else not any(data[place + 8 : place + 12])
    return LARGE_FILE_BYTES if has_own_sizes and data.count(b"stsz") < 2 and b"trun" not in data else SMALL_FILE_BYTES


def check_table(table: SampleTable, file_size: int) -> None:
    """A table against itself."""
    count = len(table)
    hold(count > 0, "no table without samples")
    for name in ARRAYS:
        array = getattr(table, name)
        hold(array.shape == (count,), f"one {name} for each sample")
        hold(array.dtype == (np.bool_ if name.startswith("is_") else np.int64), f"{name} of its type")
        hold(not array.flags.writeable, f"{name} is read-only")
    hold(table.offset.min() >= 0 and table.size.min() >= 0, "offsets and sizes are not negative")
    hold(int((table.offset + table.size).max()) <= file_size, "samples lie within the file")
    hold(table.duration.min() >= 0, "durations are not negative")
    hold((table.dts[1:] >= table.dts[:-1]).all(), "decode times do not fall")
    hold(table.is_sync[0], "decoding can start at the first sample")
    order = table.presentation_order()
    hold(len(order) == table.is_presented.sum(), "the presentation order has the presented samples")
    hold(len(set(order.tolist())) == len(order) and table.is_presented[order].all(), "each of them, once")
    times = table.pts[order]
    hold((times[1:] >= times[:-1]).all(), "the presentation order rises")
    hold(0 <= table.average_fps < float("inf"), "a rate is a number")
    hold(0 < table.timescale < 1 << 31, "a timescale of 31 bits")
    hold(len(table.codec) == 4 and table.width >= 0 and table.height >= 0, "a codec and a picture size")
    hold(len(table.matrix) == 36, "a matrix of nine values")
    hold(len(repr(table)) < 200, "a short repr")
    entries = sample_entries(table.sample_description)
    index = table.description_index
    used = {1} if index is None else set(index.tolist())
    hold(index is None or (index.shape == (count,) and index.dtype == np.int64), "one description for each sample")
    hold(used <= set(range(1, len(entries) + 1)), "descriptions that are there")
    hold(all(entries[number - 1].kind.decode("latin-1") == table.codec for number in used), "one codec")
