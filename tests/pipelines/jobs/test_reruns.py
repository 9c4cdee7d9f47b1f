"""Runs into a destination that a run has finished: current, refused by what differs, or replaced at once."""

import json
import os
import shutil

import pytest

from episeek.errors import ChangedFileError, DestinationError
from episeek_pipelines.dataset import replacement
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.staging import open_dataset_staging
from episeek_pipelines.jobs.prepare import prepare
from episeek_pipelines.jobs.rewrite import rewrite
from episeek_pipelines.rewrite.plan import plan_rewrite
from episeek_schemas.layout import RUN_RECORD_PATH, SOURCE_RECORD_PATH
from tests.pipelines.conftest import change_info, copy_dataset, digests

NAME = "hevc"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A source, and the result of preparing it."""
    folder = tmp_path_factory.mktemp("finished")
    copy_dataset(NAME, folder / "source")
    prepare(str(folder / "source"), str(folder / "out"))
    return folder


@pytest.fixture
def folder(finished, tmp_path, monkeypatch):
    """A copy of it whose record names the copied source, as that of the original names its own."""
    for name in ("source", "out"):
        shutil.copytree(finished / name, tmp_path / name, symlinks=True)
    for record in (tmp_path / "out/.episeek").iterdir():
        record.write_text(record.read_text().replace(str(finished), str(tmp_path)))
    return tmp_path


def run(folder, **options):
    return prepare(str(folder / "source"), str(folder / "out"), **options)


def test_nothing_is_done_twice(folder, monkeypatch):
    before = digests(folder / "out")
    monkeypatch.setattr("episeek_pipelines.jobs.prepare.plan_rewrite", lambda *_: pytest.fail("planned again"))
    result = run(folder)
    assert result.is_current
    assert result.rewrite is None
    assert digests(folder / "out") == before


def test_touched_files_are_the_same(folder):
    for path in (folder / "source").rglob("*"):
        os.utime(path, (1, 1))
    assert run(folder).is_current


def change_rows(folder):
    path = next((folder / "source/data").rglob("*.parquet"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def change_video(folder):
    path = sorted((folder / "source/videos").rglob("*.mp4"))[0]
    data = path.read_bytes()
    at = data.index(b"mvhd") + 12
    path.write_bytes(data[:at] + b"\x01" + data[at + 1 :])


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (change_rows, {}, r"source/data/chunk-000/file-000\.parquet"),
        (change_video, {}, r"source/videos/.*\.mp4"),
        (lambda folder: change_info(folder / "source", robot_type="other"), {}, r"source/meta/info\.json"),
        (lambda folder: (folder / "source/meta/new.json").write_text("{}"), {}, r"source/meta/new\.json"),
        (lambda folder: None, {"videos": "copy"}, r"--videos none \(now --videos copy\)"),
        (lambda folder: None, {"max_episodes_per_file": 1}, r"no --max-episodes-per-file \(now --max-episodes-per-"),
        (
            lambda folder: (folder / "out/meta/stats.json").unlink(),
            {},
            "files below meta/ that differ from the record of the run",
        ),
        (lambda folder: (folder / "out/.episeek/episeek-run.json").unlink(), {}, "files below data/, meta/, videos/"),
    ],
)
def test_another_state_is_refused_by_name_and_left_alone(change, options, message, folder):
    change(folder)
    before = digests(folder / "out")
    with pytest.raises(DestinationError, match=rf"prepared before, with .*{message}.*--force"):
        run(folder, **options)
    assert digests(folder / "out") == before


def test_a_directory_that_is_no_result_is_never_replaced(folder):
    (folder / "own").mkdir()
    (folder / "own/thesis.txt").write_text("all of it")
    with pytest.raises(DestinationError, match="prepared before"):
        prepare(str(folder / "source"), str(folder / "own"), force=True)
    assert (folder / "own/thesis.txt").exists()


@pytest.mark.parametrize("can_exchange", [True, False])
def test_force_replaces_all_of_it(can_exchange, folder, monkeypatch):
    if not can_exchange:
        monkeypatch.setattr(replacement, "_exchange", lambda *_: False)
    expected = digests(folder / "out")
    (folder / "out/meta/stats.json").unlink()
    (folder / "out/notes.txt").write_text("old")
    result = run(folder, force=True)
    assert not result.is_current
    assert digests(folder / "out") == expected
    assert run(folder).is_current
    assert sorted(path.name for path in folder.iterdir()) == ["out", "source"]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_killed_at_every_step_of_a_replacement(can_exchange, tmp_path, monkeypatch):
    """The destination holds the old or the new dataset as a whole, and the next run finishes."""
    steps = {"count": 0, "killed_at": 0}

    def counted(function):
        def call(*arguments, **options):
            if steps["count"] == steps["killed_at"]:
                raise KeyboardInterrupt
            steps["count"] += 1
            return function(*arguments, **options)

        return call

    def write(text):
        staging = open_dataset_staging(Root(str(tmp_path / "source")), Root(str(out)), {"command": "x"}, force=True)
        with staging:
            staging.work.write_bytes("receipt", b"finished")
            staging.root.write_bytes("data/file", text.encode())
            staging.root.write_bytes(SOURCE_RECORD_PATH, b"{}")
            staging.commit()

    out = tmp_path / "out"
    exchange = counted(replacement._exchange if can_exchange else lambda *_: False)
    functions = [
        (replacement, "_exchange", exchange),
        (os, "rename", counted(os.rename)),
        (shutil, "rmtree", counted(shutil.rmtree)),
    ]
    states = []
    for killed_at in range(20):
        write("old")
        steps.update(count=0, killed_at=killed_at)
        with monkeypatch.context() as patch:
            for module, name, function in functions:
                patch.setattr(module, name, function)
            try:
                write("new")
                is_finished = True
            except KeyboardInterrupt:
                is_finished = False
        states.append((out / "data/file").read_text() if out.exists() else "none")
        write("newer")
        assert (out / "data/file").read_text() == "newer"
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        if is_finished:
            break
    assert is_finished
    assert states[0] == "old"
    assert states[-1] == "new"
    assert ("none" in states) == (not can_exchange)


def test_a_source_that_changes_while_it_is_read_ends_the_run(folder, monkeypatch):
    """The record must not say that what was read is what is there now."""

    def changing(*arguments, **options):
        change_info(folder / "source", robot_type="other")
        return plan_rewrite(*arguments, **options)

    monkeypatch.setattr("episeek_pipelines.jobs.prepare.plan_rewrite", changing)
    with pytest.raises(ChangedFileError, match="found changes in meta/ during the run"):
        prepare(str(folder / "source"), str(folder / "new"))
    assert not (folder / "new").exists()


def test_rewriting_is_not_done_twice_either(folder):
    rewrite(str(folder / "source"), str(folder / "rewritten"))
    assert rewrite(str(folder / "source"), str(folder / "rewritten")).is_current
    with pytest.raises(DestinationError, match="command rewrite"):
        prepare(str(folder / "source"), str(folder / "rewritten"))


def test_a_run_is_recorded(finished):
    record = json.loads((finished / "out" / RUN_RECORD_PATH).read_text())
    assert record["command"] == "prepare"
    stages = {stage["stage"]: stage for stage in record["stages"]}
    assert list(stages) == ["reading headers", "rewriting", "meta/byte_index", "meta", "verify"]
    videos = list((finished / "source/videos").rglob("*.mp4"))
    assert stages["reading headers"]["files"] == len(videos)
    data = sum(path.stat().st_size for path in (finished / "source/data").rglob("*.parquet"))
    assert stages["rewriting"]["bytes_read"] == data
    assert all(stage["seconds"] > 0 for stage in record["stages"])
    assert {"episeek", "index", "pyarrow"} <= record["versions"].keys()
