"""Datasets whose pictures are in the data files: every command treats them as what they are."""

from pathlib import Path

import pytest

from episeek_pipelines.api import inspect
from episeek_pipelines.cli.main import main
from tests.pipelines.conftest import copy_dataset

NOTHING_TO_INDEX = "no camera is recorded as video, so there is nothing to index"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return copy_dataset("images", tmp_path / "images")


def lines(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    assert main([str(argument) for argument in arguments]) == 0
    printed = capsys.readouterr()
    assert "0 video" not in printed.out
    assert printed.err == ""
    return printed.out.splitlines()


def test_prepare_and_verify(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    index = next(line for line in lines(capsys, "prepare", images, tmp_path / "out") if line.startswith("index"))
    assert index.startswith(f"index    {NOTHING_TO_INDEX}; sidecars ")
    summary = lines(capsys, "verify", tmp_path / "out")[-1]
    assert summary.startswith(f"{tmp_path}/out: 0 errors, 0 warnings")
    assert "(4 episodes, 1 data file; " in summary


def test_index_and_check(images: Path, capsys: pytest.CaptureFixture[str]):
    assert lines(capsys, "index", images)[0].startswith(f"index    {NOTHING_TO_INDEX}; sidecars ")
    assert lines(capsys, "index", images, "--check") == [f"check    {images}: {NOTHING_TO_INDEX}"]


def test_inspect(images: Path, capsys: pytest.CaptureFixture[str]):
    assert lines(capsys, "inspect", images)[3:] == [
        "  images    observation.images.top: pictures in the data files",
        "  cameras   none is recorded as video, so there is nothing to index",
    ]
    inspection = inspect(str(images))
    assert (inspection.cameras, inspection.image_keys) == ((), ("observation.images.top",))
