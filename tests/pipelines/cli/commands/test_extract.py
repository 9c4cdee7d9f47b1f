"""`episeek extract`: cameras by their ends, files that are not replaced, and what the clip took."""

import json

import pytest

from episeek.errors import CameraNotFoundError
from episeek_pipelines.cli.commands.extract import choose_camera
from episeek_pipelines.cli.main import main
from tests.support.build_index import DATA

CAMERAS = (
    "observation.images.top",
    "observation.images.wrist_left",
    "observation.images.wrist_right",
    "depth.top_left",
)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("observation.images.top", CAMERAS[0]),
        ("top", CAMERAS[0]),
        ("images.top", CAMERAS[0]),
        ("wrist_left", CAMERAS[1]),
        ("right", CAMERAS[2]),
    ],
)
def test_a_camera_is_chosen_by_the_end_of_its_key(wanted: str, expected: str):
    assert choose_camera(CAMERAS, wanted) == expected


def test_a_whole_last_part_is_preferred():
    assert choose_camera(("a.laptop", "a.top"), "top") == "a.top"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("left", "found 'left', the end of 2 keys; expected one of observation.images.wrist_left, depth.top_left"),
        ("bottom", f"found no camera 'bottom'; expected one of {', '.join(CAMERAS)}"),
        ("", f"found no camera ''; expected one of {', '.join(CAMERAS)}"),
        (None, f"found no key for a dataset with {len(CAMERAS)} cameras; expected one of {', '.join(CAMERAS)}"),
    ],
)
def test_a_camera_that_is_not_clear_is_refused_with_a_list(wanted: str | None, found: str):
    with pytest.raises(CameraNotFoundError) as error:
        choose_camera(CAMERAS, wanted)
    assert found in str(error.value)


def test_the_only_camera_needs_no_name():
    assert choose_camera(CAMERAS[:1], None) == CAMERAS[0]
    with pytest.raises(CameraNotFoundError, match="a dataset without cameras"):
        choose_camera((), None)


@pytest.fixture
def arguments(tmp_path) -> list[str]:
    index = tmp_path / "index"
    assert main(["index", str(DATA / "hevc"), "--output", str(index), "--quiet"]) == 0
    return ["extract", str(index), "--data-root", str(DATA / "hevc"), "--episode", "1", "--camera", "top"]


def test_an_existing_file_stays_unless_it_is_forced(arguments, tmp_path, capsys):
    target = tmp_path / "clip.mp4"
    target.write_text("old")
    assert main([*arguments, "-o", str(target)]) == 2
    error = capsys.readouterr().err
    assert error.endswith("found an existing file; expected a new file; hint: add --force to replace it\n")
    assert target.read_text() == "old"
    assert main([*arguments, "-o", str(target), "--force"]) == 0
    assert b"ftyp" in target.read_bytes()[:12]
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "index"}


def test_requests_are_told_apart(arguments, tmp_path, capsys):
    assert main([*arguments, "-o", str(tmp_path / "a.mp4"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["requests"] == document["clip_requests"] + document["header_requests"]
    assert document["clip_requests"] == 1
    assert main([*arguments, "-o", str(tmp_path / "b.mp4")]) == 0
    line = capsys.readouterr().out
    assert "the clip took one request" in line
    assert ("one more request compared the file's header" in line) == (document["header_requests"] == 1)


def test_a_clip_on_standard_output(arguments, capfdbinary):
    assert main([*arguments, "-o", "-"]) == 0
    assert b"ftyp" in capfdbinary.readouterr().out[:12]
