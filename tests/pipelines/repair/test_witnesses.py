"""Wrong seconds are corrected if no other reading of the recorded values contradicts as few of them, and refused otherwise."""

import numpy as np
import pytest

from episeek_pipelines.repair.seconds import SecondsOfFile, seconds_of_file
from episeek_pipelines.video.episode_frames import DeclaredEpisodes
from tests.pipelines.repair.test_missing_seconds import FPS, file_of
from tests.support.amount import examples

LENGTHS = np.array([49, 40, 51, 20, 33, 41])
"""Of the episodes of h264_bframes."""
FIRST = np.array([0, 49, 89, 140, 160, 193])
EXCHANGED = np.array([0, 49, 89, 140, 201, 160])
"""The first frames if episode 5 comes before episode 4."""


def found_in(
    first: np.ndarray, length: np.ndarray, count: int, *, begin: np.ndarray, end: np.ndarray, starts: list[int] | None
) -> SecondsOfFile:
    """Seconds of a file whose episodes declare their first frames and stops as frames."""
    declared = DeclaredEpisodes(np.arange(len(first)), length, begin / FPS, end / FPS)
    found = seconds_of_file(file_of(count, starts), declared, fps=FPS)
    assert all(len({*readings}) > 1 for _, readings in found.refused.values())
    return found


def placed(found: SecondsOfFile) -> dict[int, tuple[int, int]]:
    return {place: (round(begin * FPS), round(end * FPS)) for place, (begin, end, _) in found.placed.items()}


@pytest.mark.parametrize("starts", [None, [0], FIRST.tolist()])
def test_a_start_that_only_its_own_end_contradicts_does_not_move_other_episodes(starts: list[int] | None):
    begin = np.array([0, 49, 89, 140, 160, 0])
    found = found_in(FIRST, LENGTHS, 234, begin=begin, end=FIRST + LENGTHS, starts=starts)
    assert (placed(found), found.refused) == ({5: (193, 234)}, {})


def test_equal_starts_are_ordered_by_the_ends():
    begin = np.array([0, 49, 89, 140, 160, 160])
    found = found_in(EXCHANGED, LENGTHS, 234, begin=begin, end=EXCHANGED + LENGTHS, starts=[0])
    assert (placed(found), found.refused) == ({4: (201, 234)}, {})


def test_seconds_that_were_copied_are_refused_with_both_orders():
    begin, end = np.array([0, 49, 89, 140, 160, 160]), np.array([49, 89, 140, 160, 201, 201])
    found = found_in(EXCHANGED, LENGTHS, 234, begin=begin, end=end, starts=[0])
    assert not found.placed
    assert {place: {*readings} for place, (_, readings) in found.refused.items()} == {
        4: {"frames 160 to 192", "frames 201 to 233"},
        5: {"frames 160 to 200", "frames 193 to 233"},
    }


@pytest.mark.parametrize("is_encoded_alone", [False, True])
@pytest.mark.parametrize(("junk", "row", "begin"), [(0, 5, 0), (40, 3, 40), (40, 2, 40), (100, 4, 100)])
def test_frames_of_no_episode_are_not_given_to_an_episode_whose_end_names_its_own(
    junk: int, row: int, begin: int, is_encoded_alone: bool
):
    length = np.full(6, 20)
    first = np.arange(6) * 20
    first[first >= junk] += 20
    starts = sorted([*first.tolist(), junk]) if is_encoded_alone else [0]
    begins = first.copy()
    begins[row] = begin
    found = found_in(first, length, 140, begin=begins, end=first + length, starts=starts)
    assert not found.placed
    own, other = (f"frames {at} to {at + 19}" for at in (first[row], begin))
    assert {*found.refused[row][1]} == {own, other}


def test_nothing_is_written_beside_an_episode_whose_place_is_not_certain():
    """All seconds are a fifth too late: the end of one episode is close to its own frames by chance."""
    found = found_in(FIRST, LENGTHS, 234, begin=FIRST * 1.2, end=(FIRST + LENGTHS) * 1.2, starts=FIRST.tolist())
    assert not found.placed
    assert found.refused


@pytest.mark.parametrize("late", [-5, 3])
def test_seconds_that_are_off_by_a_few_frames_are_corrected(late: int):
    begin, end = FIRST.copy(), FIRST + LENGTHS
    end[2] += late
    begin[2] += min(late, 0)
    found = found_in(FIRST, LENGTHS, 234, begin=begin, end=end, starts=FIRST.tolist())
    assert (placed(found), found.refused) == ({2: (89, 140)}, {})


@pytest.mark.parametrize("seed", range(3))
def test_one_wrong_value_is_corrected_or_refused(seed: int):
    """The oracle is the file from which the seconds were taken: any order, any frames of no episode, any streams."""
    rng = np.random.default_rng(seed)
    corrected = 0
    for _ in range(examples(100)):
        count = int(rng.integers(2, 7))
        length = rng.integers(8, 60, count) if rng.random() < 0.6 else np.full(count, 20)
        junk = np.where(
            rng.random(count + 1) < rng.choice([0, 0.25]), (20, int(rng.integers(5, 50)))[rng.integers(2)], 0
        )
        order = rng.permutation(count) if rng.random() < 0.4 else np.arange(count)
        edges = np.cumsum(np.stack([junk, np.append(length[order], 0)], axis=1).reshape(-1))
        first = np.zeros(count, np.int64)
        first[order] = edges[:-2:2]
        streams = sorted({0, *edges[:-1].tolist()} - {int(edges[-1])})
        starts = [None, [0], streams][rng.integers(3)]
        right = np.stack([first, first + length])
        wrong = right.copy()
        column, row = rng.integers(2), rng.integers(count)
        values = [
            0,
            int(right[column, rng.integers(count)]),
            int(rng.integers(edges[-1])),
            int(right[column, row] + rng.integers(-9, 9)),
        ]
        wrong[column, row] = max(int(values[rng.integers(len(values))]), 0)
        found = found_in(first, length, int(edges[-1]), begin=wrong[0], end=wrong[1], starts=starts)
        corrected += len(found.placed)
        assert all(placed(found)[place] == tuple(right[:, place]) for place in found.placed), (right, wrong, starts)
    assert corrected
