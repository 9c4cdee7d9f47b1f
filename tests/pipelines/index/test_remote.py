"""Indexing datasets in stores: one listing, few requests and bytes a file, many in flight, one commit of the Hub."""

import os
import pickle
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

import episeek
from episeek.errors import AccessError, ChangedFileError, DestinationError, NotADatasetError
from episeek.stores.identity import FileIdentity
from episeek_pipelines.cli import main
from episeek_pipelines.dataset.metadata import open_dataset
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.index.file_rows import index_file
from episeek_pipelines.index.units import IndexUnit, plan_index
from episeek_pipelines.jobs import index as index_job
from episeek_pipelines.jobs.graph import Execution
from episeek_pipelines.jobs.index import index
from episeek_pipelines.jobs.prepare import prepare
from episeek_pipelines.jobs.results import WorkFailedError
from episeek_pipelines.jobs.rewrite import rewrite
from episeek_pipelines.jobs.verify import verify
from episeek_pipelines.verify import plan_verification, run_check
from episeek_pipelines.verify.findings.checks import VideoCheck
from episeek_pipelines.video.decoding_starts.keyframe_choice import KeyframeChoice
from episeek_pipelines.video.episode_frames import DeclaredEpisodes
from episeek_schemas.layout import SOURCE_RECORD_PATH
from tests.pipelines.conftest import DATA, copy_dataset, digests
from tests.pipelines.remote_datasets import Datasets, files_of, http_dataset, hub_datasets, s3_datasets
from tests.servers.range_server import RangeServer
from tests.support.amount import every
from tests.support.large_video import make_large_video

FREE_BOX = b"\0\0\0\x08free"
PROBE_BYTES = 1 << 15


@pytest.fixture(scope="module")
def s3():
    with s3_datasets("index-remote") as datasets:
        yield datasets


