"""A file that is not the indexed one is refused. Where identities cannot be compared, its header is compared."""

import os
import shutil
from dataclasses import replace

import pytest

import episeek
from episeek.errors import ChangedFileError, CorruptBytesError, EpiseekError
from episeek.stores.requests.retry import RetryPolicy
from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.fragments import index_to_fragment
from episeek_pipelines.index.merge import write_sidecars
from episeek_pipelines.index.units import plan_index
from tests.servers.faults import Fault
from tests.servers.range_server import RangeServer
from tests.support.build_index import CAMERAS, DATA, build_index
from tests.support.remux import remux

CAMERA = CAMERAS[0]
PATIENCE = RetryPolicy(max_attempts=3, max_seconds=5, first_wait_seconds=0.01, connect_seconds=1, stall_seconds=1)
FILE = f"videos/{CAMERA}/chunk-000/file-000.mp4"


def build_remote_index(url, dataset_root, work, destination):
    """Write sidecars with the identities that the store at `url` gives."""
    dataset = open_dataset(str(dataset_root))
    fragments = [
        index_to_fragment(
            Root(url), Root(str(work)), f"{number}.npz", replace(unit, identity=None), fps=dataset.info.fps
        )
        for number, unit in enumerate(plan_index(dataset, dataset.root))
    ]
    counts = {"episode_count": len(dataset.episodes), "frame_count": dataset.info.total_frames}
    write_sidecars(Root(str(work)), fragments, Root(str(destination)), dataset.info, **counts)


def open_at(sidecars, url, **options):
    return episeek.open(sidecars, data_root=url, retry=PATIENCE, **options)


@pytest.fixture
def dataset(tmp_path):
    return shutil.copytree(DATA / "hevc", tmp_path / "dataset")


@pytest.fixture
def expected(indexes):
    return indexes["hevc"].clip(1, CAMERA, 3, 9).read()


@pytest.fixture(params=["obstore", "fsspec"])
def remote(request, dataset, tmp_path):
    """A server, and an index with the identities that the server gives."""
    with RangeServer(dataset) as server:
        build_remote_index(server.url, dataset, tmp_path / "work", tmp_path / "sidecars")
        server.clear()
        yield server, open_at(tmp_path / "sidecars", server.url, transport=request.param)


def read(index):
    return index.clip(1, CAMERA, 3, 9).read()


