"""The transport of each URL, the translation of fsspec's options for obstore, and stores that only obstore reads here."""

import os
import pickle
import subprocess
import sys

import pytest

import episeek
from episeek.errors import AccessError, BackendUnavailableError, MissingFileError, ReadError, described
from episeek.stores.identity import FileIdentity, etag_id
from episeek.stores.open_source import open_source
from episeek.stores.requests.errors import error_for, rate_limit_of, retry_after_of
from episeek.stores.transports.fsspec import FsspecSource, identity_of
from episeek.stores.transports.hub.source import HubSource
from episeek.stores.transports.local import LocalSource
from episeek.stores.transports.object_store import clients
from episeek.stores.transports.object_store.clients import config_of
from episeek.stores.transports.object_store.source import ObjectStoreSource
from tests.servers.faults import Fault
from tests.servers.range_server import RangeServer
from tests.servers.s3 import S3Bucket
from tests.support.served_file import PATIENCE

DATA = bytes(range(256)) * 40
PATH = "videos/a b/file-000.mp4"


@pytest.mark.parametrize(
    ("url", "options", "expected"),
    [
        ("/data/pusht", {}, LocalSource),
        ("file:///data/pusht", {}, LocalSource),
        ("hf://datasets/a/b", {}, HubSource),
        ("http://host/ds", {}, ObjectStoreSource),
        ("https://host/ds", {}, ObjectStoreSource),
        ("https://host/ds?token=x", {}, FsspecSource),
        ("https://user:pass@host/ds", {}, FsspecSource),
        ("https://host/ds", {"headers": {"X": "y"}}, FsspecSource),
        ("s3://bucket/ds", {}, ObjectStoreSource),
        ("s3://bucket/ds", {"anon": True}, ObjectStoreSource),
        ("s3://bucket/ds", {"profile": "x"}, FsspecSource),
        ("s3://bucket/ds", {"client_kwargs": {"verify": False}}, FsspecSource),
        ("gs://bucket/ds", {"token": "anon"}, ObjectStoreSource),
        ("gs://bucket/ds", {"project": "x"}, FsspecSource),
        ("az://container/ds", {"account_name": "x"}, ObjectStoreSource),
        ("az://container/ds", {"connection_string": "x"}, FsspecSource),
        ("memory://ds", {}, FsspecSource),
        ("sftp://host/ds", {}, FsspecSource),
    ],
)
def test_the_source_of_a_url(url, options, expected):
    assert type(open_source(url, storage_options=options)) is expected


def test_transports_on_request():
    assert type(open_source("s3://bucket/ds", transport="fsspec")) is FsspecSource
    with pytest.raises(BackendUnavailableError, match="a URL that obstore cannot read"):
        open_source("memory://ds", transport="obstore")


def test_without_obstore_fsspec_serves_the_same_urls(monkeypatch):
    monkeypatch.setattr(clients, "find_spec", lambda name: None)
    assert type(open_source("https://host/ds")) is FsspecSource
    with pytest.raises(BackendUnavailableError, match="an installed obstore"):
        open_source("https://host/ds", transport="obstore")


def test_options_in_obstores_words():
    options = {
        "key": "k",
        "secret": "s",
        "token": None,
        "anon": False,
        "client_kwargs": {"endpoint_url": "http://e", "region_name": "r"},
    }
    config = config_of("s3://bucket/some/dir/", options)
    assert config is not None
    assert (config.scheme, config.container, config.prefix) == ("s3", "bucket", "some/dir")
    assert dict(config.options) == {
        "access_key_id": "k",
        "secret_access_key": "s",
        "endpoint": "http://e",
        "region": "r",
    }
    assert "secret" not in repr(open_source("s3://bucket", storage_options={"key": "k", "secret": "secret"}))


@pytest.fixture
def stored(tmp_path):
    """Serve objects below the name of a bucket, with modification times, as GCS and Azure do."""
    target = tmp_path / "bucket" / "ds" / PATH
    target.parent.mkdir(parents=True)
    target.write_bytes(DATA)
    with RangeServer(tmp_path, response_headers={"Last-Modified": "Tue, 24 Nov 2026 18:00:00 GMT"}) as server:
        yield server


