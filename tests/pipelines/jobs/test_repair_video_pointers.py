"""Video files of episodes: an episode without one gets the only file that has its frames, and is refused otherwise."""

from pathlib import Path

import pytest

from episeek_pipelines.api import Refusal, plan_repair
from episeek_schemas import lerobot
from tests.support.broken_datasets import EPISODES, TOP, copy_of, episode_values, set_value, set_values, video

FILE = lerobot.video_column(TOP, "file_index")


def pointers(root: Path) -> tuple[dict[int | None, int], list[Refusal]]:
    """Return the repaired file_index by episode, and the refusals of pointers."""
    made = plan_repair(str(root))
    repaired = {each.place.episode: each.after for each in made.repairs if each.code == "REP021"}
    return repaired, [each for each in made.refusals if each.code == "REP021"]


def test_frames_are_counted_even_if_both_neighbours_are_in_one_file(tmp_path: Path):
    """Episode 7 claims the file of episodes 8 and 9 as well, which leaves one frame for the 50 rows of episode 8."""
    root = copy_of("av1_multifile", tmp_path, name="broken")
    assert episode_values(root, FILE)[7:] == [4, 5, 5]
    set_values(root, EPISODES, {(FILE, 7): 5, (FILE, 8): None})
    repaired, (refused,) = pointers(root)
    assert (repaired, refused.place.episode) == ({}, 8)
    assert refused.readings == (
        f"its frames are in {video(TOP, 5)}, and lengths of the episodes there are wrong",
        "its video is missing",
    )


def test_a_file_that_was_renamed_is_named(tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path, name="broken")
    (root / video(TOP, 4)).rename(root / video(TOP, 9))
    repaired, (refused,) = pointers(root)
    assert (repaired, refused.place.episode) == ({}, 7)
    assert refused.readings == (
        f"its frames are in {video(TOP, 9)}, which has 49 frames of no episode",
        f"its video {video(TOP, 4)} is missing",
    )


def test_several_episodes_get_the_only_file_with_their_frames(tmp_path: Path):
    root = copy_of("h264_bframes", tmp_path, name="broken")
    set_values(root, EPISODES, {(FILE, 1): None, (FILE, 3): None})
    assert pointers(root) == ({1: 0, 3: 0}, [])


@pytest.mark.parametrize("damaged", [False, True])
def test_another_file_that_may_have_the_frames_is_a_reading(damaged: bool, tmp_path: Path):
    """A copy of a file that no episode refers to has as many frames, and a damaged file may have them as well."""
    root = copy_of("av1_multifile", tmp_path, name="broken")
    contents = (root / video(TOP, 0)).read_bytes()
    (root / video(TOP, 9)).write_bytes(contents[:100] if damaged else contents)
    set_value(root, EPISODES, FILE, 1, None)
    repaired, (refused,) = pointers(root)
    assert (repaired, len(refused.readings)) == ({}, 3)
    assert video(TOP, 9) in refused.readings[1]
