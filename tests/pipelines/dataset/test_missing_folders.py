"""Folders under another name than the metadata gives: one named refusal or finding, however many files are below them."""

import shutil

import pytest

from episeek.errors import MissingFileError
from episeek_pipelines.dataset.missing_folders import MissingFolder, missing_folders
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.index import index
from episeek_pipelines.jobs.prepare import prepare
from episeek_pipelines.jobs.verify import verify
from tests.support.broken_datasets import TOP, data, video

MOVES = [
    ("videos", "video"),
    ("videos", "Videos"),
    ("data", "Data"),
    (f"videos/{TOP}", "videos/top"),
    ("videos", "mp4"),
]


@pytest.mark.parametrize(("folder", "other"), MOVES, ids=[other for _, other in MOVES])
def test_one_finding_and_one_refusal_name_the_folder(folder, other, dataset, tmp_path):
    (dataset / folder).rename(dataset / other)
    (finding,) = [found for found in verify(str(dataset)).findings if found.severity == "error"]
    assert (finding.code, finding.location.file) == ("INF004", folder)
    assert f"but {other}/ contains" in finding.found
    assert "rename the folder" in finding.advice
    with pytest.raises(MissingFileError, match=f"rename {other}/ to {folder}/"):
        prepare(str(dataset), str(tmp_path / "out"))
    if folder != "data":
        with pytest.raises(MissingFileError, match=f"rename {other}/ to {folder}/"):
            index(str(dataset))
    (dataset / other).rename(dataset / folder)  # the remedy, followed
    assert verify(str(dataset)).is_clean


def test_a_folder_that_is_nowhere_is_one_finding(dataset):
    shutil.rmtree(dataset / "videos")
    (finding,) = [found for found in verify(str(dataset)).findings if found.severity == "error"]
    assert (finding.found, finding.location.file) == ("no such folder", "videos")
    assert "restore" in finding.advice


def test_each_missing_file_of_an_existing_folder_is_a_finding(dataset):
    lost = [video(TOP, 1), data(1)]
    for path in lost:
        (dataset / path).unlink()
    errors = [found for found in verify(str(dataset)).findings if found.code == "INF004"]
    assert sorted(found.location.file or "" for found in errors) == sorted(lost)


def test_folders_with_files_of_their_own_are_not_meant(tmp_path):
    """chunk-001 is missing; chunk-000 has files of these names, which the metadata refers to."""
    listed = ["videos/top/chunk-000/file-000.mp4", "videos/top/chunk-000/file-001.mp4"]
    missing = ["videos/top/chunk-001/file-000.mp4", "videos/top/chunk-001/file-001.mp4"]
    found = missing_folders(Root(str(tmp_path)), missing, listed=listed, declared=[*listed, *missing])
    assert found == ([MissingFolder("videos/top/chunk-001", tuple(missing))], set())


def test_a_similar_name_with_other_files_is_named_without_a_claim(tmp_path):
    (tmp_path / "video").mkdir()
    (tmp_path / "video/clip.mp4").touch()
    (tmp_path / "notes").mkdir()
    ((folder,), others) = missing_folders(Root(str(tmp_path)), ["videos/a.mp4"], listed=[], declared=["videos/a.mp4"])
    assert (folder.meant, folder.held, others) == ("video", 0, set())


def test_folders_of_a_store():
    import fsspec

    fs = fsspec.filesystem("memory")
    fs.pipe("/near/video/top/file.mp4", b"x")
    fs.pipe("/near/meta/info.json", b"{}")
    missing = ["videos/top/file.mp4"]
    try:
        ((folder,), _) = missing_folders(Root("memory://near"), missing, listed=[], declared=missing)
    finally:
        fs.rm("/near", recursive=True)
    assert (folder.meant, folder.held) == ("video", 1)
