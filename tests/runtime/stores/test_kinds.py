import tomllib
from typing import get_args

import fsspec
import pytest

from episeek.errors import BackendUnavailableError, Extra, install_hint
from episeek.stores.kinds import (
    AZURE,
    AZURE_DATA_LAKE,
    GOOGLE_CLOUD_STORAGE,
    HTTP,
    HUB_BUCKET,
    HUB_REPOSITORY,
    KINDS,
    LOCAL,
    MEMORY,
    OTHER,
    S3,
    is_hub,
    is_local,
    kind_of,
    kind_of_scheme,
)
from episeek.stores.requests.errors import store_errors
from episeek.stores.transports import fsspec as transport
from tests.support.build_index import DATA

PYPROJECT = DATA.parents[1] / "pyproject.toml"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("/data/pusht", LOCAL),
        ("relative", LOCAL),
        ("file:///data/pusht", LOCAL),
        ("local://data", LOCAL),
        ("hf://datasets/o/n", HUB_REPOSITORY),
        ("hf://o/buckets", HUB_REPOSITORY),
        ("hf://datasets/buckets/n", HUB_REPOSITORY),
        ("hf://buckets/o/n", HUB_BUCKET),
        ("http://host/d", HTTP),
        ("https://host/d", HTTP),
        ("s3://b/d", S3),
        ("s3a://b/d", S3),
        ("gs://b/d", GOOGLE_CLOUD_STORAGE),
        ("gcs://b/d", GOOGLE_CLOUD_STORAGE),
        ("az://c/d", AZURE),
        ("abfs://c/d", AZURE),
        ("adl://c/d", AZURE_DATA_LAKE),
        ("memory://d", MEMORY),
        ("webdav://host/d", OTHER),
        ("simplecache::s3://b/d", OTHER),
    ],
)
def test_the_beginning_of_a_url_decides_the_kind(url, kind):
    assert kind_of(url) is kind
    assert is_local(url) == (kind is LOCAL)
    assert is_hub(url) == (kind in (HUB_REPOSITORY, HUB_BUCKET))


def test_every_entry_is_found_by_its_own_prefixes_and_schemes():
    prefixes = [prefix for kind in KINDS for prefix in kind.prefixes]
    assert len(prefixes) == len(set(prefixes)) > 0
    for kind in KINDS:
        for prefix in kind.prefixes:
            assert kind_of(f"{prefix}a/b") is kind
        if kind is not HUB_BUCKET:
            assert all(kind_of_scheme(scheme) is kind for scheme in kind.schemes)


def test_fsspec_knows_every_scheme():
    assert {scheme for kind in KINDS for scheme in kind.schemes} <= set(fsspec.available_protocols()) | {"local"}


def test_obstore_has_every_class_that_is_named():
    store = pytest.importorskip("obstore.store")
    named = {str(kind.obstore_class) for kind in KINDS if kind.transport == "obstore"}
    assert named
    assert all(hasattr(store, name) for name in named)
    assert all(kind.obstore_class is None for kind in KINDS if kind.transport != "obstore")


def test_extras_are_those_of_the_package():
    extras = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]["optional-dependencies"]
    assert set(get_args(Extra)) == extras.keys() - {"all", "dev", "fuzz"}


def test_a_missing_package_is_answered_with_the_command_that_installs_it():
    with pytest.raises(BackendUnavailableError) as raised, store_errors("s3://b/x.mp4, bytes [0, 4)"):
        raise ImportError("Install s3fs to access S3")
    assert raised.value.hint == install_hint("s3") == "pip install 'episeek[s3]'"
    with pytest.raises(BackendUnavailableError) as raised, store_errors("webdav://host/x.mp4"):
        raise ImportError("Install webdav4")
    assert raised.value.hint == ""


def test_fsspec_checks_the_answers_of_exactly_the_stores_that_give_an_identity():
    checked = set()
    for kind in KINDS:
        for scheme in kind.schemes:
            try:
                file_system = fsspec.get_filesystem_class(scheme)
            except (ImportError, ValueError):  # not installed, or no protocol of fsspec
                continue
            has_identity = transport._is_http(file_system) or transport._is_s3(file_system)
            assert has_identity == kind.fsspec_range_has_identity, scheme
            checked.add(scheme)
    assert {"file", "http", "https", "s3", "memory"} <= checked
