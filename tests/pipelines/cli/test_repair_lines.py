"""The lines of `episeek repair`: values before and after can be told apart, and all counts are counted alike."""

import pytest

from episeek_pipelines.api import MadeRepairs, Refusal, Repair, RepairChoice
from episeek_pipelines.cli.lines.repair import made_lines
from episeek_pipelines.repair.values import Place

PLACE = Place("meta/stats.json", column="action")
LONG = [0.123456789012345 + number for number in range(20)]
ONE = " (1 of 20 elements differ)"


def lines(*, before=1, after=2, more=0, refusals=(), **options):
    made = MadeRepairs(RepairChoice(), (Repair("REP020", PLACE, before, after, "proof", more),), tuple(refusals))
    return [*made_lines(made, **options)]


@pytest.mark.parametrize(
    ("before", "after", "removed", "added"),
    [
        (1, 2, "1", "2"),
        (None, [1.0], "nothing", "[1.0]"),
        (LONG, [*LONG[:17], 99.5, *LONG[18:]], f"[17] {LONG[17]}{ONE}", f"[17] 99.5{ONE}"),
        # an element that differs by rounding alone is not shown
        (LONG, [LONG[0] * (1 + 1e-9), *LONG[1:19], 4.5], f"[19] {LONG[19]}{ONE}", f"[19] 4.5{ONE}"),
    ],
    ids=["numbers", "nothing", "list", "rounding"],
)
def test_values_before_and_after_can_be_told_apart(before, after, removed, added):
    shown = lines(before=before, after=after)
    assert shown[2:4] == [f"       - {removed}", f"       + {added}"]


def test_long_texts_are_shown_around_their_first_difference():
    before, after = "a" * 300 + "b" + "c" * 300, "a" * 300 + "d" + "c" * 300
    removed, added = lines(before=before, after=after)[2:4]
    assert "b" in removed
    assert "d" in added
    assert max(len(removed), len(added)) < 115


def test_further_places_are_counted_everywhere():
    refusal = Refusal("REP014", PLACE, "two tasks", ("one", "other"), more=2)
    single = Refusal("REP018", PLACE, "a value", ("needs REP021",))
    shown = lines(more=3, refusals=(refusal, single))
    assert shown[0] == "repair   4 values repaired, 4 values refused"
    assert any(line.endswith("- 1 (and 3 more)") for line in shown)
    assert any("two tasks (and 2 more)" in line for line in shown)
    assert "         needs REP021" in shown


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "repaired"),
        ({"is_dry_run": True}, "would be repaired"),
        ({"is_current": True}, "repaired by an earlier run"),
    ],
)
def test_the_first_line_says_when_values_were_repaired(options, said):
    assert lines(**options)[0] == f"repair   1 value {said}, 0 values refused"
