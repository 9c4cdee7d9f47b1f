"""Seconds that are missing in meta/episodes are filled in if one order of the episodes in their video is left.

The oracle tries every order of the episodes.
"""

from itertools import permutations

import numpy as np
import pytest

from episeek_pipelines.repair.missing_seconds import fill_in_seconds
from episeek_pipelines.repair.seconds import seconds_of_file
from episeek_pipelines.video.alignment.encoder_starts import CONTINUES, STARTS
from episeek_pipelines.video.episode_frames import DeclaredEpisodes, FileFrames

FPS = 10
MARKS = "none", "one stream", "a stream for each episode", "streams that start elsewhere"


def file_of(count: int, starts: list[int] | None) -> FileFrames:
    """A file whose frames are all sync samples. None for `starts` is a file whose encoder leaves no marks."""
    marks = np.full(count, CONTINUES, np.int8)
    marks[starts or []] = STARTS
    return FileFrames(
        np.arange(count) / FPS,
        np.ones(count, np.bool_),
        count / FPS,
        None if starts is None else lambda wanted: marks,
    )


def possible_firsts(lengths: np.ndarray, known: dict[int, int], starts: list[int] | None) -> list[list[int]]:
    """The first frames of all episodes for each order in which the known ones have their frames, and no stream is split."""
    found = []
    for order in permutations(range(len(lengths))):
        firsts = dict(zip(order, np.cumsum([0, *lengths[list(order)][:-1]]).tolist(), strict=True))
        edges = [edge for row in set(firsts) - set(known) for edge in (firsts[row], firsts[row] + int(lengths[row]))]
        is_split = starts is not None and len(starts) > 1 and not {*edges} <= {*starts, int(lengths.sum())}
        if not is_split and all(firsts[row] == first for row, first in known.items()):
            found.append([firsts[row] for row in range(len(lengths))])
    return found


@pytest.mark.parametrize("streams", MARKS)
def test_seconds_are_filled_in_if_one_order_is_left(streams: str):
    rng = np.random.default_rng(MARKS.index(streams))
    placed = 0
    for _ in range(120):
        lengths = rng.integers(1, 7, rng.integers(2, 6))
        order = rng.permutation(len(lengths))
        first = np.zeros(len(lengths), np.int64)
        first[order] = np.cumsum([0, *lengths[order][:-1]])
        begin, end = first / FPS, (first + lengths) / FPS
        begin[rng.random(len(lengths)) < 0.5] = np.nan
        end[rng.random(len(lengths)) < 0.7] = -1.0
        starts = {
            "none": None,
            "one stream": [0],
            "a stream for each episode": sorted(first.tolist()),
            "streams that start elsewhere": sorted({0, *rng.integers(0, lengths.sum(), 2).tolist()}),
        }[streams]
        known = {row: int(first[row]) for row in range(len(lengths)) if np.isfinite(begin[row]) or end[row] >= 0}
        declared = DeclaredEpisodes(np.arange(len(lengths)), lengths, begin, end)
        filled = fill_in_seconds(file_of(int(lengths.sum()), starts), declared)
        possible = possible_firsts(lengths, known, starts)
        if filled.proof:
            placed += 1
            (only,) = possible
            assert np.allclose(np.stack([filled.begin, filled.end]), np.stack([only, only + lengths]) / FPS)
        else:
            assert len(filled.readings) == 2
            # an encoder that starts within an episode is a contradiction, even if only one order is left
            assert len(possible) != 1 or streams == "streams that start elsewhere"
    assert 0 < placed < 120


def test_orders_that_are_not_certain_are_refused_with_both_readings():
    """Episodes 1 and 2 have no seconds, and nothing shows which of them comes first."""
    nan = float("nan")
    declared = DeclaredEpisodes(np.arange(3), np.array([4, 5, 6]), np.array([0, nan, nan]), np.array([0.4, nan, nan]))
    found = seconds_of_file(file_of(15, None), declared, fps=FPS)
    assert not found.placed
    order = "the frames of the episodes without seconds (1, 2) are in the order of the episodes"
    readings = order, "their frames are in another order"
    assert {place: each[1] for place, each in found.refused.items()} == {1: readings, 2: readings}


def test_an_order_that_only_the_streams_show_is_a_proof():
    """Episode 2 has a stream of its length before the stream of episode 1."""
    nan = float("nan")
    declared = DeclaredEpisodes(np.arange(3), np.array([4, 5, 6]), np.array([0, nan, nan]), np.array([0.4, nan, nan]))
    found = seconds_of_file(file_of(15, [0, 4, 10]), declared, fps=FPS)
    assert not found.refused
    assert {place: each[:2] for place, each in found.placed.items()} == {1: (1.0, 1.5), 2: (0.4, 1.0)}
    assert "only this order agrees with the lengths and the encoded streams" in found.placed[1][2]
