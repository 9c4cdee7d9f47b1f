"""What ROW017 says about timestamps: how far they are off, and whether LeRobot would show neighbouring frames."""

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


def test_rows_that_would_get_a_neighbouring_frame_are_counted(tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path)
    jitter_timestamps(root)
    rows = pq.read_table(root / data(1), columns=["episode_index", "frame_index", "timestamp"]).to_pandas()
    rows["is_neighbour"] = np.rint(rows["timestamp"] * FPS) != rows["frame_index"]
    expected = rows.groupby("episode_index")["is_neighbour"].agg(["sum", "size"])
    assert (expected["sum"] > 0).any()
    found = findings(root)
    assert len(found) == len(expected)
    for each in found:
        wrong, total = expected.loc[each.location.episode]
        said = (
            f"with a larger tolerance, {wrong} of {total} rows of this episode would get the picture of a neighbouring"
        )
        assert (said in each.expected) == bool(wrong)
        assert ("do not load with a larger tolerance" in each.advice) == bool(wrong)
    assert not any("load with a larger tolerance" in each.advice.replace("do not load with", "") for each in found)


def test_times_that_are_off_by_less_than_half_a_frame(tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path)
    set_value(root, data(1), "timestamp", 7, 0.24)
    [found] = findings(root)
    assert "times of this episode are off by up to 0.00667 s, 0.20 frames" in found.expected
    assert "no picture changes" in found.advice
    set_value(root, data(1), "timestamp", 7, None)
    [found] = findings(root)
    assert "null or NaN" in found.expected


def test_times_are_left_alone_where_a_row_is_missing(tmp_path: Path):
    """Rewriting them would give all later rows the pictures of the frames before theirs."""
    root = copy_of("av1_multifile", tmp_path)
    drop_rows(root, data(0), 20)
    [found] = findings(root)
    assert found.more == 52 - 21 - 1
    assert "the time of its frame_index" in found.expected
    assert found.advice.startswith("leave timestamp as it is")
