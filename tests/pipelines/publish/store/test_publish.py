"""Publishing into stores as a whole: the files sent, the files there afterwards, and refusals."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import episeek
from episeek.errors import AccessError, DestinationError
from episeek_pipelines.jobs.index import index
from episeek_pipelines.jobs.prepare import prepare
from episeek_pipelines.publish.errors import ConflictError, RefusedPublicationError
from episeek_pipelines.publish.overlay.files import SIDECAR_PATHS
from episeek_pipelines.publish.overlay.target_check import TargetMismatchError
from episeek_pipelines.publish.store import contents
from episeek_pipelines.publish.store.options import StoreOptions
from episeek_pipelines.publish.store.publish import publish_to_store
from episeek_pipelines.publish.store.writers.open_writer import is_store
from episeek_schemas import layout
from tests.pipelines.conftest import DATA, copy_dataset
from tests.pipelines.publish.overlays import change_one_data_file, prepared
from tests.pipelines.remote_datasets import files_of
from tests.servers.faults import Fault
from tests.support.publish_s3 import OVERWRITE, QUICK, STAGED, UNVERIFIED

NAME = "hevc"
DATA_PATH = "data/chunk-000/file-000.parquet"
VIDEO_PATH = "videos/observation.images.top/chunk-000/file-000.mp4"
CREATE = replace(UNVERIFIED, create=True)


def overlay_of(source, folder):
    prepare(str(source), str(folder))
    return str(folder)


def publish(overlay, url, *, options=UNVERIFIED, source=NAME):
    data_root = None if source is None else str(DATA / source)
    return publish_to_store(overlay, url, data_root=data_root, options=options, retry=QUICK)


# --- what travels ---------------------------------------------------------------------------------------------------------


def test_publish_again_and_after_a_change(s3, tmp_path):
    name = "edited"
    url, overlay = s3.start(files_of(DATA / name)), prepared(name).url
    first = s3.publish(overlay, url, source=name, options=StoreOptions(clip_count=6))
    assert first.is_new
    assert not first.is_resumed
    assert first.verification is not None
    assert first.verification.error_count == 0
    assert (first.arrival.file_count, first.arrival.compared_clips) == (len(first.changes.additions), 6)
    assert first.sent_bytes == first.changes.byte_count
    assert not [exchange for exchange in s3.sent() if ".mp4" in exchange.path]
    sent_bytes = sum(exchange.received_bytes for exchange in s3.sent() if f"{STAGED}publication" not in exchange.path)
    assert sent_bytes == first.sent_bytes
    there = s3.files(url)
    assert not any(path.startswith(STAGED) for path in there)
    assert all(
        there[a.path] == Path(a.source).read_bytes() for a in first.changes.additions if a.path.startswith("data/")
    )

    s3.proxy.clear()
    again = s3.publish(overlay, url, source=name)
    assert (again.is_new, again.sent_count) == (False, 0)
    assert s3.changing() == []

    source = copy_dataset(name, tmp_path / "source")
    change_one_data_file(source)
    s3.proxy.clear()
    third = s3.publish(overlay_of(source, tmp_path / "overlay"), url, source=name)
    (addition,) = third.changes.additions
    assert (addition.path, third.changes.deletions) == (DATA_PATH, ())
    sent = [exchange for exchange in s3.sent() if exchange.received_bytes]
    assert [e.received_bytes for e in sent if "publication.json" not in e.path] == [addition.size] == [third.sent_bytes]


@pytest.mark.parametrize("kind", ["s3", "bucket", "file"])
def test_sidecars_are_those_that_indexing_the_store_writes(kind, s3, bucket, tmp_path):
    files = files_of(DATA / NAME)
    if kind == "file":
        shutil.copytree(DATA / NAME, tmp_path / "there")
        url = f"file://{tmp_path}/there"
    else:
        url = (s3 if kind == "s3" else bucket).start(files)
    result = publish(prepared(NAME).url, url)
    assert result.is_new
    assert result.arrival.problems == ()
    index(url, output=str(tmp_path / "indexed"), keyframes="all")  # as from this machine
    for path in SIDECAR_PATHS:
        with fsspec.open(f"{url}/{path}", "rb") as stream:
            assert stream.read() == (tmp_path / "indexed" / path).read_bytes()
    assert not publish(prepared(NAME).url, url).is_new


def test_a_new_dataset_with_its_videos(s3):
    url, overlay = s3.empty(), prepared(NAME, "copy").url
    with pytest.raises(DestinationError, match=r"no files; expected a dataset; hint: .*--create"):
        publish(overlay, url, source=None)
    dry = publish(overlay, url, source=None, options=replace(CREATE, dry_run=True))
    assert s3.changing() == []
    result = publish(overlay, url, source=None, options=CREATE)
    assert [a.path for a in dry.changes.additions] == [a.path for a in result.changes.additions]
    assert (result.arrival.compared_clips, result.arrival.problems) == (2, ())
    assert not result.moves_rows
    there = s3.files(url)
    assert {path: there[path] for path in there if path.endswith(".mp4")} == {
        path: content for path, content in files_of(DATA / NAME).items() if path.endswith(".mp4")
    }
    named = [exchange.path.partition("/empty")[2].partition("/")[2] for exchange in s3.sent()]
    switched = [path for path in named if not path.startswith(STAGED)]
    assert [path for path in switched if path.endswith(".mp4")] == switched[:2]
    assert switched[-1] == layout.FILES_PATH
    assert switched.index(layout.INFO_PATH) > switched.index(DATA_PATH)
    store_ids = pq.read_table(pa.BufferReader(there[layout.FILES_PATH]))["store_id"].to_pylist()
    assert sorted(store_ids) == sorted(
        f"etag:{hashlib.md5(there[path]).hexdigest()}" for path in there if path.endswith(".mp4")
    )
    assert not publish(overlay, url, source=None).is_new


def test_a_video_that_is_replaced_is_staged(s3):
    video = files_of(DATA / NAME)[VIDEO_PATH]
    url = s3.start({**files_of(DATA / NAME), VIDEO_PATH: video + b"more"})
    with pytest.raises(ConflictError, match=f"found {VIDEO_PATH}, neither the same as in the source of DST"):
        publish(prepared(NAME, "copy").url, url, source=None)
    result = publish(prepared(NAME, "copy").url, url, source=None, options=OVERWRITE)
    assert VIDEO_PATH in result.changes.paths
    assert s3.files(url)[VIDEO_PATH] == video
    assert not any(path.startswith(STAGED) for path in s3.files(url))
    assert f"{STAGED}publication.json" not in s3.files(url)


@pytest.mark.parametrize("url", ["memory://episeek-publishing/new", "file"])
def test_other_stores(url, tmp_path):
    url = f"file://{tmp_path}/new" if url == "file" else url
    overlay = prepared(NAME, "copy").url
    result = publish(overlay, url, source=None, options=CREATE)
    assert result.arrival.problems == ()
    assert result.arrival.compared_clips == 2
    fs, root = fsspec.core.url_to_fs(url)
    found = {path.removeprefix(root).strip("/"): fs.cat_file(path) for path in fs.find(root)}
    assert not any(path.startswith(STAGED) for path in found)
    assert {path for path in found if path.endswith(".mp4")} == {
        path for path in files_of(DATA / NAME) if path.endswith(".mp4")
    }
    assert not publish(overlay, url, source=None).is_new


def test_where_there_is_no_identity_large_files_are_sent_again(tmp_path, monkeypatch):
    url, overlay = "memory://episeek-publishing/large", prepared(NAME, "copy").url
    publish(overlay, url, source=None, options=CREATE)
    monkeypatch.setattr(contents, "MAX_READ_BYTES", 10_000)
    again = publish(overlay, url, source=None)
    assert again.changes.additions
    assert all(addition.size > 10_000 for addition in again.changes.additions)
    assert again.arrival.problems == ()


def test_files_that_were_uploaded_in_parts_are_not_sent_again(s3):
    url = s3.empty()
    overlay = prepared(NAME, "copy").url
    publish(overlay, url, source=None, options=CREATE)
    upload = s3.datasets._writer.call_s3
    bucket = s3.datasets.server.bucket
    key = f"{url.removeprefix(f's3://{bucket}/')}/{VIDEO_PATH}"
    content = s3.files(url)[VIDEO_PATH]
    begun = upload("create_multipart_upload", Bucket=bucket, Key=key)["UploadId"]
    part = upload("upload_part", Bucket=bucket, Key=key, UploadId=begun, PartNumber=1, Body=content)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    upload("complete_multipart_upload", Bucket=bucket, Key=key, UploadId=begun, MultipartUpload=parts)
    result = publish(overlay, url, source=None)
    assert {a.path for a in result.changes.additions} <= {layout.CARD_PATH, *SIDECAR_PATHS}


@pytest.mark.parametrize("is_indexed", [True, False], ids=["index --output", "prepare"])
def test_sidecars_alone(is_indexed, s3, tmp_path):
    overlay = prepared(NAME).url
    if is_indexed:
        overlay = str(tmp_path / "indexed")
        index(str(DATA / NAME), output=overlay)
    before = files_of(DATA / NAME)
    url = s3.start(before)
    options = StoreOptions(sidecars_only=True, clip_count=2)
    result = publish(overlay, url, options=options)
    assert {a.path for a in result.changes.additions} == {layout.CARD_PATH, *SIDECAR_PATHS}
    assert (result.verification is None) is is_indexed
    assert {path: content for path, content in s3.files(url).items() if path in before} == before
    assert not publish(overlay, url, options=options).is_new


def test_data_files_that_a_rewrite_replaces(s3, tmp_path):
    """With more files than before rows move to later files; with fewer files the superfluous ones are deleted."""
    url = s3.start({**files_of(DATA / NAME), "data/chunk-000/file-007.parquet": b"old"})
    prepare(str(DATA / NAME), str(tmp_path / "split"), max_episodes_per_file=1)
    with pytest.raises(ConflictError, match=r"found data/chunk-000/file-007.parquet, neither .*--overwrite"):
        publish(str(tmp_path / "split"), url)
    result = publish(str(tmp_path / "split"), url, options=OVERWRITE)
    assert result.moves_rows
    assert result.changes.deletions == ("data/chunk-000/file-007.parquet",)
    there = s3.files(url)
    assert len([path for path in there if path.startswith("data/")]) == 4
    back = publish(prepared(NAME).url, url)
    assert back.moves_rows
    assert len(back.changes.deletions) == 3
    assert episeek.open(url).clip(0, "observation.images.top", 0, 2).decode("pyav").data.shape[0] == 2


# --- what is refused ------------------------------------------------------------------------------------------------------


def test_a_dry_run_sends_nothing(s3):
    url = s3.start(files_of(DATA / NAME))
    result = publish(prepared(NAME).url, url, options=replace(UNVERIFIED, dry_run=True))
    assert s3.changing() == []
    assert (result.arrival, result.sent_count) == (None, 0)
    done = publish(prepared(NAME).url, url)
    assert [a.path for a in done.changes.additions] == [a.path for a in result.changes.additions]


def test_other_files_in_place_of_a_dataset(s3):
    url = s3.start({"data/x.parquet": b"of somebody else"})
    with pytest.raises(DestinationError, match=r"data/x\.parquet, which belongs to no dataset"):
        publish(prepared(NAME, "copy").url, url, source=None, options=CREATE)
    assert s3.changing() == []


def test_a_missing_bucket(s3, bucket):
    for url in ("s3://no-such-bucket/ds", "hf://buckets/acme/none/ds"):
        for options in (UNVERIFIED, CREATE):
            with pytest.raises(DestinationError, match="an existing bucket"):
                publish(prepared(NAME, "copy").url, url, source=None, options=options)


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_no_permission(method, s3):
    url = s3.start({**files_of(DATA / NAME), "data/chunk-000/file-007.parquet": b"old"})
    body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    fault = Fault(
        "status", method=method, status=403, body=body, times=9999, headers={"Content-Type": "application/xml"}
    )
    s3.proxy.inject(fault)
    with pytest.raises(AccessError) as caught:
        publish(prepared(NAME).url, url, options=OVERWRITE)
    assert url in str(caught.value)
    assert "testing" not in str(caught.value), "the key"


def test_an_overlay_of_another_dataset_or_a_broken_one(s3, tmp_path):
    url = s3.start(files_of(DATA / NAME))
    with pytest.raises(TargetMismatchError):
        publish(prepared("h264_bframes").url, url)
    shutil.copytree(prepared(NAME).local, tmp_path / "overlay")
    path = tmp_path / "overlay" / DATA_PATH
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(RefusedPublicationError, match="episeek verify"):
        publish(str(tmp_path / "overlay"), url, options=StoreOptions(clip_count=2))
    assert s3.changing() == []


def test_targets():
    assert [is_store(f"{scheme}://x/y") for scheme in ("s3", "gs", "file", "memory", "hf")] == [True] * 4 + [False]
    assert is_store("hf://buckets/acme/b")
    assert not is_store("hf://datasets/acme/b")
    assert not is_store("acme/b")
    with pytest.raises(DestinationError, match="the URL of a store"):
        publish("s3://bucket/x", "s3://bucket/y")
    with pytest.raises(DestinationError, match="not the URL of a store"):
        publish(prepared(NAME).url, "acme/b")


@pytest.mark.parametrize("kind", ["s3", "file", "memory"])
def test_files_of_others_are_not_replaced(kind, s3, tmp_path):
    before = files_of(DATA / NAME)
    if kind == "s3":
        url = s3.start(before)
    else:
        url = f"file://{tmp_path}/there" if kind == "file" else "memory://episeek-publishing/others"
    fs, root = fsspec.core.url_to_fs(url)
    if kind != "s3":
        for path, content in before.items():
            fs.makedirs(f"{root}/{path}".rpartition("/")[0], exist_ok=True)
            fs.pipe_file(f"{root}/{path}", content)

    def change(path):
        content = fs.cat_file(f"{root}/{path}") + b"\n"
        fs.pipe_file(f"{root}/{path}", content)
        fs.invalidate_cache()

    overlay = tmp_path / "overlay"
    shutil.copytree(prepared(NAME).local, overlay)
    change(layout.STATS_PATH)
    with pytest.raises(ConflictError, match=f"found {layout.STATS_PATH}, neither the same as in the source of DST"):
        publish(str(overlay), url)
    assert publish(str(overlay), url, options=OVERWRITE).is_new
    stats = overlay / layout.STATS_PATH
    stats.write_bytes(stats.read_bytes() + b"\n\n")
    assert publish(str(overlay), url).is_new, "what was published from here is nobody else's"
    change(layout.STATS_PATH)
    with pytest.raises(ConflictError, match=f"found {layout.STATS_PATH}, neither the same as"):
        publish(str(overlay), url)