def flip(path, offset):
    """Replace a file with other contents of the same length."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def moov_offset(index):
    return index.file(index.lookup(1, CAMERA).file_id).moov_offset


def media_offset(index):
    return index.clip(1, CAMERA, 3, 9).byte_range[0]


# --- where the store has an identity --------------------------------------------------------------------------------------


def test_the_same_file_costs_nothing_more(remote, expected):
    server, index = remote
    assert [read(index) for _ in range(3)] == [expected] * 3
    assert [(e.method, e.status) for e in server.exchanges()] == [("GET", 206)] * 3


@pytest.mark.parametrize("place", [moov_offset, media_offset])
def test_another_file_of_the_same_size(remote, dataset, place):
    _server, index = remote
    flip(dataset / FILE, place(index))
    with pytest.raises(ChangedFileError, match=f"{FILE}: found etag:.*; expected etag:.*, as when it was indexed"):
        read(index)
    with pytest.raises(ChangedFileError, match=FILE):
        index.read_clips([(1, CAMERA, 3, 9)])
    with pytest.raises(ChangedFileError, match=FILE), episeek.ClipCache(index) as cache:
        cache.get(1, CAMERA, 3, 9)


@pytest.mark.parametrize("change", [-1, 1])
def test_another_size(remote, dataset, change):
    _, index = remote
    size = os.path.getsize(dataset / FILE)
    os.truncate(dataset / FILE, size + change)
    with pytest.raises(ChangedFileError, match=f"{FILE}: found {size + change} bytes; expected {size} bytes, as when"):
        read(index)


def test_a_file_that_is_replaced_while_it_is_read(remote, dataset, expected):
    _, index = remote
    assert read(index) == expected
    flip(dataset / FILE, media_offset(index))
    with pytest.raises(ChangedFileError, match=FILE):
        read(index)


def test_a_copy_in_another_store_is_refused_or_looked_into(dataset, tmp_path, remote, expected):
    copy = shutil.copytree(dataset, tmp_path / "copy", copy_function=shutil.copyfile)  # other times: other ETags
    sidecars = tmp_path / "sidecars"
    with RangeServer(copy) as server:
        with pytest.raises(ChangedFileError, match="verify='moov'"):
            read(open_at(sidecars, server.url))
        index = open_at(sidecars, server.url, verify="moov")
        server.clear()
        assert [read(index), read(index)] == [expected] * 2
        assert [e.status for e in server.exchanges()] == [206] * 3  # the header once
        assert read(open_at(sidecars, server.url, verify="size")) == expected
        flip(copy / FILE, moov_offset(index) + 40)
        with pytest.raises(ChangedFileError, match="a header with the digest"):
            read(open_at(sidecars, server.url, verify="moov"))
        read(open_at(sidecars, server.url, verify="size"))


# --- where it has none ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("etag", [True, False])
def test_sidecars_without_identities_look_into_each_file_once(dataset, sidecar_roots, expected, etag):
    with RangeServer(dataset, etag=etag) as server:
        index = open_at(sidecar_roots["hevc"], server.url)
        assert [read(index) for _ in range(3)] == [expected] * 3
        first, header, *others = server.exchanges()
        record = index.file(index.lookup(1, CAMERA).file_id)
        assert (first.sent_bytes, header.sent_bytes, len(others)) == (others[0].sent_bytes, record.moov_length, 2)
        assert all(e.method == "GET" for e in server.exchanges())


@pytest.mark.parametrize("is_local", [True, False])
def test_another_header_of_the_same_size(dataset, sidecar_roots, is_local):
    with RangeServer(dataset, etag=False) as server:
        index = open_at(sidecar_roots["hevc"], dataset if is_local else server.url)
        flip(dataset / FILE, moov_offset(index) + 40)
        with pytest.raises(ChangedFileError, match="a header with the digest"):
            read(index)


def test_a_local_file_that_is_replaced_while_it_is_read(dataset, sidecar_roots, expected, tmp_path):
    index = open_at(sidecar_roots["hevc"], dataset)
    assert read(index) == expected
    other = tmp_path / "other.mp4"
    shutil.copyfile(dataset / FILE, other)
    flip(other, moov_offset(index) + 40)
    os.replace(other, dataset / FILE)
    with pytest.raises(ChangedFileError, match="a header with the digest"):
        read(index)


def test_a_local_file_that_was_touched_is_looked_into_again(dataset, sidecar_roots, expected):
    index = open_at(sidecar_roots["hevc"], dataset)
    assert read(index) == expected
    os.utime(dataset / FILE, ns=(1, 1))
    assert read(index) == expected


def test_a_file_that_is_no_mp4_any_more(dataset, sidecar_roots):
    size = os.path.getsize(dataset / FILE)
    (dataset / FILE).write_bytes(bytes(size))
    with pytest.raises(ChangedFileError, match=FILE):
        read(open_at(sidecar_roots["hevc"], dataset))


@pytest.mark.parametrize("container", ["fragmented", "matroska"])
def test_other_containers(tmp_path, container, expected):
    dataset = shutil.copytree(DATA / "hevc", tmp_path / "dataset")
    for path in dataset.rglob("*.mp4"):
        remux(path, container)
    build_index(dataset, tmp_path / "work", tmp_path / "sidecars")
    index = open_at(tmp_path / "sidecars", dataset)
    assert index.file(0).container == container
    before = read(index)
    assert read(index) == before
    path = next(path for path in dataset.rglob("*.mp4") if CAMERA in str(path))
    if container == "fragmented":
        flip(path, path.read_bytes().rindex(b"moof") + 24)
        with pytest.raises(ChangedFileError, match=path.name):
            read(index)
    os.truncate(path, path.stat().st_size + 1)
    with pytest.raises(ChangedFileError, match=path.name):
        read(index)


# --- bytes ----------------------------------------------------------------------------------------------------------------


def test_bytes_that_are_read_twice(dataset, tmp_path, expected):
    with RangeServer(dataset) as server:
        build_remote_index(server.url, dataset, tmp_path / "work", tmp_path / "sidecars")
        index = open_at(tmp_path / "sidecars", server.url, verify="bytes")
        server.clear()
        assert read(index) == expected
        assert len(server.exchanges()) == 2
        server.inject(Fault("corrupt", at_byte=77))
        with pytest.raises(CorruptBytesError, match=rf"{FILE}, bytes \[\d+, \d+\): found two reads that differ"):
            read(index)
        assert read(index) == expected


def test_modes_that_do_not_exist(sidecar_roots):
    with pytest.raises(ValueError, match="verify: found 'all'"):
        episeek.open(sidecar_roots["hevc"], verify="all")  # type: ignore[arg-type]  # refused
    with pytest.raises(ValueError, match="transport: found 'ftp'"):
        episeek.open(sidecar_roots["hevc"], data_root=DATA / "hevc", transport="ftp")  # type: ignore[arg-type]  # refused


def test_every_error_of_a_file_says_which(remote, dataset):
    _, index = remote
    (dataset / FILE).unlink()
    with pytest.raises(EpiseekError, match=FILE):
        read(index)
