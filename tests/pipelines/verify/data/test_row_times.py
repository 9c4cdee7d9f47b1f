"""What ROW017 says about timestamps: how far they are off, and whether LeRobot would show neighbouring frames."""

import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify import VerifyOptions, verify
from episeek_pipelines.verify.findings.findings import Finding
from tests.broken.rows import jitter_timestamps
from tests.support.broken_datasets import copy_of, data, drop_rows, set_value

FPS = 30


def findings(root: Path) -> list[Finding]:
    report = verify(Root(str(root)), options=VerifyOptions(level="rows"))
    return [found for found in report.findings if found.code == "ROW017"]


def test_the_smallest_tolerance_and_the_rows_that_get_a_neighbouring_frame(tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path)
    jitter_timestamps(root)
    rows = pq.read_table(root / data(1), columns=["episode_index", "frame_index", "timestamp"]).to_pandas()
    nearest = np.rint(rows["timestamp"] * FPS)
    rows["is_neighbour"] = nearest != rows["frame_index"]
    rows["distance"] = np.abs(rows["timestamp"] - nearest / FPS)
    expected = rows.groupby("episode_index").agg({"is_neighbour": ["sum", "size"], "distance": "max"})
    found = findings(root)
    assert len(found) == len(expected)
    for each in found:
        wrong, total, distance = expected.loc[each.location.episode]
        given = re.search(
            r"LeRobot loads this episode with tolerance_s = (\S+) or more, and gives (.*)\)$", each.expected
        )
        assert given is not None
        assert distance < float(given[1]) < distance * 1.01
        assert given[2] == (
            f"{wrong:.0f} of {total:.0f} rows the picture of another frame" if wrong else "each row its own picture"
        )
        assert ("do not load with a larger tolerance" in each.advice) == bool(wrong)
    assert {bool(expected.loc[each.location.episode].iloc[0]) for each in found} == {True, False}
    assert not any("load with a larger tolerance" in each.advice.replace("do not load with", "") for each in found)


def test_times_of_other_frames_load_with_the_usual_tolerance(tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path)
    set_value(root, data(1), "timestamp", 7, 9 / FPS)
    [found] = findings(root)
    assert "with tolerance_s = 0.0001, and gives 1 of 32 rows the picture of another frame" in found.expected
    assert found.advice.startswith("do not load with a larger tolerance")


def test_without_videos_no_picture_depends_on_times(tmp_path: Path):
    root = copy_of("images", tmp_path)
    set_value(root, data(0), "timestamp", 7, 0.5)
    [found] = findings(root)
    assert found.expected.endswith("(times of this episode are off by up to 0.267 s, 8.00 frames)")
    assert "each row keeps its picture" in found.advice


def test_times_that_are_off_by_less_than_half_a_frame(tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path)
    set_value(root, data(1), "timestamp", 7, 0.24)
    [found] = findings(root)
    assert "times of this episode are off by up to 0.00667 s, 0.20 frames" in found.expected
    assert "each row keeps its picture" in found.advice
    set_value(root, data(1), "timestamp", 7, None)
    [found] = findings(root)
    assert "null or NaN" in found.expected


def test_times_are_left_alone_where_a_row_is_missing(tmp_path: Path):
    """Rewriting them would give all later rows the pictures of the frames before theirs."""
    root = copy_of("av1_multifile", tmp_path)
    drop_rows(root, data(0), 20)
    [found] = findings(root)
    assert found.more == 52 - 21 - 1
    assert "timestamp and frame_index agree with each other" in found.expected
    assert found.advice.startswith("do not change timestamp")
