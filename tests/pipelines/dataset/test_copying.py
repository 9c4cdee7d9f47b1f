"""Copies, clones and hard links: which of them shares writes with its source, and when one becomes another."""

import errno
import os
import shutil
import subprocess
from contextlib import nullcontext

import pytest

from episeek.errors import DestinationError, ReadError, WriteError
from episeek_pipelines.dataset import cloning, copying
from episeek_pipelines.dataset.copying import copy_file, require_room
from episeek_pipelines.dataset.root import Root

PATH = "videos/top/file-000.mp4"
OLD, NEW = b"pictures of the source", b"written by another tool"


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "source" / PATH
    file.parent.mkdir(parents=True)
    file.write_bytes(OLD)
    return Root(str(tmp_path / "source"))


@pytest.fixture
def destination(tmp_path):
    return Root(str(tmp_path / "out"))


def clone_as_a_file_system_would(source: int, target: int) -> bool:
    os.write(target, os.pread(source, os.fstat(source).st_size, 0))
    return True


def write_in_place(root: Root) -> None:
    """Write as `shutil.move` between file systems does, which LeRobot calls for a video that it has encoded again."""
    with (root.local / PATH).open("r+b") as stream:
        stream.truncate()
        stream.write(NEW)


@pytest.mark.parametrize("can_clone", [True, False])
@pytest.mark.parametrize("way", ["copy", "clone", "hardlink"])
def test_a_write_to_the_copy_reaches_the_source_through_a_hard_link_alone(
    way, can_clone, source, destination, monkeypatch
):
    monkeypatch.setattr(copying, "clone_contents", clone_as_a_file_system_would if can_clone else lambda *_: False)
    done = copy_file(source, destination, PATH, way=way)
    assert done == (way if can_clone or way != "clone" else "copy")
    assert (destination.local / PATH).read_bytes() == OLD
    write_in_place(destination)
    assert (destination.local / PATH).read_bytes() == NEW
    assert (source.local / PATH).read_bytes() == (NEW if done == "hardlink" else OLD)


@pytest.mark.parametrize("linked", ["file", "folder"])
@pytest.mark.parametrize("way", ["clone", "hardlink"])
def test_what_a_symbolic_link_leads_to_is_never_shared(way, linked, source, destination, tmp_path):
    """The Hub client's cache: snapshots/COMMIT/PATH leads to a blob, which other snapshots lead to, too."""
    file, blob = source.local / PATH, tmp_path / "blobs"
    here = file if linked == "file" else file.parent
    shutil.move(here, blob)
    here.symlink_to(blob)
    assert copy_file(source, destination, PATH, way=way) == "copy"
    copied = destination.local / PATH
    assert not copied.is_symlink()
    assert os.stat(copied).st_ino != os.stat(file).st_ino
    write_in_place(destination)
    assert file.read_bytes() == OLD


def test_a_root_behind_a_link_has_files_of_its_own(source, destination, tmp_path):
    (tmp_path / "link").symlink_to(source.local)
    assert copy_file(Root(str(tmp_path / "link")), destination, PATH, way="hardlink") == "hardlink"


def test_a_hard_link_that_cannot_be_made_is_a_copy(source, destination, monkeypatch):
    def refused(*_: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "link", refused)
    assert copy_file(source, destination, PATH, way="hardlink") == "copy"
    assert (destination.local / PATH).read_bytes() == OLD


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EXDEV, errno.ENOTTY])
def test_file_systems_that_cannot_clone(number, source, destination, monkeypatch):
    import fcntl

    def refused(*_: object) -> None:
        raise OSError(number, "no clones here")

    monkeypatch.setattr(fcntl, "ioctl", refused)
    assert copy_file(source, destination, PATH, way="clone") == "copy"
    assert (destination.local / PATH).read_bytes() == OLD


def test_a_clone_that_finds_no_room_leaves_nothing(source, destination, monkeypatch):
    import fcntl

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(fcntl, "ioctl", full)
    with pytest.raises(WriteError, match="no space left"):
        copy_file(source, destination, PATH, way="clone")
    assert not list(destination.local.rglob("*.mp4*"))


def test_the_system_clones_or_says_that_it_cannot(tmp_path):
    """`cp --reflink=always` is the oracle: it exits with 1 where the file system cannot clone."""
    file = tmp_path / "file"
    file.write_bytes(OLD * 1000)
    command = ["cp", "--reflink=always", str(file), str(tmp_path / "other")]
    can_clone = subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0
    with file.open("rb") as stream, (tmp_path / "clone").open("wb") as out:
        assert cloning.clone_contents(stream.fileno(), out.fileno()) == can_clone
    assert (tmp_path / "clone").read_bytes() == (OLD * 1000 if can_clone else b"")


def test_a_folder_is_no_file(source, destination):
    with pytest.raises(ReadError, match="no regular file"):
        copy_file(source, destination, "videos", way="clone")


@pytest.mark.parametrize(
    ("way", "can_clone", "is_refused"),
    [("copy", True, True), ("clone", False, True), ("clone", True, False), ("hardlink", False, False)],
)
def test_room_for_copies_is_required_before_anything_is_copied(
    way, can_clone, is_refused, source, destination, monkeypatch
):
    monkeypatch.setattr(copying, "clone_contents", clone_as_a_file_system_would if can_clone else lambda *_: False)
    usage = shutil.disk_usage(source.local)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    destination.local.mkdir()
    with pytest.raises(DestinationError, match=r"2\.0 kB for copies of 1 file") if is_refused else nullcontext():
        require_room(source, destination, {PATH: 2000}, way=way)
    require_room(source, destination, {PATH: 1000}, way=way)
    assert not list(destination.local.rglob("*.mp4"))
    copy_file(source, destination, PATH)
    require_room(source, destination, {PATH: 2000}, way=way)  # a run that is continued