@pytest.mark.parametrize(
    ("url", "options", "environment"),
    [
        ("gs://bucket/ds", {"token": "anon"}, ("GOOGLE_BASE_URL", "GOOGLE_STORAGE_BASE_URL")),
        ("az://bucket/ds", {"account_name": "account"}, ("AZURE_ENDPOINT", "AZURE_STORAGE_ENDPOINT")),
    ],
)
def test_google_and_azure(stored, url, options, environment, monkeypatch):
    for name in environment:
        monkeypatch.setenv(name, stored.url)
    monkeypatch.setenv("AZURE_SKIP_SIGNATURE", "true")
    source = open_source(url, storage_options=options, policy=PATIENCE, transport="obstore")
    assert source.get_ranges(PATH, [(0, 7), (300, 400)]) == [DATA[:7], DATA[300:400]]
    assert source.identity(PATH).size == len(DATA)
    assert source.identity(PATH).store_id.startswith("etag:")
    assert sorted((e.method, e.range_header) for e in stored.exchanges()) == [
        ("GET", "bytes=0-6"),
        ("GET", "bytes=300-399"),
    ]
    with pytest.raises(MissingFileError, match=r"other\.mp4"):
        source.get_ranges("other.mp4", [(0, 7)])


@pytest.fixture(scope="module")
def s3():
    with S3Bucket() as s3:
        s3.put(f"ds/{PATH}", DATA)
        yield s3


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
def test_credentials_of_the_environment(s3, transport, monkeypatch):
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    source = open_source(f"s3://{s3.bucket}/ds", policy=PATIENCE, transport=transport)
    assert source.get_ranges(PATH, [(10, 20)]) == [DATA[10:20]]


def test_credentials_of_a_shared_file(s3, tmp_path, monkeypatch):
    """botocore's chain finds credentials that obstore alone does not read."""
    (tmp_path / "credentials").write_text("[robots]\naws_access_key_id = testing\naws_secret_access_key = testing\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "robots")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    source = open_source(f"s3://{s3.bucket}/ds", policy=PATIENCE, transport="obstore")
    assert source.get_ranges(PATH, [(10, 20)]) == [DATA[10:20]]


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
def test_what_is_missing_or_forbidden_on_s3(s3, transport):
    options = s3.storage_options()
    source = open_source(f"s3://{s3.bucket}/ds", storage_options=options, policy=PATIENCE, transport=transport)
    with pytest.raises(MissingFileError, match=r"other\.mp4"):
        source.get_ranges("other.mp4", [(0, 7)])
    anonymous = {"anon": True, "client_kwargs": options["client_kwargs"]}
    source = open_source(f"s3://{s3.bucket}/ds", storage_options=anonymous, policy=PATIENCE, transport=transport)
    with pytest.raises(AccessError, match="credentials"):
        source.get_ranges(PATH, [(0, 7)])


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
def test_a_range_beyond_the_file(stored, transport):
    source = open_source(f"{stored.url}/bucket/ds", policy=PATIENCE, transport=transport)
    with pytest.raises(ReadError, match=rf"{PATH}, bytes \[{len(DATA)}, {len(DATA) + 10}\)"):
        source.get_ranges(PATH, [(len(DATA), len(DATA) + 10)])


def test_no_server_at_all():
    for transport in ("obstore", "fsspec"):
        source = open_source("http://127.0.0.1:9/ds", policy=PATIENCE, transport=transport)
        with pytest.raises(ReadError, match=r"127.0.0.1:9/ds/x, bytes \[0, 1\).*3 tries"):
            source.get_ranges("x", [(0, 1)])


# --- identities, errors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("etag", "expected"),
    [('"a-b"', ("etag:a-b",)), ('W/"a"', ("etag:a",)), ("plain", ("etag:plain",)), ("", ()), (None, ())],
)
def test_etags(etag, expected):
    assert etag_id(etag) == expected


