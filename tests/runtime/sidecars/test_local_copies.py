"""Sidecars of a store are fetched once, kept on this machine and mapped by every process."""

import os
import shutil

import pytest

import episeek
from episeek.errors import ReadError
from episeek.sidecars import local_copies
from episeek.stores.open_source import open_source
from tests.servers.faults import Fault
from tests.servers.range_server import RangeServer
from tests.support.build_index import CAMERAS, DATA
from tests.support.served_file import PATIENCE

TABLES = ("episodes", "keyframes", "samples")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EPISEEK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def dataset(tmp_path, sidecar_roots):
    folder = shutil.copytree(DATA / "hevc", tmp_path / "dataset")
    shutil.copytree(sidecar_roots["hevc"] / "meta", folder / "meta", dirs_exist_ok=True)
    return folder


def kept(cache):
    return sorted(path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_file())


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
def test_once(dataset, cache, indexes, transport):
    with RangeServer(dataset) as server:
        index = episeek.open(server.url, retry=PATIENCE, transport=transport)
        assert all(index.table(name).is_mapped for name in TABLES)
        assert index.build_id == indexes["hevc"].build_id
        assert index.clip(1, CAMERAS[0]).read() == indexes["hevc"].clip(1, CAMERAS[0]).read()
        assert len(kept(cache)) == 4
        server.clear()
        again = episeek.open(server.url, retry=PATIENCE, transport=transport)
        assert [e.method for e in server.exchanges()] == ["HEAD"] * 4
        assert again.build_id == index.build_id


def test_a_new_version_replaces_the_one_before(dataset, cache, sidecar_roots):
    with RangeServer(dataset) as server:
        index = episeek.open(server.url, retry=PATIENCE)
        before = kept(cache)
        shutil.copytree(sidecar_roots["hevc"] / "meta", dataset / "meta", dirs_exist_ok=True)
        for path in (dataset / "meta/byte_index").iterdir():
            os.utime(path, ns=(1, 1))
        other = episeek.open(server.url, retry=PATIENCE)
        assert len(kept(cache)) == 4
        assert not set(before) & set(kept(cache))
        assert index.lookup(2, CAMERAS[0]) == other.lookup(2, CAMERAS[0])  # what is mapped stays


def test_without_an_identity_nothing_is_kept(dataset, cache, indexes):
    with RangeServer(dataset, etag=False) as server:
        index = episeek.open(server.url, retry=PATIENCE)
        assert index.lookup(1, CAMERAS[0]) == indexes["hevc"].lookup(1, CAMERAS[0])
    assert kept(cache) == []


def test_a_fetch_that_breaks_off_leaves_nothing(dataset, cache):
    with RangeServer(dataset) as server:
        server.inject(Fault("truncate", path="samples", times=1000, at_byte=10))
        with pytest.raises(ReadError, match=r"samples\.parquet"):
            episeek.open(server.url, retry=PATIENCE)
        assert not [path for path in kept(cache) if "samples" in path]
        server.clear_faults()
        assert episeek.open(server.url, retry=PATIENCE).episode_count == 4


def test_a_damaged_copy_of_another_length_is_fetched_again(dataset, cache):
    with RangeServer(dataset) as server:
        episeek.open(server.url, retry=PATIENCE)
        for path in cache.rglob("*.parquet"):
            os.truncate(path, path.stat().st_size - 1)
        assert episeek.open(server.url, retry=PATIENCE).episode_count == 4


def test_a_cache_that_cannot_be_written(dataset, cache):
    cache.write_text("a file where the directory should be")
    with RangeServer(dataset) as server:
        assert episeek.open(server.url, retry=PATIENCE).episode_count == 4


def test_a_file_that_is_none_of_ours(dataset, cache):
    with RangeServer(dataset) as server:
        episeek.open(server.url, retry=PATIENCE)
        for folder in cache.iterdir():
            (folder / ".DS_Store").touch()
        for path in (dataset / "meta/byte_index").iterdir():
            os.utime(path, ns=(1, 1))
        assert episeek.open(server.url, retry=PATIENCE).episode_count == 4


def test_no_home_directory(dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EPISEEK_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with RangeServer(dataset) as server:
        assert episeek.open(server.url, retry=PATIENCE).episode_count == 4
    assert not (tmp_path / "~").exists()


def test_where_it_is(monkeypatch):
    assert str(local_copies.cache_directory()) == os.environ["EPISEEK_CACHE"]
    monkeypatch.delenv("EPISEEK_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert str(local_copies.cache_directory()) == "/somewhere/episeek"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert str(local_copies.cache_directory()) == "/home/me/.cache/episeek"


def test_large_tables_come_in_parts(monkeypatch, tmp_path):
    monkeypatch.setattr(local_copies, "_PART_BYTES", 1000)
    data = os.urandom(2500)
    (tmp_path / "x.parquet").write_bytes(data)
    with RangeServer(tmp_path) as server:
        copy = local_copies.local_copy(open_source(server.url, policy=PATIENCE), "x.parquet")
        assert copy is not None
        assert copy.read_bytes() == data
        assert len([e for e in server.exchanges() if e.method == "GET"]) == 3
