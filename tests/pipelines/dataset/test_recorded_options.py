"""Recorded options in words: what differs between two runs, and the command of a run."""

import pytest

from episeek_pipelines.cli.parser import make_parser
from episeek_pipelines.dataset.recorded_options import command_again, differing_options
from episeek_pipelines.jobs.run_options import preparation_options
from episeek_pipelines.repair.values import RepairChoice

ALL = RepairChoice()
SOME = RepairChoice(only=("REP019", "REP002"), skip_lost_episodes=True, picture_statistics=True)
PLAIN = preparation_options("a")


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (PLAIN, None),
        ({**PLAIN, "later": None}, None),
        (preparation_options("a", videos="copy"), ("--videos none", "--videos copy")),
        (preparation_options("a", skip_episodes=[3, 1]), ("no --skip-episodes", "--skip-episodes 1,3")),
        (preparation_options("a", repair=ALL), ("no repairs", "repairs")),
        (
            preparation_options("a", repair=RepairChoice(skip=("REP003",))),
            ("no repairs, no --skip", "repairs, --skip REP003"),
        ),
    ],
)
def test_only_differences_are_named(now, words):
    assert differing_options(PLAIN, now) == words


def test_choices_of_repairs_are_compared_option_by_option():
    now = preparation_options("a", repair=SOME)
    no = "no --only, no --picture-statistics, no --skip-lost-episodes"
    chosen = "--only REP002,REP019, --picture-statistics, --skip-lost-episodes"
    assert differing_options(preparation_options("a", repair=ALL), now) == (no, chosen)
    older = {**now, "repair": {**now["repair"], "version": 0}}
    assert differing_options(older, now) == ("repair version 0", f"repair version {now['repair']['version']}")


@pytest.mark.parametrize(
    ("options", "command"),
    [
        ({}, "episeek prepare SRC DST"),
        ({"skip_episodes": [4, 1], "videos": "copy"}, "episeek prepare SRC DST --videos copy --skip-episodes 1,4"),
        ({"repair": ALL, "max_episodes_per_file": 5}, "episeek repair SRC DST --max-episodes-per-file 5"),
        (
            {"repair": SOME},
            "episeek repair SRC DST --only REP002,REP019 --skip-lost-episodes --picture-statistics",
        ),
        (
            {"videos": "pack", "video_file_size_mb": 200},
            "episeek prepare SRC DST --videos pack --video-file-size 200",
        ),
    ],
)
def test_the_command_makes_the_same_run(options, command):
    assert command_again(preparation_options("SRC", **options)) == command
    # every option exists
    make_parser().parse_args(command.split()[1:])


def test_a_record_with_odd_values_gives_no_odd_command():
    odd = {"command": "rm", "videos": "`id`", "skip_episodes": ["$(id)"], "repair": {"only": [";"], "skip": None}}
    assert command_again(odd) == "episeek repair SRC DST"
    assert command_again({"command": ["x"], "repair": 3}) == "episeek prepare SRC DST"