def test_identities_are_compared_by_kind():
    identity = FileIdentity(3, ("sha256:aa", "xet:bb"))
    assert identity.is_content("sha256:aa") is True
    assert identity.is_content("sha256:bb") is False
    assert identity.is_content("xet:bb") is True
    assert identity.is_content("etag:aa") is None
    assert identity.is_content("") is None
    assert FileIdentity(3).is_content("sha256:aa") is None


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"size": 3}, FileIdentity(3)),
        ({"size": None}, None),
        ({"size": 3, "ETag": '"x"'}, FileIdentity(3, ("etag:x",))),
        ({"size": 3, "lfs": {"sha256": "a"}, "xet_hash": "b"}, FileIdentity(3, ("sha256:a", "xet:b"))),
        ({"size": 3, "lfs": None, "blob_id": "ef"}, FileIdentity(3, ("etag:ef",))),
    ],
)
def test_identities_in_listings(info, expected):
    assert identity_of(info) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"RateLimit": '"resolvers";r=0;t=11'}, 11.0),
        ({"RateLimit": '"resolvers";r=5;t=11'}, None),
        ({"Retry-After": "3", "RateLimit": '"api";r=0;t=11'}, 3.0),
        ({}, None),
        (None, None),
    ],
)
def test_what_a_store_asks_to_wait(headers, expected):
    assert retry_after_of(headers) == expected


def test_rate_limits_that_make_no_sense():
    for text in ("", "x", '"a";r=0', '"a";t=5', '"a";r=0;t=soon', ";;;=;"):
        assert rate_limit_of(text) is None


def test_signatures_stay_out_of_messages():
    error = OSError("GET https://account.blob/x.mp4?sv=1&sig=secret failed")
    assert "secret" not in described(error)
    assert "secret" not in str(error_for(error, "az://container/x.mp4"))


def test_the_import_stays_light():
    code = (
        "import sys, episeek; index = episeek.open; "
        "print(sorted({'obstore', 'urllib3', 'huggingface_hub', 's3fs', 'aiohttp', 'botocore'} & sys.modules.keys()))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment)
    assert run.stdout.strip() == "[]", run.stderr
    assert episeek.ClipCache is not None


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
@pytest.mark.parametrize("name", ["a b", "p%20q", "h#1", "q?x=1", "pl+us", "ü", "star*"])
def test_names_with_signs_that_mean_something_in_urls(transport, name):
    with RangeServer(objects={f"videos/{name}/x.mp4": DATA, "videos/p q/x.mp4": b"another"}) as server:
        source = open_source(server.url, transport=transport, policy=PATIENCE)
        assert source.identity(f"videos/{name}/x.mp4").size == len(DATA)
        assert source.get_ranges(f"videos/{name}/x.mp4", [(5, 9)]) == [DATA[5:9]]


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
def test_a_server_that_does_not_allow_head(stored, transport):
    stored.inject(Fault("status", method="HEAD", status=405, times=1000))
    source = open_source(f"{stored.url}/bucket/ds", policy=PATIENCE, transport=transport)
    assert source.identity(PATH).size == len(DATA)
    with pytest.raises(MissingFileError, match=r"other\.mp4"):
        source.identity("other.mp4")


def test_passwords_stay_out_of_messages():
    url = "http://user:secret@127.0.0.1:9/ds"
    source = open_source(url, policy=PATIENCE)
    with pytest.raises(ReadError) as caught:
        source.get_ranges("x", [(0, 1)])
    for text in (str(caught.value), repr(caught.value), repr(source), str(pickle.loads(pickle.dumps(caught.value)))):
        assert "secret" not in text
    assert "http://***@127.0.0.1:9/ds/x" in str(caught.value)


def test_errors_of_ours_are_no_errors_of_the_system():
    assert ReadError("where", "found", "expected").errno is None


@pytest.mark.parametrize(
    ("status", "tries"), [(400, 1), (404, 1), (410, 1), (451, 1), (501, 1), (408, 3), (500, 3), (599, 3)]
)
@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
def test_which_statuses_are_tried_again(stored, transport, status, tries):
    stored.inject(Fault("status", status=status, times=1000))
    source = open_source(f"{stored.url}/bucket/ds", policy=PATIENCE, transport=transport)
    with pytest.raises((ReadError, MissingFileError)):
        source.get_ranges(PATH, [(0, 7)])
    assert len(stored.exchanges()) == tries
