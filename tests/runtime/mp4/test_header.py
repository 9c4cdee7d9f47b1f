"""Finding the moov box: it takes few bytes, and damaged files are refused."""

import struct
import tracemalloc
from dataclasses import dataclass

import pytest

from episeek.errors import (
    EpiseekError,
    FragmentedMp4Error,
    MalformedBoxError,
    Mp4Error,
    SampleTableError,
    TruncatedMp4Error,
)
from episeek.mp4.header import MAX_HEADER_BYTES, MAX_PROBES, read_header
from episeek.mp4.sample_table import parse_sample_table
from episeek.stores.identity import FileIdentity
from tests.support.amount import amount
from tests.support.build_index import DATA, MP4_FILES
from tests.support.mp4_boxes import (
    FTYP,
    BytesSource,
    box,
    box_to_the_end,
    box_with_64_bit_size,
    moov,
    sample_boxes,
    track,
)

BUDGET_BYTES = 1 << 16
FASTSTART = "av1_multifile/videos/observation.images.top/chunk-000/file-000.mp4"
MOOV_LAST = "av1_multifile/videos/observation.images.top/chunk-000/file-003.mp4"


def movie(sample_count: int) -> bytes:
    return moov(track(sample_boxes([10] * sample_count, [1] * sample_count, [0] * sample_count, [512] * sample_count)))


SMALL, LARGE = movie(10), movie(50_000)
MDAT = box(b"mdat", bytes(200_000))
LAYOUTS = {
    "faststart": (FTYP + SMALL + MDAT, SMALL),
    "faststart, large": (FTYP + LARGE + MDAT, LARGE),
    "moov last": (FTYP + MDAT + SMALL, SMALL),
    "moov last, large": (FTYP + MDAT + LARGE, LARGE),
    "free in front": (FTYP + box(b"free") + box(b"free", bytes(1000)) + SMALL + box(b"free", bytes(64)) + MDAT, SMALL),
    "wide before mdat": (FTYP + box(b"wide") + MDAT + SMALL, SMALL),
    "64-bit mdat": (FTYP + box_with_64_bit_size(b"mdat", bytes(200_000)) + SMALL, SMALL),
    "64-bit mdat, faststart": (FTYP + SMALL + box_with_64_bit_size(b"mdat", bytes(200_000)), SMALL),
    "mdat to the end": (FTYP + SMALL + box_to_the_end(b"mdat", bytes(200_000)), SMALL),
    "moov to the end": (FTYP + MDAT + b"\0\0\0\0" + SMALL[4:], b"\0\0\0\0" + SMALL[4:]),
    "several mdat": (FTYP + MDAT + MDAT + LARGE, LARGE),
    "mdat on both sides": (FTYP + MDAT + SMALL + MDAT, SMALL),
    "no ftyp": (SMALL + MDAT, SMALL),
    "uuid in front": (FTYP + box(b"uuid", bytes(16), bytes(100)) + SMALL + MDAT, SMALL),
    "empty mdat": (FTYP + SMALL + box(b"mdat"), SMALL),
    "bytes after the boxes": (FTYP + SMALL + MDAT + b"junk", SMALL),
}
LARGE_64_BIT = box_with_64_bit_size(b"moov", LARGE[8:])
LAYOUTS["64-bit moov"] = (FTYP + LARGE_64_BIT + MDAT, LARGE_64_BIT)


@pytest.mark.parametrize("probe_bytes", [1 << 15, 1 << 12])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_moov_is_found_in_few_requests(layout, probe_bytes):
    raw, expected = LAYOUTS[layout]
    source = BytesSource({"file": raw}, probe_bytes=probe_bytes)
    header = read_header(source, "file")
    assert header.moov == expected
    assert raw[header.moov_offset :].startswith(expected)
    assert raw[header.mdat_offset + 4 : header.mdat_offset + 8] == b"mdat"
    assert raw.find(b"mdat") == header.mdat_offset + 4
    assert header.is_faststart == (header.moov_offset < header.mdat_offset)
    assert header.file_size == len(raw)
    assert len(source.ranges) <= (2 if header.is_faststart else 4 if layout == "several mdat" else 3)
    assert (
        sum(stop - start for start, stop in source.ranges)
        <= len(expected) + BUDGET_BYTES + (layout == "several mdat") * 32768
    )


@pytest.mark.parametrize("probe_bytes", [1 << 15, 1 << 12])
@pytest.mark.parametrize("path", MP4_FILES)
def test_real_files_stay_within_the_budget(path, probe_bytes):
    source = BytesSource({path: (DATA / path).read_bytes()}, probe_bytes=probe_bytes)
    header = read_header(source, path)
    assert len(source.ranges) <= (2 if header.is_faststart else 3)
    assert sum(stop - start for start, stop in source.ranges) <= len(header.moov) + BUDGET_BYTES
    assert len({*source.ranges}) == len(source.ranges)


def test_the_size_is_not_asked_for_when_it_is_known():
    class NoSize(BytesSource):
        def size(self, path):
            raise AssertionError("a request too many")

    raw = LAYOUTS["faststart"][0]
    assert read_header(NoSize({"file": raw}), "file", file_size=len(raw)).moov == SMALL


