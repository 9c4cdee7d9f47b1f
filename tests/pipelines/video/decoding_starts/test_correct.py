"""Sync samples are what their bytes say, and starts get the parameter sets that earlier samples hold."""

import numpy as np
import pytest

from episeek.mp4.moov.sample_description import start_bytes_of
from episeek.mp4.sample_table import SampleTable
from episeek_pipelines.video.decoding_starts.correct import corrected
from tests.support.mp4_boxes import BytesSource, box, sample_entry, stsd

IDR, P_SLICE, I_SLICE, SEI = b"\x65\x88", b"\x41\x9a", b"\x41\x88", 6
SPS, PPS, OTHER_PPS = b"\x67\x42\x00\x0a\xf8", b"\x68\xce\x38\x80", b"\x68\xcf\x38\x80"
AVCC = box(b"avcC", b"\x01\x42\x00\x0a\xff\xe1\0\x05" + SPS + b"\1\0\x04" + PPS)
X264_UUID = bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef")
AT_ONCE, NOT_EXACT, IN_6_FRAMES = b"\xc0", b"\x80", b"\x3c"  # ue(v) of 0 or 6, and exact_match_flag


def unit(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def message(kind: int, payload: bytes) -> bytes:
    size = len(payload)
    return bytes([kind]) + b"\xff" * (size // 255) + bytes([size % 255]) + payload


def recovery(frames: bytes, picture: bytes = I_SLICE, user_data_bytes: int = 300) -> bytes:
    return unit(bytes([SEI]) + message(5, bytes(user_data_bytes)) + message(6, frames)) + unit(picture)


def found_in(samples: list[bytes], flagged: list[int], *, keyframes="auto"):
    """The correction of a table of these samples, of which those `flagged` are sync samples."""
    size = np.array([len(part) for part in samples], np.int64)
    count = len(samples)
    flags = np.isin(np.arange(count), flagged)
    ticks = 512 * np.arange(count)
    description = stsd(box(b"avc1", sample_entry(b"avc1")[8:], AVCC))
    table = SampleTable(
        np.cumsum(size) - size,
        size,
        ticks,
        ticks,
        ticks * 0 + 512,
        flags,
        flags | True,
        15360,
        "avc1",
        96,
        64,
        description,
    )
    return corrected(BytesSource({"file": b"".join(samples)}), "file", table, keyframes=keyframes)


def starts_of(entry: bytes, samples: list[bytes], flagged: list[int]) -> list[int]:
    """The sync samples of a table with samples of another codec."""
    size = np.array([len(part) for part in samples], np.int64)
    ticks = 512 * np.arange(len(samples))
    flags = np.isin(np.arange(len(samples)), flagged)
    description = stsd(box(entry, sample_entry(entry)[8:]))
    table = SampleTable(
        np.cumsum(size) - size,
        size,
        ticks,
        ticks,
        ticks * 0 + 512,
        flags,
        flags | True,
        15360,
        entry.decode(),
        96,
        64,
        description,
    )
    source = BytesSource({"file": b"".join(samples)})
    return np.flatnonzero(corrected(source, "file", table).table.is_sync).tolist()


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


def test_a_few_speak_for_all_of_a_file_in_a_store_unless_all_are_wanted():
    samples = [unit(IDR)] * 100
    assert [found_in(samples, list(range(90)), keyframes=choice).inspected_count for choice in ("auto", "all")] == [
        8,
        90,
    ]


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
