"""Listings of a repository on the offline Hub, and creating one."""

import hashlib
import os
import subprocess
import sys

import pytest

from episeek.errors import AccessError, MissingFileError, ReadError
from episeek_pipelines.publish.errors import RefusedError
from episeek_pipelines.publish.hub_client.client import HubClient
from episeek_pipelines.publish.overlay.file_comparison import git_blob_id
from tests.servers.faults import Fault
from tests.support.hub_client import CLIENT_WARNINGS
from tests.support.repository_changes import NAME, OLD, asked, repository_of

pytestmark = CLIENT_WARNINGS


def test_what_a_repository_holds(hub, repository):
    hub.add_tag(NAME, "v3.0")
    assert repository.exists()
    assert not repository_of(hub, "acme/nope").exists()
    assert repository.head() == repository.head("v3.0") == repository.head(hub.base[:12]) == hub.base
    files = repository.files(hub.base)
    assert files.keys() == {".gitattributes", *OLD}
    for path, content in OLD.items():
        assert files[path].size == len(content)
        is_lfs = path.endswith((".mp4", ".parquet"))
        assert files[path].sha256 == (hashlib.sha256(content).hexdigest() if is_lfs else None)
        assert (files[path].blob_id == git_blob_id(content)) is not is_lfs
    refs = repository.refs()
    assert (refs.branches, refs.tags) == ({"main": hub.base}, {"v3.0": hub.base})


def test_a_listing_of_many_files_comes_in_pages(hub, repository):
    head = hub.commit(NAME, {f"data/{number:04}.txt": b"%d" % number for number in range(1500)})
    hub.clear()
    files = repository.files(head)
    assert len(files) == 1500 + 1 + len(OLD)
    assert len(asked(hub, "GET", "/tree/")) == 2
    assert files["data/1499.txt"].blob_id == git_blob_id(b"1499")


def test_names_that_mean_no_repository():
    for name in ("ds", "a/b/c", "a/b@main", "../b", ""):
        with pytest.raises(ReadError):
            HubClient(name)


@pytest.mark.parametrize("private", [True, False])
def test_create(hub, private):
    made = repository_of(hub, "acme/made")
    made.create(private)
    assert hub.repository("acme/made").is_private is made.is_private() is private
    with pytest.raises(RefusedError, match="acme/made: found HTTP 409"):
        made.create(private)
    with pytest.raises(AccessError, match="HTTP 403"):
        repository_of(hub, "other/made").create(private)


@pytest.mark.parametrize("kind", ["commit_then_drop", "drop", "reset"])
def test_create_whose_response_is_lost(hub, kind):
    hub.inject(Fault(kind, method="POST", path="/repos/create"))
    repository_of(hub, "acme/made").create(True)
    assert hub.repository("acme/made").is_private


def test_no_such_repository_or_revision(hub, repository):
    with pytest.raises(MissingFileError, match="acme/nope"):
        repository_of(hub, "acme/nope").head()
    with pytest.raises(MissingFileError, match="acme/ds@nowhere"):
        repository.head("nowhere")
    with pytest.raises(MissingFileError, match="found an empty revision"):
        repository.head("")
    with pytest.raises(AccessError, match="HTTP 401"):
        repository_of(hub, token="hf_wrong").create(True)


def test_no_hub_when_offline(hub, repository, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ReadError, match="HF_HUB_OFFLINE in the environment"):
        repository.refs()


def test_the_client_is_imported_when_it_is_used():
    code = (
        "import sys, episeek_pipelines.publish.hub_client.client as r; r.HubClient('a/b');"
        "sys.exit('huggingface_hub' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0
