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
from episeek_pipelines.jobs.index import index
from episeek_pipelines.jobs.prepare import prepare
from episeek_pipelines.jobs.verify import verify
from tests.pipelines.conftest import DATA, copy_dataset, digests
from tests.pipelines.jobs.test_prepare import SIDECARS

PIN = "configs: [{config_name: default, data_files: data/*/*.parquet}]\n"
VIDEO = "videos/observation.images.top/chunk-000/file-000.mp4"
FILES = 2 + 1  # videos and the card


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
def test_a_full_dataset_needs_no_source(videos, can_clone, ways, tmp_path, monkeypatch):
    dataset = copy_dataset("hevc", tmp_path / "source")
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
    assert ("changes the file in SRC" in text) == (videos == "hardlink")
    assert (f"copied ({FILES} because" in text) == (videos == "link" and not can_clone)
    assert set(digests(target)) == {*digests(dataset), *SIDECARS}
    shutil.rmtree(dataset)
    opened = episeek.open(target)
    assert opened.clip(3, opened.cameras[0]).decode("pyav").data.shape[1:] == (3, 96, 128)
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
    lines = [line for line in prepare_lines(result) if line.startswith("ignored")]
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


@pytest.mark.parametrize(
    ("card", "is_pinned"),
    [
        ("# Robots\n", True),
        ("---\nlicense: mit\n---\n# Robots\n", True),
        ("---\r\nlicense: mit\r\n---\r\n# Robots\r\n", True),
        ("---\nconfigs: [{config_name: default, data_files: '**/*.parquet'}]\n---\n", True),
        ("---\nconfigs: [{config_name: default, data_files: data/*/*.parquet}]\n---\n", False),
    ],
)
def test_a_prepared_dataset_passes_its_own_verification_whatever_the_card_says(card, is_pinned, tmp_path):
    """The front matter is read by huggingface_hub, too."""
    from huggingface_hub import DatasetCard

    source = copy_dataset("hevc", tmp_path / "source")
    (source / "README.md").write_bytes(card.encode())
    result = prepare(str(source), str(tmp_path / "out"), videos="copy")
    assert result.copies is not None
    assert result.verification is not None
    assert not [found for found in result.verification.findings if found.code in ("HUB007", "HUB035")]
    assert verify(str(tmp_path / "out")).error_count == 0
    assert result.copies.is_card_pinned == is_pinned
    assert (source / "README.md").read_bytes() == card.encode()
    written = (tmp_path / "out/README.md").read_bytes()
    assert (written == card.encode()) == (not is_pinned)
    assert written.endswith(card.encode().rpartition(b"---")[2])
    configs = DatasetCard.load(tmp_path / "out/README.md").data.configs
    assert [config["data_files"] for config in configs] == ["data/*/*.parquet"]


def test_indexing_in_place_says_that_the_card_needs_a_pin(tmp_path):
    source = copy_dataset("hevc", tmp_path / "source")
    assert not index(str(source)).lacks_pin
    (source / "README.md").write_text("# Robots\n")
    result = index(str(source))
    assert result.lacks_pin
    assert any("HUB035" in line for line in prepare_lines(result))
    assert (source / "README.md").read_text() == "# Robots\n"
    (source / "README.md").write_text(f"---\n{PIN}---\n# Robots\n")
    assert not index(str(source)).lacks_pin


def test_a_card_that_cannot_be_edited_stays_and_is_a_finding(tmp_path):
    source = copy_dataset("hevc", tmp_path / "source")
    card = "---\nconfigs: &c\n- !odd {config_name: default, data_files: '**/*.parquet'}\n---\n"
    (source / "README.md").write_text(card)
    result = prepare(str(source), str(tmp_path / "out"), videos="copy")
    assert (tmp_path / "out/README.md").read_text() == card
    assert result.verification is not None
    assert "HUB035" in {found.code for found in result.verification.findings}
