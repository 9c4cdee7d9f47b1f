"""Rows of the `files` table that cannot be right are recognised."""

import struct
from dataclasses import replace

import numpy as np
import pytest

from episeek.errors import SampleDescriptionError
from episeek.mp4.moov.description_runs import clip_descriptions, description_of, description_runs
from episeek.mp4.moov.video_track import IDENTITY_MATRIX
from episeek.sidecars.file_record import FileRecord
from tests.support.mp4_boxes import sample_entry, stsd

SOUND = FileRecord(
    file_id=0,
    file_path="videos/a.mp4",
    file_size=1000,
    store_id="",
    moov_sha256="0" * 64,
    moov_offset=32,
    moov_length=500,
    header_length=532,
    faststart=True,
    codec="mp4v",
    width=128,
    height=96,
    timescale=15360,
    sample_count=7,
    avg_fps=30.0,
    sample_description=stsd(sample_entry(), sample_entry()),
    container="mp4",
    track_matrix=IDENTITY_MATRIX,
    sample_description_runs=struct.pack("<4q", 40, 1, 90, 2),
    episodes_sha256="0" * 64,
    start_description_runs=b"",
    sync_sample_count=1,
    sync_samples_inspected=0,
)


def test_a_sound_row():
    assert SOUND.problem() == ""
    assert replace(SOUND, sample_description_runs=b"").problem() == ""


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("file_path", ""),
        ("file_path", "/etc/passwd"),
        ("file_path", "videos/../../a.mp4"),
        ("timescale", 0),
        ("width", 0),
        ("avg_fps", float("nan")),
        ("container", "avi"),
        ("track_matrix", IDENTITY_MATRIX[:-1]),
        ("sample_description", b""),
        ("sample_description", stsd(sample_entry())[:-1]),
        ("sample_description", stsd()),
        ("sample_description_runs", struct.pack("<3q", 40, 1, 90)),
        ("sample_description_runs", struct.pack("<4q", 40, 1, 90, 3)),
        ("sample_description_runs", struct.pack("<4q", 40, 0, 90, 1)),
        ("sample_description_runs", struct.pack("<4q", 90, 1, 40, 2)),
        ("start_description_runs", struct.pack("<2q", 0, 3)),
    ],
)
def test_a_damaged_row_has_a_problem(column, value):
    assert replace(SOUND, **{column: value}).problem()


def test_runs_say_for_every_sample_what_was_said():
    rng = np.random.default_rng(0)
    for _ in range(50):
        offset = rng.permutation(np.arange(0, 4000, 100))
        index = rng.integers(1, 4, len(offset))
        found = description_of(description_runs(offset, index, where="file"), offset)
        assert (np.ones_like(index) if found is None else found).tolist() == index.tolist()
    assert description_runs(offset, None, where="file") == b""
    assert description_of(b"", offset) is None


@pytest.mark.parametrize(
    ("own", "at_start", "expected"),
    [
        ([1, 1, 1], [1, 1, 1], None),
        ([1, 1, 1], [3, 1, 1], [3, 3, 3]),
        ([1, 1, 2], [3, 1, 2], [3, 3, 2]),
        ([2, 2, 1, 2], [4, 5, 1, 5], [4, 4, 1, 2]),
        ([2, 2, 2], [1, 2, 2], None),
        ([1, 2, 1], [1, 4, 4], [1, 2, 1]),
    ],
)
def test_a_clip_uses_the_description_that_is_in_force_where_it_starts(own, at_start, expected):
    offset = np.array([400, 100, 200, 300])[: len(own)]
    runs, start_runs = (description_runs(offset, np.array(index), where="file") for index in (own, at_start))
    found = clip_descriptions(runs, start_runs, offset)
    assert (None if found is None else found.tolist()) == expected


def test_one_place_has_one_description():
    with pytest.raises(SampleDescriptionError, match="samples at one offset with two sample descriptions"):
        description_runs(np.array([40, 50, 50, 60]), np.array([1, 1, 2, 2]), where="file")
