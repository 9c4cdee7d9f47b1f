"""A repository of the offline Hub with a small dataset, and stores: S3, and a bucket of the Hub."""

import pytest

from episeek_pipelines.publish.hub import publish
from episeek_pipelines.publish.hub_client import commits, pull_requests
from tests.pipelines.conftest import DATA
from tests.pipelines.remote_datasets import files_of
from tests.support.publish_bucket import publish_bucket
from tests.support.publish_hub import NAME, SMALL, publish_hub
from tests.support.publish_s3 import publish_s3


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with publish_hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture
def hub(running):
    running.start(NAME, files_of(DATA / SMALL))
    return running


@pytest.fixture
def small_parts(monkeypatch):
    for module in (publish, pull_requests, commits):
        monkeypatch.setattr(module, "MAX_OPERATIONS_PER_COMMIT", 4)


@pytest.fixture(scope="module")
def s3():
    with publish_s3("publishing") as store:
        yield store


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    with publish_bucket(tmp_path_factory.mktemp("hub")) as store:
        yield store


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Use a cache directory of the test alone: publications are remembered there."""
    monkeypatch.setenv("EPISEEK_CACHE", str(tmp_path_factory.mktemp("cache")))
