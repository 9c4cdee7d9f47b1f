"""Publications into stores that are stopped at each request: readers never see half of them, and another run completes them."""

import errno
import hashlib
import io
import itertools
import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

import episeek
from episeek.errors import ChangedFileError, EpiseekError, MissingSidecarError, MixedBuildError, WriteError
from episeek_pipelines.publish.store.publish import publish_to_store
from episeek_schemas import layout
from tests.pipelines.conftest import DATA
from tests.pipelines.publish.overlays import prepared
from tests.pipelines.remote_datasets import files_of
from tests.servers.faults import Fault
from tests.support.publication_stops import record_publication
from tests.support.publish_s3 import ONCE, STAGED, UNVERIFIED

NAME = "hevc"
DATA_PATH = "data/chunk-000/file-000.parquet"
OPTIONS = replace(UNVERIFIED, clip_count=1)
NAMES = "^(?!.*xet-write-token)"
"""Requests to the Hub, without those that send content, which has no name yet."""


@pytest.fixture(scope="module")
def expected():
    """A clip, and the rows of the data file, as readers should see them."""
    clip = episeek.open(prepared(NAME).url, data_root=DATA / NAME).clip(2, "observation.images.top", 3, 7).read()
    return clip, pq.read_table(DATA / NAME / DATA_PATH)


def seekable_before():
    """A dataset with sidecars of another build: made from local files, they have no identities of a store."""
    sidecars = {path: content for path, content in files_of(prepared(NAME).local).items() if "byte_index" in path}
    return {**files_of(DATA / NAME), **sidecars}


def publish(url, options=OPTIONS):
    return publish_to_store(prepared(NAME).url, url, data_root=str(DATA / NAME), options=options, retry=ONCE)


def what_readers_see(url, files, builds, expected):
    """Return what a reader sees; fail on a wrong clip or a lost row."""
    clip, rows = expected
    assert pq.read_table(io.BytesIO(files[DATA_PATH])).equals(rows)
    try:
        index = episeek.open(url)
        found = index.clip(2, "observation.images.top", 3, 7).read()
    except (MixedBuildError, MissingSidecarError, ChangedFileError) as error:
        return f"refused by {type(error).__name__}"
    assert hashlib.sha256(found).digest() == hashlib.sha256(clip).digest()
    return builds[index.build_id]


def stopped_everywhere(start, files_at, exchanges_of, inject, clear, expected, is_chosen=lambda exchange: True):
    start_files = seekable_before()
    for _ in range(2):  # the Hub's client asks one thing once a process
        url = start(start_files)
        builds = {episeek.open(url).build_id: "old index"}
        clear()
        publish(url)
    exchanges, new = exchanges_of(), files_at(url)
    builds[episeek.open(url).build_id] = "new index"
    assert len(builds) == 2
    seen: dict[str, int] = {}
    count = sum(bool(is_chosen(exchange)) for exchange in exchanges)
    for number in range(1, count + 1):
        url = start(start_files)
        inject(number)
        try:
            publish(url)
        except EpiseekError:
            assert any(exchange.fault for exchange in exchanges_of())
        else:  # how often a file's identity is asked for at the end differs from time to time
            assert not any(exchange.fault for exchange in exchanges_of()), f"request {number} was not needed"
            clear()
            continue
        clear()
        left = files_at(url)
        what = what_readers_see(url, left, builds, expected)
        seen[what] = seen.get(what, 0) + 1
        if any(path.startswith(STAGED) for path in left):
            seen["staged files left"] = seen.get("staged files left", 0) + 1
        if f"{STAGED}publication.json" in left:
            seen["journal left"] = seen.get("journal left", 0) + 1
        if left == start_files or masked(left) == masked(new):  # as if it had not begun, or was done
            continue
        publish(url)
        assert masked(files_at(url)) == masked(new), f"not completed after request {number}"
    stopped = sum(seen[what] for what in seen if "index" in what or "refused" in what)
    assert stopped >= count - 4
    return stopped, dict(sorted(seen.items()))


def masked(files):
    """Return files without the URL of the dataset in the card."""
    return {path: content for path, content in files.items() if path != layout.CARD_PATH}


def test_s3_stops_at_any_request(s3, expected, record_property):
    count, seen = stopped_everywhere(
        s3.start,
        s3.files,
        s3.proxy.exchanges,
        lambda number: s3.proxy.inject(Fault("gone", method=".*", after=number - 1)),
        s3.reset,
        expected,
    )
    assert seen["old index"] > 0 < seen["new index"]
    assert seen["refused by MixedBuildError"] > 0 < seen["journal left"]
    record_publication(record_property, "into S3", count, seen)


def test_a_bucket_stops_at_any_request_to_the_hub(bucket, expected, record_property):
    def clear():
        bucket.hub.clear_faults()
        bucket.hub.clear()

    count, seen = stopped_everywhere(
        bucket.start,
        bucket.files,
        bucket.hub.exchanges,
        lambda number: bucket.hub.inject(Fault("gone", method=".*", server="hub", path=NAMES, after=number - 1)),
        clear,
        expected,
        is_chosen=lambda exchange: exchange.server == "hub" and re.search(NAMES, exchange.path),
    )
    assert seen["old index"] > 0 < seen["new index"]
    assert not any("Mixed" in what for what in seen), "one request switches all"
    record_publication(record_property, "into a bucket of the Hub", count, seen)


@pytest.mark.parametrize("is_new", [False, True], ids=["there", "new"])
def test_a_directory_stops_at_any_rename(is_new, expected, tmp_path, record_property):
    """A new dataset with its videos is not a dataset before all of it is there."""
    overlay = prepared(NAME, "copy" if is_new else "none").url
    options = replace(OPTIONS, create=is_new)
    seen: dict[str, int] = {}
    for number in itertools.count(1):
        root = tmp_path / str(number)
        if not is_new:
            shutil.copytree(DATA / NAME, root)
        with renames_until(number, root) as is_stopped:
            try:
                publish_to_store(overlay, f"file://{root}", data_root=str(DATA / NAME), options=options, retry=ONCE)
            except WriteError:
                assert is_stopped
        if not is_stopped:
            break
        left = files_of(root)
        if DATA_PATH in left or not is_new:
            assert pq.read_table(io.BytesIO(left[DATA_PATH])).equals(expected[1])
        try:
            found = episeek.open(str(root)).clip(2, "observation.images.top", 3, 7).read()
            assert found == expected[0]
            what = "new index"
        except MissingSidecarError:
            what = "no index yet"
        seen[what] = seen.get(what, 0) + 1
        publish_to_store(overlay, f"file://{root}", data_root=str(DATA / NAME), options=options, retry=ONCE)
        assert not any(path.startswith(STAGED) for path in files_of(root))
        assert episeek.open(str(root)).clip(2, "observation.images.top", 3, 7).read() == expected[0]
    record_publication(record_property, f"into a {'new ' if is_new else ''}directory, renames", number - 1, seen)


@contextmanager
def renames_until(number, root):
    """Make the rename of this number below a directory fail, and all later ones; the yielded list is not empty then."""
    rename, done, stopped = os.replace, [], []

    def replace_file(source, target, **options):
        if os.fspath(target).startswith(f"{root}/"):
            done.append(target)
            if len(done) >= number:
                stopped.append(target)
                raise OSError(errno.EIO, "the disk is gone")
        rename(source, target, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", replace_file)
        yield stopped