@pytest.fixture(scope="module", params=["s3", "hub"])
def store(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with hub_datasets(tmp_path_factory.mktemp("hub")) as datasets:
        yield datasets


def rows_of(root):
    return {row["file_path"]: row for row in pq.read_table(root / "meta/byte_index/files.parquet").to_pylist()}


# --- what it costs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["av1_multifile", "h264_bframes"])
def test_requests_and_bytes_of_each_file(name, store, tmp_path):
    files = files_of(DATA / name)
    url = store.add(files)
    store.clear()
    result = index(url, output=str(tmp_path / "out")).index
    assert result is not None
    rows = rows_of(tmp_path / "out")
    assert set(rows) == {path for path in files if path.endswith(".mp4")}
    for path, row in rows.items():
        asked = store.ranges_of(path, files[path])
        fits = row["faststart"] and row["moov_offset"] + row["moov_length"] <= PROBE_BYTES
        assert 1 <= len(asked) <= (2 if fits else 3)
        assert sum(e.sent_bytes for e in asked) <= row["moov_length"] + (1 << 16)
        assert len(store.questions_about(path)) == (1 if store.kind == "hub" else 0)
        assert row["store_id"] == store.store_id(files[path])
        assert row["file_size"] == len(files[path])
    assert result.request_count == sum(len(store.ranges_of(path, files[path])) for path in rows)
    assert result.bytes_read == sum(e.sent_bytes for path in rows for e in store.ranges_of(path, files[path]))
    assert len(store.listings_of("videos")) == 1
    index(str(DATA / name), output=str(tmp_path / "local"))
    remote = episeek.open(tmp_path / "out", data_root=url)
    local = episeek.open(tmp_path / "local", data_root=DATA / name)
    for camera in local.cameras:
        assert remote.clip(1, camera).read() == local.clip(1, camera).read()


def test_all_keyframes_are_looked_at_where_that_is_wanted(s3, tmp_path):
    url = s3.add(files_of(DATA / "av1_multifile"))
    runs: list[tuple[KeyframeChoice, int]] = [("auto", 0), ("all", 380), ("auto", 380)]
    for choice, seen in runs:
        result = index(url, output=str(tmp_path), keyframes=choice).index
        assert result is not None
        assert (result.sync_samples, result.sync_samples_inspected) == (380, seen)
        assert sum(row["sync_samples_inspected"] for row in rows_of(tmp_path).values()) == seen


@pytest.mark.parametrize("is_faststart", [True, False])
def test_a_moov_that_does_not_fit_the_probe(is_faststart, tmp_path):
    made = make_large_video(tmp_path / "large.mp4", 20_000_000, is_faststart=is_faststart)
    length = np.array(made.episode_lengths)
    stop = np.cumsum(length) / 30
    declared = DeclaredEpisodes(np.arange(len(length)), length, stop - length / 30, stop)
    assert made.moov_bytes > PROBE_BYTES
    with RangeServer(tmp_path) as server:
        root = Root(server.url)
        unit = IndexUnit("large.mp4", 0, declared, identity=root.source().identity("large.mp4"))
        server.clear()
        facts, _, source, _ = index_file(root, unit, fps=30.0)
        asked = server.exchanges()
    assert [e.method for e in asked] == ["GET"] * len(asked)
    assert len(asked) == source.request_count <= (2 if is_faststart else 3)
    assert sum(e.sent_bytes for e in asked) == source.byte_count <= facts.moov_length + (1 << 16)
    assert (facts.moov_length, facts.faststart) == (made.moov_bytes, is_faststart)


def most_at_once(exchanges):
    steps = sorted([(e.started_seconds, 1) for e in exchanges] + [(e.ended_seconds, -1) for e in exchanges])
    return int(np.cumsum([step for _, step in steps]).max())


def test_many_headers_are_in_flight(store, tmp_path):
    files = files_of(DATA / "av1_multifile")
    url = store.add(files)
    index(url, output=str(tmp_path / "warm"))  # connections and clients are there
    store.clear()
    store.shape(latency_seconds=0.15)
    try:
        index(url, output=str(tmp_path / "out"))
    finally:
        store.shape(latency_seconds=0.0)
    asked = [e for path in files if path.endswith(".mp4") for e in store.ranges_of(path, files[path])]
    assert len(asked) >= 12
    assert 8 <= most_at_once(asked) <= 16
    assert digests(tmp_path / "out") == digests(tmp_path / "warm")


def test_verification_has_many_headers_in_flight(s3):
    files = files_of(DATA / "av1_multifile")
    plan = plan_verification(Root(s3.add(files)))
    (check,) = [check for check in plan.checks if isinstance(check, VideoCheck)]
    s3.clear()
    s3.shape(latency_seconds=0.15)
    try:
        result = run_check(plan.require_context(), check)
    finally:
        s3.shape(latency_seconds=0.0)
    assert (result.files_read, {found.severity for found in result.findings}) == (12, {"warning"})
    asked = [e for path in files if path.endswith(".mp4") for e in s3.ranges_of(path, files[path])]
    assert 8 <= most_at_once(asked) <= 16


# --- a web server -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    with http_dataset(DATA / "hevc", tmp_path_factory.mktemp("web")) as server:
        yield server


@pytest.mark.parametrize("scheduler", every(["sync", "threads", "processes", "tcp"], 3))
def test_the_same_bytes_on_every_scheduler(scheduler, web, tmp_path, request):
    address = request.getfixturevalue("cluster") if scheduler == "tcp" else scheduler
    seen: list[int] = []
    execution = Execution(address, workers=2, progress=lambda _: lambda phase, count, size: seen.append(count))
    result = index(web.url, output=str(tmp_path / "out"), execution=execution)
    assert result.index is not None
    assert result.index.files == 2
    assert sum(seen) == 2
    index(web.url, output=str(tmp_path / "reference"), execution=Execution("sync"))
    assert digests(tmp_path / "out") == digests(tmp_path / "reference")


def test_pages_that_say_no_sizes_cost_one_question_a_file(web, tmp_path):
    web.clear()
    index(web.url, output=str(tmp_path / "out"), execution=Execution("sync"))
    for path, row in rows_of(tmp_path / "out").items():
        asked = [e for e in web.exchanges() if e.path.endswith(path)]
        assert [e.method for e in asked].count("HEAD") == 1
        assert [e.method for e in asked].count("GET") <= 3
        assert row["store_id"].startswith("etag:")


# --- what changes meanwhile ---------------------------------------------------------------------------------------------------


CHANGES = {
    "longer": lambda old: old + FREE_BOX,
    "other": lambda old: old[:-1] + b"!",
    "shorter": lambda old: old[:1000],
    "empty": lambda old: b"",
}


@pytest.mark.parametrize(
    ("kind", "change"),
    [(kind, change) for kind in ("s3", "local") for change in CHANGES if (kind, change) != ("s3", "shorter")],
)  # of S3, a shorter one is waited for: its ranges are tried again
def test_a_file_that_is_replaced_after_the_listing_is_named(kind, change, tmp_path, request):
    path = "videos/observation.images.top/chunk-000/file-000.mp4"
    content = (DATA / "hevc" / path).read_bytes()
    if kind == "local":
        root = str(copy_dataset("hevc", tmp_path / "source"))
        units = plan_index(open_dataset(root), Root(root))
        (tmp_path / "new").write_bytes(CHANGES[change](content))
        os.replace(tmp_path / "new", f"{root}/{path}")
    else:
        datasets = request.getfixturevalue("s3")
        root = datasets.add(files_of(DATA / "hevc"))
        units = plan_index(open_dataset(root), Root(root))
        datasets.change(root, {path: CHANGES[change](content)})
    with pytest.raises(ChangedFileError, match=path):
        index_file(Root(root), units[0], fps=30.0)


def test_a_repository_is_read_at_one_commit(hub, tmp_path, monkeypatch):
    files = files_of(DATA / "hevc")
    url = hub.add(files)
    revision = hub.hub.head(url.removeprefix("hf://datasets/"))
    index(url, output=str(tmp_path / "before"))

    def plan_and_move(*arguments, **options):
        units = plan_index(*arguments, **options)
        moved = {path: content + FREE_BOX for path, content in files.items() if path.endswith(".mp4")}
        hub.change(url, moved, delete=("meta/info.json",))
        return units

    monkeypatch.setattr(index_job, "plan_index", plan_and_move)
    hub.clear()
    index(url, output=str(tmp_path / "during"))
    assert digests(tmp_path / "during") == digests(tmp_path / "before")
    assert len([e for e in hub.exchanges() if "expand=sha" in e.query]) == 1
    asked = [e for e in hub.exchanges() if "/resolve/" in e.path or "/tree/" in e.path]
    assert asked
    assert all(revision in e.path for e in asked)


def test_prepare_and_verify_from_a_repository(hub, tmp_path):
    url = hub.add(files_of(DATA / "hevc"))
    result = prepare(url, str(tmp_path / "out"))
    assert result.verification is not None
    assert result.verification.error_count == 0
    assert verify(str(tmp_path / "out"), data_root=url).error_count == 0
    local = index(str(DATA / "hevc"), output=str(tmp_path / "local")).index
    assert local is not None
    assert {path: row["moov_sha256"] for path, row in rows_of(tmp_path / "out").items()} == {
        path: row["moov_sha256"] for path, row in rows_of(tmp_path / "local").items()
    }


def test_an_unfinished_run_goes_on_when_the_branch_has_moved(hub, tmp_path):
    files = files_of(DATA / "hevc")
    broken = "videos/observation.images.wrist/chunk-000/file-000.mp4"
    url = hub.add({**files, broken: files[broken][:9000]})
    with pytest.raises(WorkFailedError, match=broken):
        prepare(url, str(tmp_path / "out"))
    hub.change(url, {broken: files[broken]})
    result = prepare(url, str(tmp_path / "out"))
    assert result.is_resumed
    assert result.index is not None
    assert result.index.reused_files == 1
    prepare(hub.add(files), str(tmp_path / "other"))
    for name in ("out", "other"):
        (tmp_path / name / SOURCE_RECORD_PATH).unlink()  # of another repository
    assert digests(tmp_path / "out") == digests(tmp_path / "other")


def test_repositories_are_no_destinations(hub, tmp_path):
    url = hub.add(files_of(DATA / "hevc"))
    hub.clear()
    source = str(DATA / "hevc")
    for work in (
        lambda: index(url),
        lambda: index(source, output=f"{url}@main"),
        lambda: prepare(source, f"{url}-prepared"),
        lambda: rewrite(url, "hf://datasets/acme/other"),
    ):
        with pytest.raises(DestinationError, match="and then run `episeek publish`"):
            work()
    assert hub.exchanges() == []


def test_the_command_line_refuses_to_write_to_a_repository(hub, capsys):
    assert main.main(["index", hub.add(files_of(DATA / "hevc"))]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert "write with --output DIR, and then run `episeek publish`" in captured.err


def test_a_revision_or_repository_that_is_not_there(hub, tmp_path):
    url = hub.add(files_of(DATA / "hevc"))
    with pytest.raises(NotADatasetError, match=f"{url}@nothing: found no such repository or revision"):
        index(f"{url}@nothing", output=str(tmp_path / "out"))
    with pytest.raises(AccessError, match="hf://datasets/acme/nothing"):  # the Hub tells it only to those with a token
        index("hf://datasets/acme/nothing", output=str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


# --- listings -------------------------------------------------------------------------------------------------------------------


def test_listings_say_what_sources_say(store: Datasets):
    files = files_of(DATA / "hevc")
    url = store.add(files)
    root = Root(url).pinned()
    listed = root.files("videos")
    assert list(listed) == sorted(path for path in files if path.startswith("videos/")) == root.list("videos")
    for path, known in listed.items():
        assert known is not None
        asked = root.source().identity(path)
        assert known.size == asked.size == len(files[path])
        assert asked.is_content(known.store_id) is True
    assert root.files("nothing") == {}


def test_listings_are_of_now(store: Datasets):
    url = store.add({"a/1.mp4": b"1" * 2000, "a/b/2.mp4": b"2" * 2000})
    assert list(Root(url).pinned().files("a")) == ["a/1.mp4", "a/b/2.mp4"]
    store.change(url, {"a/1.mp4": b"3" * 3000, "a/b/3.mp4": b"3" * 2000}, delete=("a/b/2.mp4",))
    found = Root(url).pinned().files("a")
    assert list(found) == ["a/1.mp4", "a/b/3.mp4"]
    assert found["a/1.mp4"] is not None
    assert found["a/1.mp4"].store_id == store.store_id(b"3" * 3000)


def test_identities_that_ranges_do_not_have_are_not_taken(monkeypatch):
    """Google's listings have the ETags of another API than its ranges."""
    monkeypatch.setattr(Root, "_listed", lambda *_: {"a.mp4": {"size": 5, "etag": "CIAB"}, "b.mp4": {"size": None}})
    assert Root("gs://bucket/ds").files() == {"a.mp4": FileIdentity(5), "b.mp4": None}
    assert Root("s3://bucket/ds").files() == {"a.mp4": FileIdentity(5, ("etag:CIAB",)), "b.mp4": None}


def test_local_listings(tmp_path):
    shutil.copytree(DATA / "hevc", tmp_path / "hevc")
    (tmp_path / "hevc/videos/broken.mp4").symlink_to(tmp_path / "nowhere")
    root = Root(str(tmp_path / "hevc"))
    listed = root.files("videos")
    assert [*listed, "videos/broken.mp4"] == sorted(root.list("videos"), key=lambda path: "broken" in path)
    for path, known in listed.items():
        assert known == root.source().identity(path)
    assert root.pinned() == root
    assert pickle.loads(pickle.dumps(root)) == root
