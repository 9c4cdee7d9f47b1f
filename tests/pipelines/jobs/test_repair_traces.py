"""Numbers and texts that may be the only trace of a change: `episeek repair` keeps them, and shows both readings."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from episeek_pipelines.api import RepairChoice, plan_repair
from episeek_pipelines.repair.other_frames import rises, row_of_other_frame
from tests.repairs.places import EPISODE, row_of
from tests.repairs.rows import keep_frame_index, number_of_task_twice, renumber_exchanged_rows, shift_index
from tests.support.amount import first
from tests.support.broken_datasets import copy_of, set_values


@pytest.mark.parametrize(
    ("damage", "code", "row"),
    first(
        [
            (renumber_exchanged_rows, "REP011", 3),
            (number_of_task_twice, "REP012", None),
            (lambda root: keep_frame_index(root, 5), "REP010", 5),
            (lambda root: keep_frame_index(root, 0, 1, 2), "REP010", 0),
        ],
        3,
    ),
)
def test_the_only_trace_of_a_change_is_kept(
    damage: Callable[[Path], object], code: str, row: int | None, tmp_path: Path
):
    root = copy_of("h264_bframes", tmp_path, name="broken")
    damage(root)
    made = plan_repair(str(root))
    assert made.repairs == ()
    (refused,) = [each for each in made.refusals if each.code == code]
    assert len(refused.readings) == 2
    if row is not None:
        assert refused.place.row == row_of(root, EPISODE, 0)[1] + row


def test_a_timestamp_of_another_frame_is_kept_and_others_are_corrected(tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path, name="broken")
    path, row = row_of(root, EPISODE, 7)
    for seconds in (9 / 30, 45 / 30, *first((0.3004, 6 / 30, 0.0), 0)):
        set_values(root, path, {("timestamp", row): seconds})
        made = plan_repair(str(root))
        assert [each.code for each in made.refusals] == ["REP011"], seconds
        assert made.repairs == (), seconds
    for value in first((-1.0, 99.0, float("nan"), None, 0.31), 2):
        set_values(root, path, {("timestamp", row): value})
        (repaired,) = plan_repair(str(root)).repairs
        assert (repaired.code, repaired.after) == ("REP011", 7 / 30), value


def test_an_index_with_gaps_is_kept_and_one_from_elsewhere_is_corrected(tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path, name="broken")
    path, row = row_of(root, EPISODE, 0)
    # Three numbers are left out before row 5 of episode 1: all later rows of the dataset have other numbers, too.
    set_values(root, path, {("index", each): each + 3 for each in range(row + 5, 234)})
    made = plan_repair(str(root))
    assert made.repairs == ()
    (refused,) = made.refusals
    assert (refused.code, refused.place.row, refused.more) == ("REP010", row + 5, 4)
    assert "rows were removed" in refused.readings[1]
    set_values(root, path, {("index", each): each for each in range(row + 5, 234)})
    shift_index(root)
    (repaired,) = plan_repair(str(root)).repairs
    assert (repaired.code, repaired.before, repaired.after, repaired.more) == ("REP010", row + 5000, row, 39)
    # An episode whose index begins at 0 again repeats the numbers of an episode that has them already.
    set_values(root, path, {("index", row + k): k for k in range(40)})
    (repaired,) = plan_repair(str(root)).repairs
    assert (repaired.before, repaired.after, repaired.more) == (0, row, 39)


def test_the_first_change_is_shown_and_all_are_counted(tmp_path: Path):
    """Pictures in the rows do not depend on frame_index. Most of the rows have the numbers of the rows after them."""
    root = copy_of("images", tmp_path, name="broken")
    path, row = row_of(root, EPISODE, 0)
    set_values(root, path, {("frame_index", row + k): k + 1 for k in range(4, 15)})
    (repaired,) = plan_repair(str(root), choice=RepairChoice(skip=("REP019", "REP020"))).repairs
    assert (repaired.code, repaired.place.row) == ("REP010", row + 4)
    assert (repaired.before, repaired.after, repaired.more) == (5, 4, 10)


def test_a_task_index_that_the_statistics_know_is_kept(tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path, name="broken")
    path, row = row_of(root, EPISODE, 7)
    set_values(root, path, {("task_index", row): 9})
    assert [each.code for each in plan_repair(str(root)).repairs] == ["REP013"]
    set_values(root, "meta/episodes/chunk-000/file-000.parquet", {("stats/task_index/max", EPISODE): [9]})
    made = plan_repair(str(root))
    assert {"REP012", "REP013"}.isdisjoint(each.code for each in made.repairs)
    assert {"REP012", "REP013"} & {each.code for each in made.refusals}


@pytest.mark.parametrize(
    ("numbers", "row"),
    [
        ([0, 1, 2, 3], -1),
        ([0, 1, 9, 3], -1),
        ([0, 1, np.nan, 3], -1),
        ([0, 1, -2, 3], -1),
        ([0, 3, 2, 1], 1),
        ([0, 1, 1, 3], 2),
        ([0, 1, 3, 4], 2),
        ([3, 4, 5, 6], 0),
        ([0, 9, 2, 4], 3),
        ([0, 1, 2, 9], 3),
        ([0, 1.3, 2, 3], -1),
        ([0, 2.9, 2, 3], -1),
    ],
)
def test_the_numbers_of_other_frames(numbers: list[float], row: int):
    assert row_of_other_frame(np.array(numbers, float), frames=(0, 4)) == row


def test_the_numbers_of_other_frames_have_limits():
    assert row_of_other_frame(np.array([0, 2.95, 2, 3]), frames=(0, 4), other_within=0.1) == 1
    assert row_of_other_frame(np.array([3, 4, 5, 6]), frames=(0, 0), last=6) == 0
    assert row_of_other_frame(np.array([3, 4, 5, 6]), frames=(0, 0), last=2) == -1
    assert rises(np.array([0, np.nan, 3]))
    assert not rises(np.array([0, 0, 3]))
