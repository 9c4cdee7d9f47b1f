"""The videos and other files of a source in a destination of its own: what is taken over, how, and what stays where it is."""

import json
import os
import shutil

import pytest

import episeek
from episeek_pipelines.api import LeftOut
from episeek_pipelines.cli.lines.summary import prepare_lines
from episeek_pipelines.dataset import copying
from episeek_pipelines.dataset.contents import own_files
from episeek_pipelines.dataset.metadata import read_info
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.prepare import prepare, verify
from tests.pipelines.conftest import DATA, copy_dataset, digests
from tests.pipelines.jobs.test_prepare import SIDECARS

VIDEO = "videos/observation.images.top/chunk-000/file-000.mp4"
FILES = 12 + 1 + 1  # videos, the card, golden_items.npz


def clone_as_a_file_system_would(source: int, target: int) -> bool:
    os.write(target, os.pread(source, os.fstat(source).st_size, 0))
    return True


@pytest.mark.parametrize(
    ("videos", "can_clone", "ways"),
    [
        ("link", True, (FILES, 0, 0)),
        ("link", False, (0, FILES, 0)),
        ("copy", True, (0, FILES, 0)),
        ("hardlink", False, (0, 0, FILES)),
    ],
)
def test_a_full_dataset_needs_no_source(videos, can_clone, ways, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(copying, "clone_contents", clone_as_a_file_system_would if can_clone else lambda *_: False)
    configs = "configs:\n- config_name: default\n  data_files: data/*/*.parquet\n"
    (dataset / "README.md").write_text(f"---\nlicense: mit\n{configs}---\n")
    target = tmp_path / "out"
    result = prepare(str(dataset), str(target), videos=videos)
    assert result.copies is not None
    assert (result.copies.cloned, result.copies.copied, result.copies.hard_linked) == ways
    assert result.copied_files == FILES
    assert (os.stat(dataset / VIDEO).st_ino == os.stat(target / VIDEO).st_ino) == (videos == "hardlink")
    text = "\n".join(prepare_lines(result))
    assert ("changes it in SRC" in text) == (videos == "hardlink")
    assert set(digests(target)) == {*digests(dataset), *SIDECARS}
    shutil.rmtree(dataset)
    opened = episeek.open(target)
    assert opened.clip(3, opened.cameras[0]).decode("pyav").data.shape == (32, 3, 96, 128)
    assert verify(str(target)).error_count == 0


def leave(root, path, size=10):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(b"x" * size)


def test_folders_that_tools_left_stay_in_the_source_and_are_reported(tmp_path):
    source = copy_dataset("hevc", tmp_path / "source")
    for number in range(3):
        leave(source, f"images/observation.images.top/episode-000003/frame-{number:06d}.png")
    leave(source, ".annotate_staging/episode_0.json")
    leave(source, "videos/.cache/state")
    leave(source, ".git/objects/ab/cd", 1000)
    kept = ["LICENSE", ".gitattributes", "notes/calibration.json", "videos/notes.txt"]
    for path in kept:
        leave(source, path)
    result = prepare(str(source), str(tmp_path / "out"), videos="link")
    assert result.copies is not None
    assert result.copies.left_out == (
        LeftOut(".annotate_staging", 1, 10),
        LeftOut(".git", 1, 1000),
        LeftOut("images", 3, 30),
        LeftOut("videos/.cache", 1, 10),
    )
    found = digests(tmp_path / "out")
    assert {path for path in found if not path.startswith(("data/", "meta/", "videos/obs"))} >= set(kept)
    assert not [path for path in found if path.startswith(tuple(f"{left.folder}/" for left in result.copies.left_out))]
    lines = [line for line in prepare_lines(result) if line.startswith("left")]
    assert len(lines) == 4
    assert "images/ stays in SRC (3 files" in lines[2]


@pytest.mark.parametrize(
    ("changes", "is_left"),
    [
        ({}, True),
        ({"features": {"top": {"dtype": "image", "shape": [1, 1, 3]}}}, False),
        ({"video_path": "images/{video_key}/{chunk_index}/{file_index}.mp4"}, False),
    ],
)
def test_images_that_rows_or_templates_may_lead_to_are_taken(changes, is_left, tmp_path):
    document = json.loads((DATA / "hevc/meta/info.json").read_text())
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/info.json").write_text(json.dumps(document | changes))
    own, left = own_files(["images/a.png"], {}, read_info(Root(str(tmp_path))))
    assert (own, left) == (([], (LeftOut("images", 1, 0),)) if is_left else (["images/a.png"], ()))
