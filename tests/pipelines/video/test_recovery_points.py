"""Recovery points that are marked as H.264 sync samples are found; any bytes are read without an exception."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from episeek.mp4.sample_table import SampleTable
from episeek_pipelines.video.recovery_points import without_recovery_points
from tests.support.amount import examples
from tests.support.mp4_boxes import BytesSource, box, sample_entry, stsd

IDR, SLICE, SEI = b"\x65\x88", b"\x41\x9a", 6
AVCC = stsd(box(b"avc1", sample_entry(b"avc1")[8:], box(b"avcC", b"\x01\x64\x00\x0a\xff")))  # lengths of 4 bytes
AT_ONCE, IN_6_FRAMES = b"\x80", b"\x38"  # ue(v) of 0 and of 6


def unit(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def message(kind: int, payload: bytes) -> bytes:
    size = len(payload)
    return bytes([kind]) + b"\xff" * (size // 255) + bytes([size % 255]) + payload


def sync_after(*samples: bytes) -> list[int]:
    """The samples of these that stay sync samples; all are marked, and one that is not follows."""
    parts = [*samples, unit(SLICE)]
    size = np.array([len(part) for part in parts], np.int64)
    count = len(parts)
    flags = np.arange(count) < len(samples)
    ticks = 512 * np.arange(count)
    table = SampleTable(
        np.cumsum(size) - size, size, ticks, ticks, ticks * 0 + 512, flags, flags | True, 15360, "avc1", 96, 64, AVCC
    )
    found = without_recovery_points(BytesSource({"file": b"".join(parts)}), "file", table)
    return np.flatnonzero(found.is_sync).tolist()


def refreshed(frames: bytes) -> bytes:
    return unit(bytes([SEI]) + message(5, bytes(300)) + message(6, frames)) + unit(SLICE)


@pytest.mark.parametrize(
    ("later", "kept"),
    [
        (unit(IDR), True),
        (unit(SLICE), True),  # flagged without a message: believed
        (refreshed(AT_ONCE), True),  # an open GOP
        (refreshed(IN_6_FRAMES), False),
        (refreshed(IN_6_FRAMES)[: -len(unit(SLICE))] + unit(IDR), True),
        (unit(b"") + refreshed(IN_6_FRAMES), False),  # a unit of no bytes in front
    ],
)
def test_recovery_points_of_later_frames_are_no_sync_samples(later, kept):
    assert sync_after(unit(IDR), later) == ([0, 1] if kept else [0])


def test_all_are_looked_at_where_one_is_found():
    assert sync_after(unit(IDR), refreshed(IN_6_FRAMES), unit(IDR), refreshed(IN_6_FRAMES)) == [0, 2]


@settings(max_examples=examples(300), deadline=None)
@given(later=st.binary(min_size=1, max_size=60) | st.binary(max_size=40).map(lambda data: unit(bytes([SEI]) + data)))
def test_any_bytes_are_read(later):
    assert sync_after(unit(IDR), later) in ([0], [0, 1])
