"""Episodes in the video file of other episodes: VID024 names them and the files with their frames, and no other episode."""

from pathlib import Path

import pytest

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify import VerificationReport, verify
from episeek_pipelines.verify.findings.options import VerifyOptions
from episeek_pipelines.verify.rules.videos import FRAME_REMEDIES, LENGTHS_FIRST_REMEDY, RETIME_REMEDY
from episeek_schemas import lerobot
from tests.support.broken_datasets import (
    EPISODES,
    TOP,
    WRIST,
    copy_of,
    edit_info,
    episode_values,
    set_value,
    set_values,
    video,
)

OF_FRAMES = {"VID023", "VID023W", "VID024", "VID025"}


def layout(root: Path, level: str = "layout") -> VerificationReport:
    return verify(Root(str(root)), options=VerifyOptions(level=level))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("camera", "episode", "wrong", "right", "count"),
    [(TOP, 5, 3, 2, 29), (TOP, 5, 1, 2, 29), (WRIST, 7, 5, 4, 49), (TOP, 9, 4, 5, 20)],
)
def test_only_the_episode_and_the_file_with_its_frames_are_named(
    camera: str, episode: int, wrong: int, right: int, count: int, tmp_path: Path
):
    root = copy_of("av1_multifile", tmp_path, name="broken")
    set_value(root, EPISODES, lerobot.video_column(camera, "file_index"), episode, wrong)
    report = layout(root)
    (found,) = [each for each in report.findings if each.code in OF_FRAMES and each.severity == "error"]
    assert (found.code, found.location.episode, found.location.file) == ("VID024", episode, video(camera, wrong))
    assert found.found.startswith("no frame of the episode")
    assert f"{video(camera, right)} has {count} frames of no episode" in found.found
    assert found.advice == FRAME_REMEDIES["absent"]


def test_a_file_with_fewer_frames_is_not_named(tmp_path: Path):
    """Episode 9 leaves 20 frames of file 5, which are too few for episode 7."""
    root = copy_of("av1_multifile", tmp_path, name="broken")
    column = lerobot.video_column(TOP, "file_index")
    set_values(root, EPISODES, {(column, 7): 3, (column, 9): 4})
    (root / video(TOP, 4)).write_bytes((root / video(TOP, 5)).read_bytes())
    by_episode = {each.location.episode: each.found for each in layout(root).findings if each.code == "VID024"}
    assert video(TOP, 5) not in by_episode[7]


@pytest.mark.parametrize(("episode", "change"), [(3, 1), (3, -1), (9, -1), (9, 1)])
def test_wrong_lengths_are_to_be_corrected_before_videos_and_seconds(episode: int, change: int, tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path, name="broken")
    length = episode_values(root, "length")[episode]
    set_value(root, EPISODES, "length", episode, length + change)
    edit_info(root, total_frames=sum(episode_values(root, "length")))
    report = layout(root, "rows")
    assert "ROW015" in {each.code for each in report.findings}
    advice = {each.advice for each in report.findings if each.code in OF_FRAMES}
    assert advice == {LENGTHS_FIRST_REMEDY}
    assert "episeek repair" in LENGTHS_FIRST_REMEDY


def test_a_length_in_doubt_says_nothing_about_other_files(tmp_path: Path):
    root = copy_of("av1_multifile", tmp_path, name="broken")
    set_values(root, EPISODES, {("length", 3): 33, (lerobot.video_column(TOP, "file_index"), 9): 4})
    advice = {each.location.episode: each.advice for each in layout(root, "rows").findings if each.code == "VID024"}
    assert advice == {3: LENGTHS_FIRST_REMEDY, 9: FRAME_REMEDIES["absent"]}


def test_a_wrong_length_is_to_be_corrected_before_the_rate(tmp_path: Path):
    """With the wrong length, the file of episode 3 does not have a frame for each row."""
    root = copy_of("av1_multifile", tmp_path, name="broken")
    edit_info(root, fps=25)
    set_value(root, EPISODES, "length", 3, 33)
    advice = {each.location.file: each.advice for each in layout(root, "rows").findings if each.code == "INF002"}
    assert {advice[video(TOP, 1)], advice[video(WRIST, 2)]} == {LENGTHS_FIRST_REMEDY}
    assert advice[video(TOP, 4)] == RETIME_REMEDY
