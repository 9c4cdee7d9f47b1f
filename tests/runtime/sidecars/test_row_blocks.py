"""Large tables of a store: their rows come in blocks when they are needed, all of one version, and are kept on this machine."""

import multiprocessing
import os
import pickle
import shutil
import signal
import threading

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest

import episeek
from episeek.errors import ChangedFileError, MissingFileError, ReadError, SidecarLayoutError, SidecarLayoutWarning
from episeek.sidecars import remote_file, row_blocks
from episeek.sidecars.remote_file import RemoteFile, open_remote_file
from episeek.stores.open_source import open_source
from episeek_schemas import layout, sidecars
from tests.servers.faults import Fault
from tests.servers.range_server import RangeServer
from tests.support.amount import each_choice, first
from tests.support.build_index import CAMERAS, DATA, build_index
from tests.support.served_file import PATIENCE, SOURCES, serve

NAME = "hevc"
TABLES = ("samples", "keyframes")
BLOCK_ROWS = 32
ROW_GROUPS = (BLOCK_ROWS, 1 << 20)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Tables of some hundred rows are large here."""
    monkeypatch.setattr(remote_file, "TAIL_BYTES", 64)
    monkeypatch.setattr(row_blocks, "ROW_GROUP_ROWS", BLOCK_ROWS)
    monkeypatch.setenv("EPISEEK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Datasets by the number of rows of a row group: those of a block, and those of several blocks."""
    folder = tmp_path_factory.mktemp("datasets")
    datasets = {rows: shutil.copytree(DATA / NAME, folder / str(rows)) for rows in ROW_GROUPS}
    for rows, root in datasets.items():
        build_index(root, folder / "work", root, max_row_group_rows=rows)
    return datasets


@pytest.fixture(params=[BLOCK_ROWS])
def dataset(request, prepared, tmp_path):
    return shutil.copytree(prepared[request.param], tmp_path / "dataset")


both_layouts = pytest.mark.parametrize(
    "dataset", [pytest.param(rows, id=f"{rows} rows") for rows in ROW_GROUPS], indirect=True
)


def open_served(server, **options):
    return episeek.open(server.url, retry=PATIENCE, verify="size", **options)


def rows_of(index, name):
    table = index.table(name)
    return {key: column.slice(0, table.row_count).tolist() for key, column in table.columns.items()}


def expected_rows(dataset, name):
    return pq.read_table(dataset / f"meta/byte_index/{name}.parquet").to_pydict()


def requests_of(server, name):
    return [exchange for exchange in server.exchanges() if name in exchange.path]


def touch(dataset):
    """Give all tables another ETag."""
    for path in (dataset / "meta/byte_index").iterdir():
        os.utime(path, ns=(1, 1))


def write_other_build(dataset, *, same_size):
    """Replace `samples` by that of another build."""
    path = dataset / layout.SAMPLES_PATH
    data = path.read_bytes()
    build = pq.read_metadata(path).metadata[b"episeek:build_id"]
    changed = data.replace(build, bytes(reversed(build)))
    assert changed != data
    path.write_bytes(changed if same_size else changed[:4] + b"\0" * 8 + changed[4:])


# --- the same rows ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "rows"), each_choice(SOURCES, ROW_GROUPS))
def test_every_kind_of_store(prepared, tmp_path, name, rows):
    dataset = prepared[rows]
    files = {path.relative_to(dataset).as_posix(): path for path in dataset.rglob("*") if path.is_file()}
    local = episeek.open(dataset)
    (tmp_path / "served").mkdir()
    with serve(name, files, tmp_path / "served") as served:
        index = episeek.open(
            served.url,
            verify="size",
            storage_options=served.storage_options,
            retry=PATIENCE,
            transport=served.transport,
        )
        assert index.table("samples").load is not None
        for camera in local.cameras:
            for episode in range(local.episode_count):
                assert index.clip(episode, camera, 1, 3).read() == local.clip(episode, camera, 1, 3).read()
                found, expected = index.keyframes(episode, camera), local.keyframes(episode, camera)
                assert np.array_equal(found.pts, expected.pts)
        for table in TABLES:
            assert rows_of(index, table) == expected_rows(dataset, table)


@both_layouts
def test_single_rows_and_slices(dataset):
    with RangeServer(dataset) as server:
        for name in TABLES:
            expected = expected_rows(dataset, name)
            count = len(expected["pts"])
            for row in (0, BLOCK_ROWS - 1, BLOCK_ROWS, count - 1):
                index = open_served(server)
                for key, column in index.table(name).columns.items():
                    assert column.value(row) == expected[key][row]
            for start, stop in ((0, 1), (BLOCK_ROWS - 1, BLOCK_ROWS + 1), (count - 1, count), (5, 5)):
                index = open_served(server)
                for key, column in index.table(name).columns.items():
                    assert column.slice(start, stop).tolist() == expected[key][start:stop]
            with pytest.raises(IndexError, match="rows"):
                index.table(name).fetch([(0, count + 1)])


