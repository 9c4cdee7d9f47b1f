"""Video files of episodes: an episode without one, or with a wrong one, gets the only file with its frames, or is refused."""

from pathlib import Path

import pytest

from episeek_pipelines.api import Refusal, plan_repair
from episeek_schemas import lerobot
from tests.repairs.rows import remove_frames
from tests.support.broken_datasets import EPISODES, TOP, WRIST, copy_of, episode_values, set_value, set_values, video

FILE = lerobot.video_column(TOP, "file_index")
WRIST_FILE = lerobot.video_column(WRIST, "file_index")


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


@pytest.mark.parametrize(
    ("column", "episode", "wrong"),
    [(FILE, 5, 3), (FILE, 2, 5), (FILE, 7, 5), (FILE, 6, 2), (FILE, 9, 4), (WRIST_FILE, 7, 5), (WRIST_FILE, 0, 3)],
)
def test_an_episode_in_a_wrong_file_gets_its_own(column: str, episode: int, wrong: int, tmp_path: Path):
    """The first and the last episode of a file, and the only one of a file to which then no episode refers."""
    root = copy_of("av1_multifile", tmp_path, name="broken")
    right = episode_values(root, column)[episode]
    set_value(root, EPISODES, column, episode, wrong)
    assert pointers(root) == ({episode: right}, [])


def test_two_episodes_in_wrong_files_get_their_own(tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path, name="broken")
    set_values(root, EPISODES, {(FILE, 5): 3, (FILE, 7): 3})
    assert pointers(root) == ({5: 2, 7: 4}, [])


def test_of_two_episodes_with_the_same_frames_the_order_of_the_files_decides(tmp_path: Path):
    """Episode 7 has the length and the seconds of episode 6, so that either could leave file 3."""
    root = copy_of("av1_multifile", tmp_path, name="broken")
    remove_frames(root, *range(35, 49), episode=7)
    (root / video(TOP, 4)).write_bytes((root / video(TOP, 3)).read_bytes())
    set_values(root, EPISODES, {(lerobot.video_column(TOP, "to_timestamp"), 7): 35 / 30, (FILE, 7): 3})
    assert pointers(root) == ({7: 4}, [])


@pytest.mark.parametrize("damaged", [False, True])
def test_two_files_that_may_have_the_frames_are_both_readings(damaged: bool, tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path, name="broken")
    contents = (root / video(TOP, 5)).read_bytes()
    (root / video(TOP, 9)).write_bytes(contents[:100] if damaged else contents)
    set_value(root, EPISODES, FILE, 5, 3)
    repaired, (refused,) = pointers(root)
    assert (repaired, refused.place.episode) == ({}, 5)
    assert refused.readings == (
        f"its frames are in {video(TOP, 2)}, which has 29 frames of no episode",
        f"its frames are in {video(TOP, 9)}, which {'is damaged' if damaged else 'has 70 frames of no episode'}",
        "its frames are lost",
    )


def test_seconds_that_do_not_fit_the_other_file_are_refused(tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path, name="broken")
    seconds = [lerobot.video_column(TOP, name) for name in ("from_timestamp", "to_timestamp")]
    old = [episode_values(root, name)[5] for name in seconds]
    set_values(root, EPISODES, {(FILE, 5): 3} | {(name, 5): at - 0.3 for name, at in zip(seconds, old, strict=True)})
    repaired, (refused,) = pointers(root)
    assert (repaired, refused.place.episode, len(refused.readings)) == ({}, 5, 2)


def test_seconds_are_kept_if_another_file_has_frames_at_them(tmp_path: Path):
    """File 3 has 35 frames too many, which episode 5 could take if its seconds were changed; but file 2 has them at its seconds."""
    root = copy_of("av1_multifile", tmp_path, name="broken")
    (root / video(TOP, 3)).write_bytes((root / video(TOP, 5)).read_bytes())
    set_value(root, EPISODES, FILE, 5, 3)
    made = plan_repair(str(root))
    assert not made.repairs
    of_episode = [each for each in made.refusals if each.place.episode == 5]
    assert of_episode
    assert all(any(video(TOP, 2) in reading for reading in each.readings) for each in of_episode)