# --- refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [FASTSTART, MOOV_LAST])
def test_every_truncation_is_a_named_error(path):
    raw = (DATA / path).read_bytes()
    whole = read_header(BytesSource({"file": raw}), "file")
    assert whole.is_faststart == (path == FASTSTART)
    moov_end = whole.moov_offset + len(whole.moov)
    near = {
        length for edge in (0, whole.mdat_offset, whole.moov_offset, moov_end) for length in range(edge - 40, edge + 40)
    }
    lengths = {
        *range(0, len(raw), amount(7, 61)),
        *range(whole.moov_offset, moov_end, amount(1, 5)),
        *near,
        len(raw) - 1,
    }
    for length in sorted(length for length in lengths if 0 <= length < len(raw)):
        source = BytesSource({"file": raw[:length]})
        error = TruncatedMp4Error if path == MOOV_LAST or length < whole.mdat_offset + 8 else SampleTableError
        with pytest.raises(error, match=r"^file: found"):
            parse_sample_table(read_header(source, "file").moov, file_size=length, where="file")


def test_a_header_that_outlived_its_pictures_is_refused():
    """The moov box is complete but the media data was cut off: `file_size` shows it."""
    raw = (DATA / FASTSTART).read_bytes()
    header = read_header(BytesSource({"file": raw}), "file")
    last = parse_sample_table(header.moov, file_size=len(raw), where="file")
    end = int((last.offset + last.size).max())
    parse_sample_table(header.moov, file_size=end, where="file")
    for file_size in (end - 1, end // 2, header.mdat_offset, 0):
        with pytest.raises(Mp4Error, match="it may be truncated"):
            parse_sample_table(header.moov, file_size=file_size, where="file")


@pytest.mark.parametrize(
    ("raw", "error", "message"),
    [
        (b"", TruncatedMp4Error, "no moov box in 0 bytes"),
        (b"\0" * 7, TruncatedMp4Error, "7 bytes at offset 0"),
        (b"\0" * 4096, TruncatedMp4Error, "no moov box in 4096 bytes"),
        (b"text, not boxes, for some hundred bytes" * 10, TruncatedMp4Error, "box of .* bytes at offset 0"),
        (FTYP, TruncatedMp4Error, "no moov box"),
        (FTYP + MDAT, TruncatedMp4Error, "no moov box"),
        (FTYP + SMALL, TruncatedMp4Error, "no mdat box"),
        (FTYP + box_to_the_end(b"mdat", bytes(100)) + SMALL, TruncatedMp4Error, "no moov box"),
        (FTYP + box(b"moof", bytes(100)) + MDAT, FragmentedMp4Error, "moof"),
        (FTYP + b"\0\0\0\x07moov" + MDAT, MalformedBoxError, "a box of type 'moov' with 7 bytes"),
        (FTYP + b"\0\0\0\x01moov" + bytes(8) + MDAT, MalformedBoxError, "a box of type 'moov' with 0 bytes"),
        (FTYP + b"\0\0\0\x01moov" + b"\xff" * 8 + MDAT, TruncatedMp4Error, "a box of type 'moov' with 18446744073709551615 bytes"),
        (FTYP + b"\xff\xff\xff\xffmoov" + MDAT, TruncatedMp4Error, "a box of type 'moov' with 4294967295 bytes"),
        (FTYP + b"\0\0\0\x10uuid" + bytes(8) + SMALL + MDAT, MalformedBoxError, "a box of type 'uuid' with 16 bytes"),
        (FTYP + b"\0\0\0\x01mda", TruncatedMp4Error, "7 bytes at offset 24"),
        (FTYP + b"\0\0\0\x01mdat" + b"\0\0", TruncatedMp4Error, "box header of 16 bytes"),
    ],
)  # fmt: skip
def test_files_that_are_no_mp4_are_named(raw, error, message):
    with pytest.raises(error, match=f"^file: found .*{message}"):
        read_header(BytesSource({"file": raw}), "file")


def test_a_maze_of_boxes_ends():
    raw = FTYP + box(b"free", bytes(40_000)) * (2 * MAX_PROBES) + SMALL + MDAT
    source = BytesSource({"file": raw})
    with pytest.raises(MalformedBoxError, match="no moov box after 64 probes"):
        read_header(source, "file")
    assert len(source.ranges) == MAX_PROBES


def test_a_missing_file_is_named():
    with pytest.raises(EpiseekError, match="gone"):
        read_header(BytesSource({}), "gone")


@dataclass
class SparseSource(BytesSource):
    """A file that continues with zeros up to `file_bytes`."""

    file_bytes: int = 1 << 33

    def identity(self, path):
        return FileIdentity(self.file_bytes)

    def get_ranges(self, path, ranges):
        self.ranges += ranges
        return [self.files[path][start:stop].ljust(stop - start, b"\0") for start, stop in ranges]


def test_a_moov_that_claims_gigabytes_is_not_read():
    source = SparseSource({"file": FTYP + struct.pack(">I4s", MAX_HEADER_BYTES + 1, b"moov")})
    with pytest.raises(MalformedBoxError, match=f"{MAX_HEADER_BYTES + 1} bytes of moov, moof and sidx boxes"):
        read_header(source, "file")
    assert sum(stop - start for start, stop in source.ranges) <= source.probe_bytes


def test_a_large_moov_is_held_once():
    size = 1 << 26
    source = SparseSource({"file": FTYP + struct.pack(">I4s", size, b"moov")})
    tracemalloc.start()
    with pytest.raises(Mp4Error):
        read_header(source, "file")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2.5 * size  # once in the source, which makes it from zeros, and once here