@both_layouts
def test_many_clips_fetch_their_rows_together(dataset):
    requests = [(episode, camera) for episode in (0, 3) for camera in CAMERAS]
    local = episeek.open(dataset).read_clips(requests)
    starts = [episeek.open(dataset).lookup(*request).sample_start // BLOCK_ROWS for request in requests]
    with RangeServer(dataset) as server:
        index = open_served(server)
        server.clear()
        assert index.read_clips(requests) == local
        # they lie near each other: a request for all
        assert len(set(starts)) > 1
        assert len(requests_of(server, "samples")) == 1
        assert not requests_of(server, "keyframes")
        server.clear()
        index.clips(requests)
        assert not server.exchanges()


# --- kept on this machine --------------------------------------------------------------------------------------------------------


def test_rows_are_fetched_once_a_machine(dataset, cache):
    with RangeServer(dataset) as server:
        first = rows_of(open_served(server), "samples")
        server.clear()
        again = open_served(server)
        assert rows_of(again, "samples") == first
        assert {(e.method, e.sent_bytes) for e in requests_of(server, "samples")} == {("HEAD", 0)}
        server.clear()
        assert pickle.loads(pickle.dumps(again)).table("samples").columns["pts"].value(0) == first["pts"][0]
        assert {e.method for e in server.exchanges()} == {"HEAD"}
        touch(dataset)
        assert rows_of(open_served(server), "samples") == first
        assert len({path.parent for path in cache.rglob("samples.parquet.*")}) == 1


@pytest.mark.parametrize("damage", ["truncated", "zeros", "removed", "tail"])
def test_a_damaged_part_is_fetched_again(dataset, cache, damage):
    expected = expected_rows(dataset, "samples")
    with RangeServer(dataset) as server:
        rows_of(open_served(server), "samples")
        for path in cache.rglob("samples.parquet.tail" if damage == "tail" else "samples.parquet.rows*"):
            if damage == "removed":
                path.unlink()
            else:
                path.write_bytes(b"\0" * (path.stat().st_size - (damage == "truncated")))
        assert rows_of(open_served(server), "samples") == expected


def test_where_nothing_can_be_kept(dataset, cache):
    cache.write_text("a file where the directory should be")
    with RangeServer(dataset) as server:
        index = open_served(server)
        assert rows_of(index, "samples") == expected_rows(dataset, "samples")


def test_a_disk_that_fills(dataset, cache, monkeypatch):
    with RangeServer(dataset) as server:
        index = open_served(server)
        monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        assert rows_of(index, "samples") == expected_rows(dataset, "samples")
    assert not list(cache.rglob("samples.parquet.rows*")) + list(cache.rglob(".samples*"))


# --- one version of a table ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("etag", [True, False])
@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
@pytest.mark.parametrize("same_size", [True, False])
def test_a_table_that_was_replaced_is_refused(dataset, etag, transport, same_size):
    expected = expected_rows(dataset, "samples")
    with RangeServer(dataset, etag=etag) as server:
        index = open_served(server, transport=transport)
        column = index.table("samples").columns["byte_size"]
        before = column.slice(0, 1).tolist()
        write_other_build(dataset, same_size=same_size)
        with pytest.raises(ReadError, match=r"samples\.parquet"):
            column.value(len(column) - 1)
        with pytest.raises(ReadError, match=r"samples\.parquet"):
            column.value(len(column) - 1)
        assert column.slice(0, 1).tolist() == before == expected["byte_size"][:1]


def test_a_forked_process_refuses_it_too(dataset):
    with RangeServer(dataset) as server:
        index = open_served(server, transport="fsspec")
        write_other_build(dataset, same_size=True)
        context = multiprocessing.get_context("fork")
        results = context.SimpleQueue()
        child = context.Process(target=lambda: results.put(_raised(lambda: rows_of(index, "samples"))))
        child.start()
        assert results.get() is ChangedFileError
        child.join()


def _raised(call):
    try:
        call()
    except Exception as error:
        return type(error)
    return None


def test_a_store_whose_answers_have_no_identity(dataset):
    store = fsspec.filesystem("memory")
    store.put(dataset.as_posix(), "/row-blocks", recursive=True)
    try:
        index = episeek.open("memory://row-blocks", retry=PATIENCE, verify="size")
        column = index.table("samples").columns["byte_size"]
        assert column.value(0) == expected_rows(dataset, "samples")["byte_size"][0]
        write_other_build(dataset, same_size=True)
        store.pipe(f"/row-blocks/{layout.SAMPLES_PATH}", (dataset / layout.SAMPLES_PATH).read_bytes())
        with pytest.raises(ChangedFileError, match=r"samples\.parquet: found another footer"):
            column.value(len(column) - 1)
    finally:
        store.rm("/row-blocks", recursive=True)


def test_a_process_that_is_killed_while_it_keeps_rows(dataset, cache):
    with RangeServer(dataset) as server:
        index = open_served(server, transport="fsspec")
        child = multiprocessing.get_context("fork").Process(target=_read_and_die, args=(index,))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        assert len([path for path in cache.rglob(".samples*") if path.stat().st_size]) == 1
        assert rows_of(open_served(server), "samples") == expected_rows(dataset, "samples")


def _read_and_die(index):
    os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    rows_of(index, "samples")


@pytest.mark.parametrize("method", first(["fork", "spawn"]))
def test_processes(dataset, method, monkeypatch):
    expected = expected_rows(dataset, "samples")["pts"]
    with RangeServer(dataset) as server:
        index = open_served(server)
        index.table("samples").columns["pts"].value(0)
        context = multiprocessing.get_context(method)
        with context.Pool(2) as pool:
            assert pool.map(_pts, [index] * 4) == [expected] * 4


def _pts(index):
    return rows_of(index, "samples")["pts"]


@both_layouts
def test_threads_share_requests(dataset):
    expected = expected_rows(dataset, "samples")
    with RangeServer(dataset, latency_seconds=0.005) as server:
        index = open_served(server)
        server.clear()
        found = []
        threads = [threading.Thread(target=lambda: found.append(rows_of(index, "samples"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [expected] * 8
        sent = sum(exchange.sent_bytes for exchange in requests_of(server, "samples"))
        assert sent <= (dataset / layout.SAMPLES_PATH).stat().st_size


# --- failures --------------------------------------------------------------------------------------------------------------------


def test_rows_that_do_not_come(dataset, cache):
    with RangeServer(dataset) as server:
        index = open_served(server)
        server.inject(Fault("truncate", path="samples", times=1000, at_byte=3))
        with pytest.raises(ReadError, match=r"samples\.parquet"):
            index.clip(0, CAMERAS[0])
        assert not list(cache.rglob("samples.parquet.rows*"))
        server.clear_faults()
        assert index.clip(0, CAMERAS[0]).read() == episeek.open(dataset).clip(0, CAMERAS[0]).read()


@pytest.mark.parametrize("options", [{"compression": "snappy"}, {"data_page_size": 64, "write_batch_size": 16}])
def test_a_rewritten_table_is_fetched_whole(dataset, options):
    path = dataset / layout.SAMPLES_PATH
    plain = {"compression": "none", "use_dictionary": False, "data_page_size": 1 << 30}
    pq.write_table(pq.read_table(path), path, **(plain | options))
    with RangeServer(dataset) as server, pytest.warns(SidecarLayoutWarning, match="column 'byte_offset'"):
        assert rows_of(open_served(server), "samples") == expected_rows(dataset, "samples")


@pytest.mark.parametrize("damage", ["no magic", "a footer longer than the file", "a broken footer"])
def test_a_table_without_a_footer_is_refused(dataset, damage, cache):
    path = dataset / layout.SAMPLES_PATH
    data = bytearray(path.read_bytes())
    if damage == "no magic":
        data[-1] ^= 1
    elif damage == "a broken footer":
        data[-600:-8] = b"\xff" * 592
    else:
        data[-8:-4] = b"\xff\xff\xff\x7f"
    path.write_bytes(data)
    with RangeServer(dataset) as server, pytest.raises(SidecarLayoutError, match=r"samples\.parquet: found"):
        open_served(server)


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
def test_the_end_of_a_file(tmp_path, transport):
    data = bytes(range(256))
    for name, content in (("file", data), ("empty", b"")):
        (tmp_path / name).write_bytes(content)
    with RangeServer(tmp_path) as server:
        for count in (1, 100, 256, 1000):
            source = open_source(server.url, policy=PATIENCE, transport=transport)
            server.clear()
            assert source.get_tail("file", count) == data[-count:]
            assert source.identity("file").size == len(data)
            assert [exchange.method for exchange in server.exchanges()] == ["GET"]
            assert source.get_tail("file", 3) == data[-3:]
            assert source.get_tail("empty", count) == b""
            assert source.get_tail("file", 0) == b""
        with pytest.raises(MissingFileError, match="missing"):
            source.get_tail("missing", 1)
        server.inject(Fault("truncate", path="file", times=1, at_byte=5))
        fresh = open_source(server.url, policy=PATIENCE, transport=transport)
        assert fresh.get_tail("file", 100) == data[-100:]
        assert fresh.transfers().retry_count == 1
        (tmp_path / "file").write_bytes(data * 2)
        with pytest.raises(ReadError, match="file"):
            source.get_tail("file", 100)


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
@pytest.mark.parametrize("kind", ["ignore_range", "wrong_range", "status"])
def test_a_store_without_suffix_ranges(dataset, kind, transport):
    path = layout.SAMPLES_PATH
    with RangeServer(dataset) as server:
        server.inject(Fault(kind, path="samples", times=1, status=501))
        source = open_source(server.url, policy=PATIENCE, transport=transport)
        file = open_remote_file(source, path, whole=False)
        assert isinstance(file, RemoteFile)
        assert (dataset / path).read_bytes().endswith(file.tail)
        assert file.footer.num_rows == len(expected_rows(dataset, "samples")["pts"])


def test_format_has_the_rows_of_a_group():
    assert sidecars.ROW_GROUP_ROWS % 8 == 0, "a block of bits begins with a byte"
    assert sidecars.ROW_GROUP_ROWS <= sidecars.MAX_ROW_GROUP_ROWS