def test_a_file_that_another_wrong_episode_takes_is_a_reading(tmp_path: Path):
    """Episode 9 left file 5, and episode 1 claims a part of its frames there."""
    root = copy_of("av1_multifile", tmp_path, name="broken")
    set_values(root, EPISODES, {(FILE, 9): 3, (FILE, 1): 5})
    repaired, (refused,) = pointers(root)
    assert (repaired, refused.place.episode) == ({}, 9)
    assert any(reading.startswith(f"its frames are in {video(TOP, 5)}") for reading in refused.readings)


def test_files_that_are_not_in_order_decide_between_no_episodes(tmp_path: Path):
    """As above, but files 1 and 2 are exchanged, so that episode 6 could as well be the one that is in file 4."""
    root = copy_of("av1_multifile", tmp_path, name="broken")
    remove_frames(root, *range(35, 49), episode=7)
    (root / video(TOP, 4)).write_bytes((root / video(TOP, 3)).read_bytes())
    one, other = (root / video(TOP, number) for number in (1, 2))
    contents = one.read_bytes(), other.read_bytes()
    other.write_bytes(contents[0])
    one.write_bytes(contents[1])
    exchanged = {(FILE, row): number for row, number in ((2, 2), (3, 2), (4, 1), (5, 1))}
    set_values(root, EPISODES, exchanged | {(lerobot.video_column(TOP, "to_timestamp"), 7): 35 / 30, (FILE, 7): 3})
    repaired, refused = pointers(root)
    assert (repaired, [each.place.episode for each in refused]) == ({}, [6, 7])
    assert all(video(TOP, 3) in each.readings[0] and video(TOP, 4) in each.readings[1] for each in refused)


@pytest.mark.parametrize("number", [6, None])
def test_a_missing_file_may_have_existed_if_it_has_a_place_in_the_order(number: int | None, tmp_path: Path):
    """Episode 8 has the seconds of the first frames of any file, such as file 6, which may be lost."""
    root = copy_of("av1_multifile", tmp_path, name="broken")
    (root / video(TOP, 5)).rename(root / video(TOP, 7))
    set_values(root, EPISODES, {(FILE, 8): number, (FILE, 9): 7})
    repaired, (refused,) = pointers(root)
    assert (repaired, refused.place.episode) == ({}, 8)
    assert refused.readings == (
        f"its frames are in {video(TOP, 7)}, which has 50 frames of no episode",
        f"its video {video(TOP, 6)} is missing" if number else "its video is missing",
    )


def test_an_episode_without_a_file_is_in_the_next_one_if_no_number_is_unused(tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path, name="broken")
    set_value(root, EPISODES, FILE, 8, None)
    assert pointers(root) == ({8: 5}, [])


def test_an_episode_after_others_of_its_file_gets_it_in_place_of_a_file_without_a_place(tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path, name="broken")
    set_value(root, EPISODES, FILE, 5, 9)
    assert pointers(root) == ({5: 2}, [])


@pytest.mark.parametrize(("episode", "has_seconds"), [(4, True), (9, True), (5, False)])
def test_a_missing_file_that_nothing_contradicts_is_a_reading(episode: int, has_seconds: bool, tmp_path: Path):
    """The seconds of episode 4 begin at 0, as in a file of its own; file 9 of the last episode may have been the last one."""
    root = copy_of("av1_multifile", tmp_path, name="broken")
    lost = () if has_seconds else (lerobot.video_column(TOP, name) for name in ("from_timestamp", "to_timestamp"))
    set_values(root, EPISODES, {(FILE, episode): 9} | {(name, episode): None for name in lost})
    repaired, (refused,) = pointers(root)
    assert (repaired, refused.place.episode) == ({}, episode)
    assert refused.readings[-1] == f"its video {video(TOP, 9)} is missing"
    assert len(refused.readings) == 2
