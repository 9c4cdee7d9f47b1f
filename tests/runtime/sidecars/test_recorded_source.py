import json
import logging
import os
import pickle
import shutil
from pathlib import Path

import pytest

import episeek
from episeek.errors import MissingFileError
from episeek.sidecars.recorded_source import recorded_source, use_of_recorded_source
from episeek_schemas import layout
from tests.support.build_index import CAMERAS, build_index, copy_dataset


@pytest.fixture
def source(tmp_path: Path) -> Path:
    copy_dataset("h264_bframes", tmp_path / "source")
    build_index(tmp_path / "source", tmp_path / "work", tmp_path / "source")
    return tmp_path / "source"


@pytest.fixture
def overlay(source: Path, tmp_path: Path) -> Path:
    shutil.copytree(source / "meta", tmp_path / "overlay/meta")
    return record(tmp_path / "overlay", str(source))


def record(root: Path, source: object) -> Path:
    path = root / layout.SOURCE_RECORD_PATH
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"commit": None, "plan": {"source": source}}))
    return root


def test_videos_are_read_from_the_recorded_source_and_that_is_said(
    overlay: Path, source: Path, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.INFO, logger="episeek"):
        index = episeek.open(overlay)
    assert f"from {source}, the source recorded in {overlay}/.episeek/source.json" in caplog.text
    assert f"videos in '{source}'" in repr(index)
    assert index.source.root == str(source)
    clip = index.clip(1, CAMERAS[0]).read()
    assert clip == episeek.open(source).clip(1, CAMERAS[0]).read()


def test_a_copy_in_a_worker_process_reads_the_same(overlay: Path, source: Path):
    assert pickle.loads(pickle.dumps(episeek.open(overlay))).source.root == str(source)


def test_a_data_root_overrides(overlay: Path, source: Path, tmp_path: Path):
    record(overlay, str(tmp_path / "elsewhere"))
    assert episeek.open(overlay, source).source.root == str(source)


def test_a_source_that_is_gone_is_named(overlay: Path, source: Path):
    source.rename(source.with_name("moved"))
    index = episeek.open(overlay)
    with pytest.raises(MissingFileError, match=str(source)):
        index.clip(1, CAMERAS[0]).read()


def test_a_dataset_with_videos_reads_its_own(source: Path, tmp_path: Path):
    record(source, str(tmp_path / "elsewhere"))
    assert episeek.open(source).source.root == str(source)


def test_a_password_is_not_said():
    assert "://***@host/pusht" in use_of_recorded_source("/out", "https://user:secret@host/pusht")


def test_a_record_is_looked_for_on_this_machine_alone():
    assert recorded_source("hf://datasets/org/name") is None
    assert recorded_source("s3://bucket/overlay") is None


@pytest.mark.parametrize("source", ["data/pusht", 3, None, ["/data/pusht"], "/a\0b", "/\ud800"])
def test_a_source_that_cannot_be_used_is_not(source: object, tmp_path: Path):
    assert recorded_source(str(record(tmp_path, source))) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '"plan"', '{"plan": []}', "[" * 100_000, "\xff"])
def test_a_damaged_record_is_none(text: str, tmp_path: Path):
    path = record(tmp_path, "/data/pusht") / layout.SOURCE_RECORD_PATH
    path.write_text(text, encoding="latin-1")
    assert recorded_source(str(tmp_path)) is None


def test_a_pipe_is_not_waited_for(tmp_path: Path):
    path = record(tmp_path, "/data/pusht") / layout.SOURCE_RECORD_PATH
    path.unlink()
    os.mkfifo(path)
    assert recorded_source(str(tmp_path)) is None


def test_an_overlay_is_not_its_own_source(tmp_path: Path):
    (tmp_path / "link").symlink_to(tmp_path)
    assert recorded_source(str(record(tmp_path, str(tmp_path / "link")))) is None


def test_without_cameras_nothing_is_said(tmp_path: Path):
    copy_dataset("images", tmp_path / "images")
    build_index(tmp_path / "images", tmp_path / "work", tmp_path / "images")
    record(tmp_path / "images", str(tmp_path / "elsewhere"))
    assert episeek.open(tmp_path / "images").source.root == str(tmp_path / "images")
