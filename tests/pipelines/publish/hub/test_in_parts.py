"""Publications of more files than one commit takes: sent to a pull request, and visible all at once."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from episeek.errors import EpiseekError
from episeek_pipelines.publish.errors import ForeignChangesError
from episeek_pipelines.publish.hub.options import PublishOptions
from episeek_pipelines.publish.hub_client import pull_requests
from episeek_pipelines.publish.overlay.files import SIDECAR_PATHS
from episeek_pipelines.publish.overlay.target_check import TargetMismatchError
from tests.pipelines.publish.overlays import prepared
from tests.pipelines.publish.published import check_readable
from tests.servers.faults import Fault
from tests.servers.hub_refs import open_discussion
from tests.support.amount import amount, full_run
from tests.support.hub_client import CLIENT_WARNINGS
from tests.support.publish_hub import NAME, SMALL, TAG

pytestmark = CLIENT_WARNINGS


@full_run
def test_many_files_come_in_parts_and_show_at_once(hub, tmp_path):
    overlay = tmp_path / "overlay"
    shutil.copytree(prepared(SMALL).local, overlay)
    (overlay / "data/chunk-001").mkdir()
    count, parts_expected = amount(1500, 350), amount(16, 4)
    for number in range(count):
        (overlay / f"data/chunk-001/file-{number:04}.parquet").write_bytes(b"%d" % number)
    base, before = hub.head, hub.tree()
    hub.hub.inject(Fault("gone", method="POST", path="/commit/", after=amount(9, 2)))
    with pytest.raises(EpiseekError):
        hub.publish(str(overlay), source=SMALL)
    assert hub.tree() == before
    hub.hub.clear_faults()
    result = hub.publish(str(overlay), source=SMALL)
    assert result.changes.operation_count > count
    assert result.commit_count == -(-result.changes.operation_count // 100) == parts_expected
    there = hub.hub.repository(NAME)
    assert len(there.discussions) == 1
    committed = [e for e in hub.asked("POST", "/commit/") if e.status == 200]
    assert len(committed) == parts_expected
    assert {exchange.path.rpartition("commit/")[2] for exchange in committed} == {"refs/pr/1"}
    assert len(hub.asked("POST", "/merge")) == 1
    assert hub.main_commits[:2] == [result.commit, base]
    assert hub.tag == result.commit
    assert len(hub.tree()) > count
    parts = [commit for commit in there.commits.values() if "part" in commit.title]
    for part in parts:
        (parent,) = part.parents
        assert len(part.tree.items() ^ there.commits[parent].tree.items()) <= 200  # a replaced one counts twice
    assert hub.publish(str(overlay), source=SMALL).is_new is False
    assert hub.head == result.commit


def test_an_unrelated_commit_before_the_merge(hub, small_parts):
    hub.before("POST", "/merge", 1, lambda: hub.hub.commit(NAME, {"notes.txt": b"n"}))
    hub.before("POST", "/commit/", 2, lambda: hub.hub.commit(NAME, {"more.txt": b"m"}))
    result = hub.publish(prepared(SMALL).url, source=SMALL)
    assert (result.attempts, result.commit_count) == (1, 2)
    assert hub.tree().keys() >= {"notes.txt", "more.txt", *SIDECAR_PATHS}
    assert hub.head == hub.tag == result.commit


def test_a_video_that_changes_before_the_merge(hub, small_parts):
    path = "videos/observation.images.top/chunk-000/file-000.mp4"
    hub.before("POST", "/commit/", 2, lambda: hub.hub.commit(NAME, {path: b"\0other"}))
    with pytest.raises(TargetMismatchError, match=path):
        hub.publish(prepared(SMALL).url, source=SMALL)
    assert hub.asked("POST", "/merge") == []
    assert not SIDECAR_PATHS & hub.tree().keys()
    (draft,) = hub.hub.repository(NAME).discussions.values()
    assert draft["status"] == "closed"


@full_run
def test_four_publish_in_parts_at_once(hub, small_parts):
    base, overlay = hub.head, prepared(SMALL).url
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda _: hub.publish(overlay, source=SMALL), range(4)))
    assert {result.commit for result in results} == {hub.head}
    assert hub.main_commits[:2] == [hub.head, base]
    assert hub.tag == hub.head
    check_readable(f"hf://datasets/{NAME}@{TAG}")


def test_two_open_a_pull_request_for_the_same(hub, small_parts):
    """Both continue with the first one, and a merged pull request is not merged again."""
    planned = hub.publish(prepared(SMALL).url, source=SMALL, options=PublishOptions(dry_run=True, is_verified=False))
    title = f"theirs {pull_requests.upload_marker(planned.parent, planned.changes)}"
    there = hub.hub.repository(NAME)
    hub.before("POST", "/discussions", 1, lambda: open_discussion(there, title, author="org", is_pull_request=True))
    result = hub.publish(prepared(SMALL).url, source=SMALL)
    assert [discussion["status"] for discussion in there.discussions.values()] == ["merged", "closed"]
    assert hub.main_commits[:2] == [result.commit, planned.parent]


def test_the_same_pull_request_of_somebody_else_is_left_alone(hub, small_parts):
    planned = hub.publish(prepared(SMALL).url, source=SMALL, options=PublishOptions(dry_run=True, is_verified=False))
    title = f"theirs {pull_requests.upload_marker(planned.parent, planned.changes)}"
    there = hub.hub.repository(NAME)
    open_discussion(there, title, author="outsider", is_pull_request=True)
    result = hub.publish(prepared(SMALL).url, source=SMALL)
    assert [discussion["status"] for discussion in there.discussions.values()] == ["draft", "merged"]
    assert there.refs["refs/pr/1"] == planned.parent
    assert hub.tag == hub.head == result.commit


def push(hub, number):
    """Push another file to a pull request, and other content of a published one, as somebody else."""
    there, store = hub.hub.repository(NAME), hub.hub.state.store
    foreign = {"load_dataset.py": store.add_blob(b"evil"), "README.md": store.add_blob(b"evil")}
    there.commit(f"refs/pr/{number}", {**there.find(f"refs/pr/{number}").tree, **foreign}, "pushed")


def test_what_is_pushed_before_the_merge_is_not_merged(hub, small_parts):
    """Another pull request is merged instead."""
    hub.before("GET", "/discussions/1", 2, lambda: push(hub, 1))  # merge() asks whether it is merged
    result = hub.publish(prepared(SMALL).url, source=SMALL)
    there = hub.hub.repository(NAME)
    assert [discussion["status"] for discussion in there.discussions.values()] == ["draft", "merged"]
    assert "load_dataset.py" not in hub.tree()
    assert (hub.tag, result.attempts) == (hub.head, 2)


def test_what_is_pushed_in_the_moment_of_the_merge_is_found(hub, small_parts):
    tag = hub.tag
    hub.hub.commit(NAME, {"notes.txt": b"n"})
    hub.before("POST", "/merge", 1, lambda: (hub.hub.commit(NAME, {"more.txt": b"m"}), push(hub, 1)))
    with pytest.raises(
        ForeignChangesError, match=r"found README\.md, load_dataset\.py, which somebody pushed to refs/pr/1"
    ):
        hub.publish(prepared(SMALL).url, source=SMALL)
    assert hub.tag == tag
    assert len(hub.asked("POST", "/merge")) == 1
