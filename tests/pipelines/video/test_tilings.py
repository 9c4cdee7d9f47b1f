"""Episodes that are declared in a file that is not theirs: the others have all of its frames, and they alone are refused."""

import numpy as np
import pytest

from episeek.errors import EpisodeFramesError
from episeek_pipelines.video.episode_frames import DeclaredEpisodes, EpisodeFrames, FileFrames, locate_frames
from episeek_pipelines.video.frame_problems import assign_frames, frame_problems
from tests.pipelines.video.test_episode_frames import FPS, steady


def frames_of(frame_count: int, *episodes: tuple[int, int], delay: int = 0) -> tuple[EpisodeFrames, dict[int, str]]:
    """Return the frames of episodes `(first frame, length)`, and the kind of the problem of each episode that has one."""
    first, length = np.array([each[0] for each in episodes]), np.array([each[1] for each in episodes])
    order = np.argsort(first, kind="stable")
    declared = DeclaredEpisodes(order, length[order], (first / FPS)[order], ((first + length) / FPS)[order])
    file = FileFrames.of(steady(frame_count))
    found = locate_frames(file, declared, fps=FPS)
    problems = frame_problems(file, declared, found, fps=FPS)
    return found, {int(declared.episode_index[each.row]): each.kind for each in problems}


THREE = (0, 10), (10, 20), (30, 12)


@pytest.mark.parametrize(
    "foreign",
    [[(0, 15)], [(10, 15)], [(30, 5)], [(7, 9)], [(90, 8)], [(0, 9), (10, 25)], [(5, 30), (5, 30)]],
    ids=str,
)
def test_only_the_episode_of_another_file_is_reported(foreign: list[tuple[int, int]]):
    found, problems = frames_of(42, *THREE, *foreign)
    assert problems == dict.fromkeys(range(3, 3 + len(foreign)), "absent")
    assert found.first[found.is_placed].tolist() == [0, 10, 30]
    assert found.count[~found.is_placed].sum() == 0


def test_seconds_that_drift_are_still_those_of_the_file():
    first = np.cumsum([0, *[20] * 9])
    drifting = [(k + 0.3 * number, 20) for number, k in enumerate(first.tolist())]
    _, problems = frames_of(200, *drifting, (61, 33))
    assert problems == {10: "absent"}


def test_episodes_with_the_same_frames_are_both_reported():
    _, problems = frames_of(42, *THREE, (10, 20))
    assert problems == {1: "contested", 3: "contested"}


@pytest.mark.parametrize(
    ("frame_count", "episodes"),
    [
        (42, [(0, 10), (10, 20), (30, 13)]),
        (42, [(0, 10), (10, 21), (30, 12)]),
        (38, THREE),
        (41, [(0, 10), (10, 20), (30, 12), (7, 9)]),
    ],
    ids=["a length", "a length within", "a file cut short", "a foreign episode of a file cut short"],
)
def test_no_episode_is_left_out_unless_the_others_fit_exactly(frame_count: int, episodes: list[tuple[int, int]]):
    found, _ = frames_of(frame_count, *episodes)
    assert not found.is_absent.any()
    assert not found.is_contested.any()


def test_no_range_reaches_beyond_the_file():
    """With a frame missing as well, the place of the episodes is uncertain; only frames of the file are named."""
    declared = DeclaredEpisodes.sorted(
        np.arange(3), np.array([30, 29, 20]), np.array([0, 0, 29]) / FPS, np.array([30, 29, 49]) / FPS
    )
    with pytest.raises(EpisodeFramesError) as raised:
        assign_frames(steady(45), declared, fps=FPS, where="file")
    named = [int(word) for word in raised.value.expected.replace(",", " ").split() if word.isdigit()]
    assert named
    assert max(named) < 45


def test_the_index_refuses_the_episode_by_name():
    declared = DeclaredEpisodes.sorted(
        np.arange(3), np.array([10, 20, 15]), np.array([0, 10, 5]) / FPS, np.array([10, 30, 20]) / FPS
    )
    with pytest.raises(EpisodeFramesError, match=r"^file, episode 2: .*other episodes have all 30 frames of the file"):
        assign_frames(steady(30), declared, fps=FPS, where="file")
