"""The times of rows and the seconds of episodes in videos: what `episeek repair` refuses, because two readings of it remain."""

from pathlib import Path

import numpy as np
import pytest

from episeek_pipelines.api import Execution, VerifyOptions, plan_repair, verify
from episeek_pipelines.dataset.row_times import other_rate
from tests.broken.metadata import from_ts, to_ts
from tests.repairs.places import row_of
from tests.repairs.rows import remove_frames
from tests.support.broken_datasets import EPISODES, TOP, copy_of, edit_info, episode_values, set_values


def test_seconds_are_kept_if_rows_were_cut_at_either_end(tmp_path: Path):
    """The seconds of the episode still cover all of its frames: the rows may be the last or the first of them."""
    root = copy_of("h264_bframes", tmp_path, name="broken")
    remove_frames(root, 0, 1, 2, starts_again=True)
    made = plan_repair(str(root))
    assert not [each for each in made.repairs if each.code == "REP018"]
    assert {(each.code, each.place.episode, each.readings) for each in made.refusals if each.code == "REP018"} == {
        ("REP018", 1, ("frames 49 to 85", "frames 52 to 88"))
    }


def test_timestamps_that_may_name_other_pictures_are_kept(tmp_path: Path):
    """A frame that was cut near the end leaves later timestamps one frame late, and a repeated one leaves them early."""
    cut_out, repeated, mixed = (copy_of("h264_bframes", tmp_path, name=name) for name in ("cut", "repeated", "mixed"))
    remove_frames(cut_out, 37)
    path, row = row_of(repeated, 1, 38)
    set_values(repeated, path, {("timestamp", row + k): (37 + k) / 30 for k in range(2)})
    # a timestamp that is no time of its place does not hide those that may be
    path, row = row_of(mixed, 1, 36)
    set_values(
        mixed, path, {("timestamp", row): 0.31, ("timestamp", row + 2): 39 / 30, ("timestamp", row + 3): 40 / 30}
    )
    for root, moved in ((cut_out, 37), (repeated, 38), (mixed, 38)):
        made = plan_repair(str(root))
        assert "REP011" not in {each.code for each in made.repairs}
        (refused,) = [each for each in made.refusals if each.code == "REP011"]
        assert refused.readings[0] == "row k has the timestamp k / 30 s"
        assert f"the timestamp of frame {moved} is still the time of its picture" in refused.readings[1]


@pytest.mark.parametrize("other", [2, 3])
def test_exchanged_seconds_are_refused_for_both_episodes(other: int, tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path, name="broken")
    for column in (from_ts(TOP), to_ts(TOP)):
        seconds = episode_values(root, column)
        set_values(root, EPISODES, {(column, 1): seconds[other], (column, other): seconds[1]})
    made = plan_repair(str(root))
    assert made.repairs == ()
    exchanged = {each.place.episode: each.readings[-1] for each in made.refusals}
    assert exchanged == {
        one: f"its seconds were exchanged with the seconds of episode {two}" for one, two in ((1, other), (other, 1))
    }


def test_fps_that_contradicts_timestamps_and_videos_is_refused_with_both_readings(tmp_path: Path):
    """Timestamps of 30 frames per second must not be rewritten to another fps: their rows would get other pictures."""
    root = copy_of("h264_bframes", tmp_path, name="broken")
    edit_info(root, fps=60)
    made = plan_repair(str(root))
    assert made.repairs == ()
    readings = {each.code: each.readings for each in made.refusals}
    assert readings["REP011"] == (
        "row k has the timestamp k / 60 s",
        "fps is 30, since row k has the timestamp k / 30 s",
    )
    assert readings["REP017"][0] == "fps is 30"
    found = verify(str(root), options=VerifyOptions(level="rows"), execution=Execution("sync")).findings
    of_times = [each for each in found if each.code == "ROW017"]
    assert len(of_times) == 6
    for each in of_times:
        assert "all timestamps of this episode are frame_index / 30" in each.expected
        assert "keep the timestamps" in each.remedy
    edit_info(root, fps=30)
    assert plan_repair(str(root)).refusals == ()


@pytest.mark.parametrize(
    ("times", "rate"),
    [
        (np.arange(40) / 30, 30),
        ((np.arange(40) / 30).astype(np.float32), 30),
        (np.arange(40) / 29.97, 29.97),
        (np.arange(40) / 60, 0),
        (np.arange(2) / 30, 0),
        (np.append(np.arange(39), 40) / 30, 0),
        (np.arange(1, 41) / 30, 0),
        (np.append(np.arange(39) / 30, np.nan), 0),
        (np.zeros(40), 0),
        (np.zeros(0), 0),
    ],
)
def test_the_rate_of_timestamps_is_found(times: np.ndarray, rate: float):
    assert other_rate(times, fps=60) == pytest.approx(rate)
