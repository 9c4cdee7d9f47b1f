"""Sync samples are what their bytes say, and starts get the parameter sets that earlier samples hold."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from episeek.errors import SampleTableError
from episeek.mp4.moov.sample_description import start_bytes_of
from episeek.mp4.sample_table import SampleTable
from episeek_pipelines.video.bitstreams.h264 import H264
from episeek_pipelines.video.bitstreams.nal_units import nal_units
from episeek_pipelines.video.bitstreams.sample import SampleBytes
from episeek_pipelines.video.decoding_starts import reading
from episeek_pipelines.video.decoding_starts.correct import corrected
from episeek_pipelines.video.decoding_starts.reading import SMALL_BYTES, SampleReader
from episeek_pipelines.video.decoding_starts.scan import scan
from episeek_pipelines.video.header import read_video_header
from tests.support.build_index import DATA
from tests.support.mp4_boxes import BytesSource, box, sample_entry, stsd

IDR, P_SLICE, I_SLICE, SEI = b"\x65\x88", b"\x41\x9a", b"\x41\x88", 6
SPS, PPS, OTHER_PPS = b"\x67\x42\x00\x0a\xf8", b"\x68\xce\x38\x80", b"\x68\xcf\x38\x80"
AVCC = box(b"avcC", b"\x01\x42\x00\x0a\xff\xe1\0\x05" + SPS + b"\1\0\x04" + PPS)
BARE_AVCC = box(b"avcC", b"\x01\x42\x00\x0a\xff\xe0\0")
VISUAL = sample_entry(b"avc1")[8:]
X264_UUID = bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef")
AT_ONCE, NOT_EXACT, IN_6_FRAMES = b"\xc0", b"\x80", b"\x3c"  # ue(v) of 0 or 6, and exact_match_flag


def unit(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def message(kind: int, payload: bytes) -> bytes:
    size = len(payload)
    return bytes([kind]) + b"\xff" * (size // 255) + bytes([size % 255]) + payload


def recovery(frames: bytes, picture: bytes = I_SLICE, user_data_bytes: int = 300) -> bytes:
    return unit(bytes([SEI]) + message(5, bytes(user_data_bytes)) + message(6, frames)) + unit(picture)


def table_of(samples: list[bytes], flagged: list[int], *, entries: Sequence[bytes] = (), ticks=None) -> SampleTable:
    """A table of these samples, of which those `flagged` are sync samples; each entry is used for a part of them."""
    size = np.array([len(part) for part in samples], np.int64)
    count = len(samples)
    flags = np.isin(np.arange(count), flagged)
    decoded = 512 * np.arange(count)
    entries = entries or [box(b"avc1", VISUAL, AVCC)]
    return SampleTable(
        np.cumsum(size) - size,
        size,
        decoded,
        decoded if ticks is None else 512 * np.array(ticks),
        decoded * 0 + 512,
        flags,
        flags | True,
        15360,
        entries[0][4:8].decode(),
        96,
        64,
        stsd(*entries),
        description_index=None if len(entries) == 1 else 1 + np.arange(count) * len(entries) // count,
    )


def found_in(samples: list[bytes], flagged: list[int], *, keyframes="auto", **options):
    """The correction of a table of these samples, in a store."""
    table = table_of(samples, flagged, **options)
    return corrected(BytesSource({"file": b"".join(samples)}), "file", table, keyframes=keyframes)


def starts_of(entry: bytes, samples: list[bytes], flagged: list[int]) -> list[int]:
    """The sync samples of a table with samples of another codec."""
    found = found_in(samples, flagged, entries=[box(entry, sample_entry(entry)[8:])])
    return np.flatnonzero(found.table.is_sync).tolist()


@pytest.mark.parametrize(
    ("entry", "flagged", "starts"),
    [
        (b"rpza", [0, 1, 2], [0]),
        (b"????", [0, 1, 2], [0]),
        (b"rpza", [0, 2], [0, 2]),  # somebody has chosen them
        (b"rpza", [], []),
        (b"apch", [0, 1, 2], [0, 1, 2]),
        (b"FFV1", [0, 1, 2], [0, 2]),
    ],
)
def test_flags_on_every_sample_say_nothing_where_samples_are_not_looked_into(entry, flagged, starts):
    samples = [b"\x7f\x80\0", b"\x7f\x7f\xff", b"\xff\0\0"]
    assert starts_of(entry, samples, flagged) == starts


def sync_after(*samples: bytes) -> list[int]:
    """The samples of these that stay sync samples; all are marked, and one that is not follows."""
    return np.flatnonzero(found_in([*samples, unit(P_SLICE)], list(range(len(samples)))).table.is_sync).tolist()


@pytest.mark.parametrize(
    ("later", "kept"),
    [
        (unit(IDR), True),
        (unit(I_SLICE), False),  # pictures after it may refer to those before it
        (unit(P_SLICE), False),
        (recovery(AT_ONCE), True),  # an open GOP
        (recovery(AT_ONCE, P_SLICE), False),
        (recovery(NOT_EXACT), False),
        (recovery(IN_6_FRAMES), False),
        (recovery(IN_6_FRAMES, user_data_bytes=5000), False),
        (recovery(AT_ONCE, user_data_bytes=5000), True),
        (recovery(IN_6_FRAMES)[: -len(unit(I_SLICE))] + unit(IDR), True),
        (unit(b"") + recovery(IN_6_FRAMES), False),  # a unit of no bytes in front
        (recovery(AT_ONCE) + unit(P_SLICE), True),  # a second field
        (unit(b"\x42\x88"), False),  # a data partition
    ],
)
def test_sync_samples_are_what_they_hold(later, kept):
    assert sync_after(unit(IDR), later) == ([0, 1] if kept else [0])


def test_all_are_looked_at_where_one_is_none():
    samples = [unit(IDR), recovery(IN_6_FRAMES), *[unit(IDR)] * 20, recovery(IN_6_FRAMES)]
    assert sync_after(*samples) == [0, *range(2, 22)]


LONG = bytes(SMALL_BYTES // 50)
"""Makes 100 samples more than a file that is read as a whole."""

SETS = unit(SPS) + unit(PPS)


@pytest.mark.parametrize(
    ("entries", "keyframe", "inspected"),
    [
        ([box(b"avc1", VISUAL, AVCC)], b"", 8),
        ([box(b"avc1", VISUAL, AVCC)], SETS, 8),  # as FFmpeg joins files
        ([box(b"avc1", VISUAL, AVCC)], unit(PPS), 90),
        ([box(b"avc1", VISUAL, AVCC)], SETS + unit(OTHER_PPS), 90),
        ([box(b"avc1", VISUAL, AVCC)], unit(SPS) + unit(OTHER_PPS), 90),
        ([box(b"avc1", VISUAL, BARE_AVCC)], SETS, 90),
        ([box(b"avc3", VISUAL, AVCC)], b"", 90),
        ([box(b"avc3", VISUAL, AVCC)], SETS, 90),
        ([box(b"avc1", VISUAL, AVCC)] * 2, b"", 90),
    ],
)
def test_a_few_speak_for_all_of_a_file_in_a_store_where_parameter_sets_are_in_its_entry(entries, keyframe, inspected):
    samples = [keyframe + unit(IDR + LONG)] * 100
    found = found_in(samples, list(range(90)), entries=entries)
    assert (found.flagged_count, found.inspected_count) == (90, inspected)
    assert found_in(samples, list(range(90)), entries=entries, keyframes="all").inspected_count == 90


def test_a_small_file_in_a_store_is_looked_at_as_a_whole():
    samples = [unit(IDR)] * 20 + [unit(P_SLICE) + unit(OTHER_PPS), unit(IDR)]
    assert start_bytes(samples, [*range(20), 21])[-1] == unit(OTHER_PPS)


@pytest.mark.parametrize(
    ("entry", "keyframe", "changed", "keyframes"),
    [
        (box(b"avc3", VISUAL, AVCC), b"", True, "auto"),
        (box(b"avc1", VISUAL, AVCC), b"", True, "all"),
        (box(b"avc1", VISUAL, AVCC), unit(SPS), True, "auto"),
        # every keyframe brings all there are
        (box(b"avc3", VISUAL, AVCC), SETS, False, "auto"),
    ],
)
def test_parameter_sets_in_any_sample_are_found_where_the_entry_does_not_rule_them_out(
    entry, keyframe, changed, keyframes
):
    group = [keyframe + unit(IDR + LONG), unit(P_SLICE + LONG), unit(P_SLICE + LONG)]
    samples = group * 20
    samples[31] = unit(P_SLICE) + unit(OTHER_PPS) + unit(P_SLICE)
    table = found_in(samples, list(range(0, 60, 3)), keyframes=keyframes, entries=[entry]).table
    index = np.ones(60, np.int64) if table.start_description_index is None else table.start_description_index
    begun = [start_bytes_of(table.sample_description, int(k), where="") for k in index[::3]]
    assert begun == [b""] * 11 + [unit(OTHER_PPS) if changed else b""] * 9


@pytest.mark.parametrize(("message", "is_believed"), [(b"no-repeat-headers", True), (b"rewritten-by-us-", False)])
def test_the_message_of_x265_says_whether_hev1_has_parameter_sets_in_its_entry_alone(monkeypatch, message, is_believed):
    monkeypatch.setattr(reading, "SMALL_BYTES", 0)
    data = next((DATA / "hevc").rglob("*.mp4")).read_bytes().replace(b"no-repeat-headers", message.ljust(17))
    header = read_video_header(BytesSource({"file": data}), "file")
    inspected = 8 if is_believed else header.sync_sample_count
    assert (header.table.codec, header.sync_samples_inspected) == ("hev1", inspected)


VVC_SPS, VVC_PPS, VVC_APS = b"\0\x79\x01", b"\0\x81\x04\x10", b"\0\x89\x21\x10"
VVC_SUFFIX_APS = b"\0\x91\x21\x11"
VVC_IDR, VVC_TRAIL = b"\0\x39" + LONG, b"\0\x01" + LONG
VVCC = b"\0\0\0\0\x06\x02\x0f\0\1\0\x03" + VVC_SPS + b"\x10\0\1\0\x04" + VVC_PPS


@pytest.mark.parametrize(
    ("kind", "keyframe", "inspected", "begins"),
    [
        (b"vvc1", b"", 8, b""),  # believed, since the standard has it so
        (b"vvi1", b"", 40, unit(VVC_APS[:-1] + b"\x11")),
        (b"vvc1", unit(VVC_APS), 40, b""),
    ],
)
def test_vvc_is_looked_at_like_the_others(kind, keyframe, inspected, begins):
    """Adaptation parameter sets lie in samples in either case; one after a picture is put before a sample as a prefix."""
    samples = [keyframe + unit(VVC_IDR), unit(VVC_TRAIL)] * 40
    samples[39] += unit(VVC_SUFFIX_APS)
    found = found_in(samples, list(range(0, 80, 2)), entries=[box(kind, VISUAL, box(b"vvcC", VVCC))])
    index = found.table.start_description_index
    starts = [
        b"" if index is None else start_bytes_of(found.table.sample_description, int(index[k]), where="")
        for k in (38, 40)
    ]
    assert (found.inspected_count, starts) == (inspected, [b"", begins])


def test_only_the_bytes_that_matter_are_read_of_a_file_in_a_store():
    samples = [unit(IDR + LONG), *[unit(P_SLICE + LONG)] * 19] * 10
    source = BytesSource({"file": b"".join(samples)})
    corrected(source, "file", table_of(samples, list(range(0, 200, 20))))
    order, *few = source.ranges
    assert order == (0, sum(map(len, samples[:15])) + (1 << 11))
    assert (len(few), sum(stop - start for start, stop in few)) == (8, 8 << 11)


@pytest.mark.parametrize(
    ("bare", "refused"),
    [
        (SETS, True),
        (unit(bytes([9, 16])), True),  # an access unit delimiter
        (b"", False),  # the frame before it lasts longer
        (bytes(16), False),  # damaged, and no unit at all
        (unit(bytes([9, 16]))[:-1], False),
    ],
)
def test_a_sample_of_whole_units_without_a_picture_is_refused(bare, refused):
    samples = [unit(IDR), unit(P_SLICE), bare, unit(P_SLICE)]
    with pytest.raises(SampleTableError, match="sample 2 holds") if refused else nullcontext():
        found_in(samples, [0])


@pytest.mark.parametrize(
    ("ticks", "refused"),
    [
        ([0, 2, 1, 3, 5, 4], False),
        ([3, 5, 4, 0, 2, 1], False),  # whole groups in another order
        ([0, 3, 1, 2, 5, 4], True),
        ([0, 2, 1, 4, 3, 5], False),  # a leading picture
    ],
)
def test_groups_that_are_shown_in_turn_are_refused(ticks, refused):
    samples = [unit(IDR), *[unit(P_SLICE)] * 2, recovery(AT_ONCE), *[unit(P_SLICE)] * 2]
    with pytest.raises(SampleTableError, match="two groups of pictures") if refused else nullcontext():
        found_in(samples, [0, 3], ticks=ticks)


@pytest.mark.parametrize("length_bytes", [1, 2, 4])
@pytest.mark.parametrize("head_bytes", [3, 64])
def test_a_scan_finds_what_looking_at_every_sample_finds(monkeypatch, length_bytes, head_bytes):
    """Samples of random units, some of them cut, against the one-by-one parser."""
    monkeypatch.setattr(reading, "_HEAD_BYTES", {False: length_bytes + head_bytes})
    random = Random(length_bytes)
    samples = []
    for _ in range(300):
        parts = [
            bytes([random.choice((1, 1, 5, 7, 8, 9, 12))]) + random.randbytes(random.randrange(90)) for _ in range(5)
        ]
        data = b"".join(len(part).to_bytes(length_bytes, "big") + part for part in parts[: random.randrange(6)])
        samples.append(data[: random.choice((len(data), random.randrange(len(data) + 1)))])
    codec = H264(bytes([1, 66, 0, 10, 0xFC | length_bytes - 1]))
    table = table_of(samples, [0])
    found = scan(SampleReader(BytesSource({"file": b"".join(samples)}), "file", table), codec, table)
    kinds = [
        [unit.head(1)[0] & 31 for unit in nal_units(SampleBytes(len(data), data), length_bytes)] for data in samples
    ]
    assert found.carriers.tolist() == [k for k, each in enumerate(kinds) if {7, 8} & set(each)]
    bare = {k for k, each in enumerate(kinds) if each and not {1, 5} & set(each)}
    assert set(found.without_picture.tolist()) <= bare
    assert len(found.without_picture) > 5


def start_bytes(samples: list[bytes], flagged: list[int]) -> list[bytes]:
    table = found_in(samples, flagged).table
    index = np.ones(len(table), np.int64) if table.start_description_index is None else table.start_description_index
    return [start_bytes_of(table.sample_description, int(k), where="") for k in index[np.flatnonzero(table.is_sync)]]


@pytest.mark.parametrize(
    ("middle", "last", "expected"),
    [
        (unit(PPS) + unit(IDR), unit(IDR), b""),
        (unit(OTHER_PPS) + unit(IDR), unit(IDR), unit(OTHER_PPS)),
        (unit(OTHER_PPS) + unit(IDR), unit(PPS) + unit(IDR), b""),
        (unit(IDR) + unit(OTHER_PPS), unit(IDR), unit(OTHER_PPS)),
        # a picture parameter set is decoded with the sequence parameter set that was there when it came
        (unit(SPS + b"\1") + unit(IDR), unit(IDR), unit(SPS + b"\1")),
        (unit(SPS + b"\1") + unit(OTHER_PPS) + unit(IDR), unit(IDR), unit(SPS + b"\1") + unit(OTHER_PPS)),
    ],
)
def test_a_start_gets_the_parameter_sets_in_force(middle, last, expected):
    assert start_bytes([unit(IDR), middle, last, unit(P_SLICE)], [0, 1, 2]) == [b"", b"", expected]


def test_parameter_sets_may_lie_in_any_sample():
    samples = [unit(IDR), unit(OTHER_PPS) + unit(IDR), unit(IDR), unit(PPS) + unit(P_SLICE), unit(IDR)]
    assert start_bytes(samples, [0, 1, 2, 4]) == [b"", b"", unit(OTHER_PPS), b""]


def test_a_start_keeps_its_mark_where_the_encoder_s_version_does_not_matter():
    version = unit(bytes([SEI]) + message(5, X264_UUID + b"x264 - core 164") + b"\x80")
    table = found_in([version + unit(IDR), unit(OTHER_PPS) + unit(IDR), unit(IDR)], [0, 1, 2]).table
    assert np.flatnonzero(table.is_sync).tolist() == [0, 1, 2]
    assert table.start_description_index is not None


class Zeros(BytesSource):
    """A source whose file ends in zeros, as many as are asked for, and that says what it was asked for."""

    largest = 0

    def get_ranges(self, path, ranges):
        self.largest = max([self.largest, *(stop - start for start, stop in ranges)])
        return [self.files[path][start:stop].ljust(stop - start, b"\0") for start, stop in ranges]


def test_a_parameter_set_of_gigabytes_is_refused_unread():
    sample = (2**31 - 8).to_bytes(4, "big") + SPS
    table = table_of([sample], [0])
    table = replace(table, size=np.array([2**31 - 4]))
    source = Zeros({"file": sample})
    with pytest.raises(
        SampleTableError, match=r"^file: found a unit of 2,147,483,\d+ bytes in sample 0; expected headers"
    ):
        corrected(source, "file", table, keyframes="all")
    assert source.largest < 1 << 20
