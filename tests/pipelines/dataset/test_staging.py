"""Staging of a new dataset: what a run that was stopped leaves, and who may continue it."""

import os
import subprocess
import sys

import pytest

from episeek.errors import DestinationError
from episeek_pipelines.dataset.locks import exclusive_lock
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.dataset.staging import WORK_DIR, DatasetStaging, open_dataset_staging

OPTIONS = {"command": "prepare", "source": "/data/ds", "index_version": 1, "cap": None, "videos": "link"}


def open_with(target, **changes) -> DatasetStaging:
    return open_dataset_staging(Root("/data/ds"), Root(str(target)), {**OPTIONS, **changes})


def stop(target, path):
    """Open a staging, write one file, and stop."""
    with pytest.raises(KeyboardInterrupt), open_with(target) as staging:
        interrupt(staging.root, path)


def interrupt(root, path):
    root.write_bytes(path, b"{}")
    raise KeyboardInterrupt


@pytest.fixture
def stopped(tmp_path):
    """A destination beside which a run with `OPTIONS` was stopped after its first file."""
    stop(tmp_path / "out", f"{WORK_DIR}/rewrite/0.json")
    return tmp_path / "out"


def test_the_same_options_continue_a_run(stopped):
    with open_with(stopped) as staging:
        assert staging.is_resumed
        assert staging.work.list("rewrite") == ["rewrite/0.json"]


@pytest.mark.parametrize(
    ("changes", "found", "expected"),
    [
        ({"cap": 5}, "no --max-episodes-per-file", "--max-episodes-per-file 5"),
        ({"videos": "copy"}, "--videos link", "--videos copy"),
        ({"source": "/data/other"}, "source /data/ds", "source /data/other"),
        ({"index_version": 2}, "index version 1", "index version 2"),
        (
            {"command": "rewrite", "videos": None},
            "command prepare, --videos link",
            "command rewrite, no --videos",
        ),
    ],
)
def test_other_options_are_refused_by_name_and_value(changes, found, expected, stopped):
    with pytest.raises(DestinationError) as caught:
        open_with(stopped, **changes)
    error = caught.value
    assert error.where == f"{stopped}.partial"
    assert error.found == f"an unfinished run with {found}"
    assert error.expected == f"{expected}, as in this run"
    assert "with the options of the unfinished run to continue it" in error.hint
    assert f"or remove {stopped}.partial to start anew" in error.hint
    # The work of the stopped run is still there.
    with open_with(stopped) as staging:
        assert staging.is_resumed


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff"])
def test_options_that_cannot_be_read_are_refused(content, stopped):
    Root(f"{stopped}.partial/{WORK_DIR}").write_bytes("plan.json", content)
    with pytest.raises(DestinationError, match=r"cannot be read.*remove .*out\.partial to start anew"):
        open_with(stopped)


def test_a_failure_without_finished_work_leaves_nothing(tmp_path):
    stop(tmp_path / "out", "data/file")
    assert list(tmp_path.iterdir()) == []


_HOLD = """
import sys
from pathlib import Path
from episeek_pipelines.dataset.locks import exclusive_lock
with exclusive_lock(Path(sys.argv[1]), where="here", found="another"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_lock_is_held_by_one_process_and_released_when_it_is_killed(kind, tmp_path):
    path = tmp_path / "lock" if kind == "file" else tmp_path
    held = subprocess.Popen(
        [sys.executable, "-c", _HOLD, os.fspath(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert held.stdout is not None
    assert held.stdout.readline() == "held\n"
    lock = exclusive_lock(path, where="here", found="another")
    with pytest.raises(DestinationError, match="here: found another; expected one run at a time; hint: wait"), lock:
        pass
    held.kill()
    held.communicate()
    with exclusive_lock(path, where="here", found="another") as is_locked:
        assert is_locked


@pytest.mark.parametrize("is_required", [True, False])
def test_a_file_system_without_locks(is_required, tmp_path, monkeypatch):
    def flock(handle, operation):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    lock = exclusive_lock(tmp_path / "lock", where="here", found="another", is_required=is_required)
    if is_required:
        with pytest.raises(DestinationError, match=r"a file system without locks \(no locks available\)"), lock:
            pass
    else:
        with lock as is_locked:
            assert not is_locked
