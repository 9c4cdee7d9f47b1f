"""The Hub: one commit, one look-up for each file, the token sent to the Hub only, sidecars in its cache.

They run with huggingface_hub 1.x and 2.x.
"""

import math
import os
import pickle
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import episeek
from episeek.errors import AccessError, CorruptBytesError, MissingFileError, MissingSidecarError, ReadError
from episeek.stores.open_source import open_source
from episeek.stores.requests.retry import RetryPolicy
from episeek.stores.transports.hub.location import parse_hub_url
from episeek.stores.transports.hub.resolved_file import lifetime_seconds
from episeek.stores.transports.hub.source import HubSource
from tests.servers.faults import Fault
from tests.servers.hub import TOKEN, FakeHub
from tests.support.build_index import CAMERAS, DATA

PATH = "videos/camera/file-000.mp4"
CONTENT = np.random.default_rng(5).bytes(100_000)
OTHER = np.random.default_rng(6).bytes(100_000)
PATIENCE = RetryPolicy(max_attempts=4, max_seconds=5, first_wait_seconds=0.01, connect_seconds=1, stall_seconds=1)


@pytest.fixture
def hub():
    with FakeHub() as hub:
        yield hub


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Replace the cache directory of the client, which reads HF_HOME when it is imported."""
    import huggingface_hub.constants
    import huggingface_hub.file_download

    folder = tmp_path / "hub-cache"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)  # whatever another test imported it with
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return folder


def source_of(hub, url="hf://datasets/acme/ds", **options) -> HubSource:
    source = open_source(url, storage_options={"endpoint": hub.url, **options}, policy=PATIENCE)
    assert isinstance(source, HubSource)
    return source


def seen(hub, method=".*", path="", server=""):
    return [e for e in hub.exchanges() if method in (".*", e.method) and path in e.path and server in e.server]


# --- URLs -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("hf://datasets/a/b", ("datasets", "a/b", None, "")),
        ("hf://datasets/a/b/", ("datasets", "a/b", None, "")),
        ("hf://datasets/a/b@v3.0/sub/dir", ("datasets", "a/b", "v3.0", "sub/dir")),
        ("hf://datasets/a/b@refs/pr/7/sub", ("datasets", "a/b", "refs/pr/7", "sub")),
        ("hf://datasets/a/b@refs%2Fpr%2F7", ("datasets", "a/b", "refs/pr/7", "")),
        ("hf://datasets/a/b/at@sign", ("datasets", "a/b", None, "at@sign")),
        ("hf://buckets/a/b/dir", ("buckets", "a/b", None, "dir")),
        ("hf://a/b@main", ("models", "a/b", "main", "")),
    ],
)
def test_urls(url, expected):
    location = parse_hub_url(url)
    assert (location.kind, location.repo_id, location.revision, location.prefix) == expected
    assert parse_hub_url(location.url) == location


@pytest.mark.parametrize(
    "url", ["hf://", "hf://datasets", "hf://datasets/a", "hf://datasets/a/b@", "hf://buckets/a/b@main", "hf://a/b/../c"]
)
def test_urls_that_name_nothing(url):
    with pytest.raises(ReadError, match="expected hf://datasets/ORG/NAME"):
        parse_hub_url(url)


def test_an_unknown_storage_option_is_refused():
    with pytest.raises(ReadError, match="storage option 'key'"):
        open_source("hf://datasets/a/b", storage_options={"key": "x"})


# --- one commit, one look a file ------------------------------------------------------------------------------------------


def test_many_ranges_cost_one_look_at_the_revision_and_one_at_the_file(hub):
    hub.add_dataset("acme/ds", {PATH: CONTENT})
    source = source_of(hub)
    ranges = [(start, start + 1000) for start in range(0, 50_000, 1000)]
    with ThreadPoolExecutor(16) as pool:
        parts = list(pool.map(lambda byte_range: source.get_ranges(PATH, [byte_range])[0], ranges))
    assert parts == [CONTENT[start:stop] for start, stop in ranges]
    assert len(seen(hub, path="/revision/")) == 1
    assert len(seen(hub, "HEAD", "/resolve/")) == 1
    assert len(seen(hub, server="cdn")) == len(ranges)
    assert len(hub.exchanges()) == len(ranges) + 2
    transfers = source.transfers()
    assert (transfers.request_count, transfers.metadata_request_count) == (len(ranges), 2)
    assert transfers.byte_count == sum(map(len, parts)) == sum(e.sent_bytes for e in seen(hub, server="cdn"))


def test_what_a_source_reads_stays_at_the_commit_it_was_opened_at(hub):
    first = hub.add_dataset("acme/ds", {PATH: CONTENT})
    source = source_of(hub, "hf://datasets/acme/ds@main").pinned()
    assert source.root == f"hf://datasets/acme/ds@{first}"
    hub.commit("acme/ds", {PATH: OTHER})
    assert source.get_ranges(PATH, [(0, 100)]) == [CONTENT[:100]]
    assert pickle.loads(pickle.dumps(source)).get_ranges(PATH, [(0, 100)]) == [CONTENT[:100]]
    assert source_of(hub).get_ranges(PATH, [(0, 100)]) == [OTHER[:100]]
    assert source_of(hub, f"hf://datasets/acme/ds@{first}").get_ranges(PATH, [(0, 100)]) == [CONTENT[:100]]


def test_a_source_that_was_used_pickles_with_its_commit(hub):
    hub.add_dataset("acme/ds", {PATH: CONTENT})
    source = source_of(hub)
    source.get_ranges(PATH, [(0, 1)])
    hub.commit("acme/ds", {PATH: OTHER})
    assert pickle.loads(pickle.dumps(source)).get_ranges(PATH, [(0, 100)]) == [CONTENT[:100]]


def test_tags_branches_and_directories(hub):
    first = hub.add_dataset("acme/ds", {f"sub/dir/{PATH}": CONTENT})
    hub.add_tag("acme/ds", "v3.0")
    hub.commit("acme/ds", {f"sub/dir/{PATH}": OTHER})
    source = source_of(hub, "hf://datasets/acme/ds@v3.0/sub/dir")
    assert source.get_ranges(PATH, [(5, 10)]) == [CONTENT[5:10]]
    assert source.pinned().location.revision == first


def test_identities(hub):
    hub.add_dataset("acme/ds", {PATH: CONTENT, "small.txt": b"text"})
    source = source_of(hub)
    large, small = source.identity(PATH), source.identity("small.txt")
    assert large.size == len(CONTENT)
    assert large.store_id.startswith("sha256:")
    assert small.size == 4
    assert small.store_id.startswith("etag:")
    assert source.get_ranges("small.txt", [(1, 3)]) == [b"ex"]


def test_a_bucket(hub):
    hub.add_bucket("acme/bucket", {f"dir/{PATH}": CONTENT})
    source = source_of(hub, "hf://buckets/acme/bucket/dir")
    assert source.get_ranges(PATH, [(7, 77)]) == [CONTENT[7:77]]
    assert source.identity(PATH).size == len(CONTENT)
    assert source.pinned().location == source.location
    assert not seen(hub, path="/revision/")


# --- places that expire ---------------------------------------------------------------------------------------------------


def test_a_signed_url_that_expired_is_asked_for_again(hub):
    hub.add_dataset("acme/ds", {PATH: CONTENT})
    source = source_of(hub)
    assert source.get_ranges(PATH, [(0, 10)]) == [CONTENT[:10]]
    hub.expire_signed_urls()
    assert source.get_ranges(PATH, [(10, 20)]) == [CONTENT[10:20]]
    assert [e.status for e in seen(hub, server="cdn")] == [206, 403, 206]
    assert len(seen(hub, "HEAD", "/resolve/")) == 2


def test_many_that_meet_an_expired_url_at_once(hub):
    hub.add_dataset("acme/ds", {PATH: CONTENT})
    source = source_of(hub)
    source.get_ranges(PATH, [(0, 10)])
    hub.expire_signed_urls()
    ranges = [(start, start + 100) for start in range(0, 3200, 100)]
    with ThreadPoolExecutor(16) as pool:
        parts = list(pool.map(lambda byte_range: source.get_ranges(PATH, [byte_range])[0], ranges))
    assert parts == [CONTENT[start:stop] for start, stop in ranges]
    assert len(seen(hub, "HEAD", "/resolve/")) <= 17


def test_an_url_that_says_when_it_expires_is_not_used_then(hub, monkeypatch):
    hub.add_dataset("acme/ds", {PATH: CONTENT})
    source = source_of(hub)
    monkeypatch.setattr(
        "episeek.stores.transports.hub.source.lifetime_seconds", lambda url, date: 5
    )  # within the margin
    for _ in range(3):
        source.get_ranges(PATH, [(0, 10)])
    assert len(seen(hub, "HEAD", "/resolve/")) == 3
    assert not [e for e in hub.exchanges() if e.status == 403]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Expires=1767225660&Signature=x", 60),
        ("X-Amz-Date=20260101T000000Z&X-Amz-Expires=3600", 3600),
        ("sig=x", math.inf),
        ("Expires=soon", math.inf),
        ("X-Amz-Expires=3600", math.inf),
    ],
)
def test_how_long_an_url_is_good_for(query, expected):
    assert lifetime_seconds(f"https://cdn/x?{query}", "Thu, 01 Jan 2026 00:00:00 GMT") == expected


def test_a_place_that_is_always_refused(hub):
    hub.add_dataset("acme/ds", {PATH: CONTENT})
    source = source_of(hub)
    hub.inject(Fault("status", server="cdn", status=403, times=1000))
    with pytest.raises(AccessError, match=r"bytes \[0, 10\): found status 403 from 127.0.0.1 \(4 tries"):
        source.get_ranges(PATH, [(0, 10)])


def test_offline(hub, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ReadError, match="HF_HUB_OFFLINE"):
        source_of(hub).get_ranges(PATH, [(0, 10)])
    assert hub.exchanges() == []


# --- tokens ---------------------------------------------------------------------------------------------------------------


def test_the_token_goes_to_the_hub_alone(hub):
    hub.add_dataset("acme/ds", {PATH: CONTENT, "small.txt": b"text"}, private=True)
    source = source_of(hub, token=TOKEN)
    assert source.get_ranges(PATH, [(0, 10)]) == [CONTENT[:10]]
    assert source.get_ranges("small.txt", [(0, 4)]) == [b"text"]
    assert all(e.has_authorization for e in seen(hub, server="hub"))
    assert seen(hub, server="cdn")
    assert not any(e.has_authorization for e in seen(hub, server="cdn"))


def test_the_token_of_the_environment(hub, monkeypatch):
    hub.add_dataset("acme/ds", {PATH: CONTENT}, private=True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert source_of(hub).get_ranges(PATH, [(0, 10)]) == [CONTENT[:10]]


@pytest.mark.parametrize("token", [False, "hf_wrong"])
def test_no_access_is_named_and_holds_no_token(hub, token):
    hub.add_dataset("acme/ds", {PATH: CONTENT}, private=True)
    source = source_of(hub, token=token)
    with pytest.raises(AccessError, match="HF_TOKEN") as caught:
        source.get_ranges(PATH, [(0, 10)])
    assert len(hub.exchanges()) == 1
    for text in (str(caught.value), repr(source), repr(caught.value)):
        assert "hf_wrong" not in text


@pytest.mark.parametrize("url", ["hf://datasets/acme/none", "hf://datasets/acme/ds@none"])
def test_what_is_not_there_is_named_at_once(hub, url):
    hub.add_dataset("acme/ds", {PATH: CONTENT})
    with pytest.raises((MissingFileError, AccessError), match=url):  # the Hub does not tell strangers which
        source_of(hub, url).get_ranges(PATH, [(0, 10)])
    assert len(hub.exchanges()) == 1
    with pytest.raises(MissingFileError, match=r"videos/other\.mp4"):
        source_of(hub).get_ranges("videos/other.mp4", [(0, 10)])


# --- the Hub's own faults and limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=503),
        Fault("status", status=500),
        Fault("drop"),
        Fault("reset"),
        Fault("not_http"),
        Fault("stall", seconds=2),
    ],
    ids=lambda fault: f"{fault.kind}{fault.status}",
)
@pytest.mark.parametrize("path", ["/revision/", "/resolve/"])
def test_faults_of_the_hub_itself(hub, fault, path):
    hub.add_dataset("acme/ds", {PATH: CONTENT})
    hub.inject(
        Fault(fault.kind, method=".*", server="hub", path=path, status=fault.status, seconds=fault.seconds, times=2)
    )
    source = source_of(hub)
    assert source.get_ranges(PATH, [(0, 10)]) == [CONTENT[:10]]
    assert source.transfers().retry_count == 2


@pytest.mark.parametrize("headers", [{"Retry-After": "1"}, {"RateLimit": '"resolvers";r=0;t=1'}])
def test_a_rate_limit_is_waited_for(hub, headers):
    hub.add_dataset("acme/ds", {PATH: CONTENT})
    hub.inject(Fault("status", method="HEAD", server="hub", path="/resolve/", status=429, headers=headers))
    source = source_of(hub)
    started = time.monotonic()
    assert source.get_ranges(PATH, [(0, 10)]) == [CONTENT[:10]]
    assert time.monotonic() - started >= 1
    assert source.transfers().wait_seconds >= 1


def test_a_rate_limit_that_lasts_longer_than_the_budget_is_an_error_at_once(hub):
    hub.add_dataset("acme/ds", {PATH: CONTENT})
    headers = {"Retry-After": "290"}
    hub.inject(Fault("status", method="HEAD", server="hub", path="/resolve/", status=429, headers=headers))
    started = time.monotonic()
    with pytest.raises(ReadError, match=r"status 429 \(1 try in .* s, and the store asks for a wait of 290 s\)"):
        source_of(hub).get_ranges(PATH, [(0, 10)])
    assert time.monotonic() - started < 290


def test_nothing_is_asked_before_the_window_is_over(hub, monkeypatch):
    """An answer that announces an exhausted rate limit delays the next request, which is therefore not refused."""
    hub.add_dataset("acme/ds", {PATH: CONTENT, "other.mp4": OTHER})
    source = source_of(hub)
    source.get_ranges(PATH, [(0, 10)])
    source._state.get().resume_at = time.monotonic() + 0.4
    started = time.monotonic()
    source.get_ranges(PATH, [(10, 20)])
    assert source.transfers().wait_seconds == 0  # the location is in memory: no request to the Hub
    source.get_ranges("other.mp4", [(0, 10)])
    assert time.monotonic() - started >= 0.35


def test_a_corrupt_download_of_a_sidecar_is_not_kept(hub, cache):
    hub.add_dataset("acme/ds", {"meta/byte_index/files.parquet": CONTENT})
    source = source_of(hub)
    hub.inject(Fault("corrupt", server="cdn", at_byte=77))
    assert source.download("meta/byte_index/files.parquet").read_bytes() == CONTENT
    assert source.transfers().retry_count == 1
    hub.commit("acme/ds", {"meta/byte_index/files.parquet": OTHER})
    hub.inject(Fault("corrupt", server="cdn", at_byte=77, times=1000))
    with pytest.raises(CorruptBytesError, match=r"files\.parquet"):
        source_of(hub).download("meta/byte_index/files.parquet")
    kept = [path.read_bytes() for path in cache.rglob("*") if path.is_file() and path.stat().st_size == len(CONTENT)]
    assert set(kept) == {CONTENT}


# --- a dataset ------------------------------------------------------------------------------------------------------------


def publish(hub, folder, *, private=False):
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return hub.add_dataset("acme/robot", files, private=private)


@pytest.fixture
def prepared(tmp_path, sidecar_roots):
    """A dataset whose sidecars were made from local files, without identities of a store."""
    folder = shutil.copytree(DATA / "av1_multifile", tmp_path / "dataset")
    shutil.copytree(sidecar_roots["av1_multifile"] / "meta", folder / "meta", dirs_exist_ok=True)
    return folder


def test_a_dataset_on_the_hub(hub, prepared, cache, indexes):
    commit = publish(hub, prepared)
    index = episeek.open("hf://datasets/acme/robot", storage_options={"endpoint": hub.url}, retry=PATIENCE)
    local = indexes["av1_multifile"]
    assert all(table.is_mapped for table in (index.table(name) for name in ("episodes", "keyframes", "samples")))
    for episode in range(index.episode_count):
        for camera in CAMERAS:
            assert index.clip(episode, camera, 3, 9).read() == local.clip(episode, camera, 3, 9).read()
    assert f"@{commit}" in repr(index)

    hub.clear()
    again = episeek.open("hf://datasets/acme/robot", storage_options={"endpoint": hub.url}, retry=PATIENCE)
    assert [e.path for e in hub.exchanges() if e.server == "hub"] == ["/api/datasets/acme/robot/revision/main"]
    assert not seen(hub, server="cdn")  # the sidecars are in the cache
    assert again.build_id == index.build_id
    copy = pickle.loads(pickle.dumps(again))
    assert copy.clip(0, CAMERAS[0], 0, 1).read() == local.clip(0, CAMERAS[0], 0, 1).read()
    assert len(seen(hub, path="/revision/")) == 1  # a worker reads the commit that was opened, and does not ask again


def test_a_dataset_without_sidecars(hub):
    publish(hub, DATA / "hevc")
    with pytest.raises(MissingSidecarError, match="episeek prepare"):
        episeek.open("hf://datasets/acme/robot", storage_options={"endpoint": hub.url}, retry=PATIENCE)


def test_the_clients_release():
    """`make test-hub1` runs this file with huggingface_hub 1.x."""
    import huggingface_hub

    assert huggingface_hub.__version__.startswith(os.environ.get("EPISEEK_TEST_HUB_RELEASE", "2."))
