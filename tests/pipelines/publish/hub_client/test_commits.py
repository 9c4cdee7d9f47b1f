"""One commit on the offline Hub: it makes all changes or none, and sends only files that differ, once."""

import hashlib
import subprocess
import sys

import pytest

from episeek.errors import ChangedFileError, MissingFileError
from episeek_pipelines.publish.errors import RefusedError
from episeek_pipelines.publish.hub_client import commits, uploads
from episeek_pipelines.publish.overlay.changes import Addition, Changes
from tests.servers.faults import Fault
from tests.support.hub_client import CLIENT_WARNINGS
from tests.support.repository_changes import (
    AFTER,
    CHANGES,
    NAME,
    OLD,
    VIDEO,
    asked,
    changes_of,
    commit,
    commits_of,
    many,
    paths,
)

pytestmark = CLIENT_WARNINGS


def test_a_commit_has_everything(hub, repository):
    hub.clear()
    outcome = commit(repository, hub, description="why")
    assert outcome.is_new
    assert outcome.operation_count == 4
    assert outcome.commit == hub.head(NAME)
    made = hub.repository(NAME).commits[outcome.commit]
    assert (made.parents, made.title, made.message) == ((hub.base,), "new", "why")
    assert set(made.tree) == AFTER
    assert made.tree["videos/a.mp4"].sha256 == CHANGES.additions[2].sha256
    assert len(commits_of(hub)) == 3
    assert len(asked(hub, "POST", "/commit/")) == 1
    (upload,) = asked(hub, "PUT", "/lfs/")
    assert upload.received_bytes == len(VIDEO)
    assert len(hub.exchanges()) <= 9


def test_files_of_the_disk_are_sent_as_they_are(hub, repository, tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(VIDEO)
    wanted = Addition("videos/b.mp4", str(path), len(VIDEO), hashlib.sha256(VIDEO).hexdigest())
    commit_ = commits.commit(repository, Changes((wanted,), (), 0), parent=hub.base, message="m").commit
    assert repository.files(commit_)["videos/b.mp4"].sha256 == wanted.sha256


def test_the_same_again_is_no_commit(hub, repository):
    made = commit(repository, hub).commit
    hub.clear()
    again = commit(repository, hub, parent=made)
    assert (again.commit, again.is_new, again.operation_count) == (made, False, 0)
    assert [exchange.path.split("/")[5] for exchange in hub.exchanges()] == ["paths-info"]
    assert commits.commit(repository, Changes((), (), 3), parent=made, message="m").commit == made


def test_only_what_differs_is_committed(hub, repository):
    outcome = commits.commit(
        repository, changes_of({**OLD, "new.txt": b"n"}, ["nowhere.txt"]), parent=hub.base, message="m"
    )
    assert outcome.operation_count == 1
    assert paths(hub) == {".gitattributes", *OLD, "new.txt"}


def test_what_has_arrived_is_not_sent_again(hub, repository):
    hub.inject(Fault("status", method="POST", path="/commit/", status=400))
    with pytest.raises(RefusedError):
        commit(repository, hub)
    assert len(asked(hub, "PUT", "/lfs/")) == 1
    assert commit(repository, hub).is_new
    assert len(asked(hub, "PUT", "/lfs/")) == 1


def test_uploads_go_in_groups(hub, repository, monkeypatch):
    monkeypatch.setattr(uploads, "GROUP_BYTES", 1000)
    files = {f"{number}.mp4": bytes([number]) * 400 for number in range(5)}
    assert commits.commit(repository, changes_of(files), parent=hub.base, message="m").operation_count == 5
    assert len(asked(hub, "POST", "/preupload/")) == 3
    assert len(asked(hub, "PUT", "/lfs/")) == 5


def test_nothing_is_left_out_of_a_commit_for_a_gitignore(hub, repository):
    wanted = changes_of({".gitignore": b"*.mp4\n*.json\n", "b.mp4": VIDEO, "c.json": b"{}"})
    commits.commit(repository, wanted, parent=hub.base, message="m")
    assert paths(hub) >= wanted.paths


def test_more_than_one_commit_takes_is_refused(hub, repository):
    with pytest.raises(RefusedError, match="found 101 files to add and delete; expected at most 100"):
        commits.commit(repository, many(101), parent=hub.base, message="m")
    assert commits.commit(repository, many(100), parent=hub.base, message="m").operation_count == 100


@pytest.mark.parametrize("is_large", [True, False])
def test_a_local_file_that_has_changed(hub, repository, tmp_path, is_large):
    path = tmp_path / "film"
    path.write_bytes(VIDEO)
    wanted = Addition("x.mp4" if is_large else "x.txt", str(path), len(VIDEO), hashlib.sha256(VIDEO).hexdigest())
    path.write_bytes(VIDEO[::-1])
    with pytest.raises(ChangedFileError, match=r"film: found 50000 bytes"):
        commits.commit(repository, Changes((wanted,), (), 0), parent=hub.base, message="m")
    path.unlink()
    with pytest.raises(MissingFileError, match=r"film: found no such file"):
        commits.commit(repository, Changes((wanted,), (), 0), parent=hub.base, message="m")
    assert hub.head(NAME) == hub.base


def test_a_path_that_the_hub_does_not_take(hub, repository):
    with pytest.raises(RefusedError, match=r"\.git/x"):
        commits.commit(repository, changes_of({".git/x": b"x"}), parent=hub.base, message="m")


def test_uploads_through_xet(tmp_path):
    """The uploads run in a process of their own: hf_xet's threads outlive them."""
    command = [sys.executable, "-m", "tests.pipelines.publish.hub_client.xet_repository_check", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "checked" in ran.stdout
