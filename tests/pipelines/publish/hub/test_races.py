"""Publications onto the offline Hub at the same time as others, and as people who change the repository."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from episeek_pipelines.jobs.prepare import prepare
from episeek_pipelines.jobs.verify import verify
from episeek_pipelines.publish.errors import ConflictError, RefusedPublicationError
from episeek_pipelines.publish.hub import publish
from episeek_pipelines.publish.hub.options import PublishResult
from episeek_schemas import layout
from tests.pipelines.conftest import DATA, copy_dataset
from tests.pipelines.publish.overlays import change_one_data_file, prepared
from tests.pipelines.publish.published import check_readable
from tests.pipelines.remote_datasets import files_of
from tests.servers.faults import Fault
from tests.support.amount import amount, first
from tests.support.hub_client import CLIENT_WARNINGS
from tests.support.publish_hub import NAME, SMALL, TAG, UNVERIFIED

pytestmark = CLIENT_WARNINGS

COUNT = amount(8, 4)
"""Publications at the same time."""


@pytest.mark.parametrize("is_same", first([False, True]), ids=lambda is_same: "same" if is_same else "different")
def test_many_publish_at_once(running, is_same, tmp_path):
    options = replace(UNVERIFIED, base=running.start(NAME, files_of(DATA / SMALL)))
    overlays = (
        [prepared(SMALL).url] * COUNT if is_same else [other_overlay(tmp_path, number) for number in range(COUNT)]
    )
    barrier = threading.Barrier(COUNT)

    def published(overlay):
        barrier.wait(20)
        try:
            return running.publish(overlay, source=SMALL, options=options)
        except ConflictError as conflict:
            return conflict

    with ThreadPoolExecutor(COUNT) as threads:
        ended = list(threads.map(published, overlays))
    results = [each for each in ended if isinstance(each, PublishResult)]
    conflicts = [each for each in ended if isinstance(each, ConflictError)]
    assert len(running.main_commits) == 3, "more than one was committed"
    assert running.tag == running.head
    if is_same:
        assert conflicts == []
        assert sum(result.is_new for result in results) == 1
        assert {result.commit for result in results} == {running.head}
    else:
        (winner,) = results
        assert winner.commit == running.head
        assert len(conflicts) == COUNT - 1
        for conflict in conflicts:
            assert conflict.head == running.head
            assert "data/chunk-000/file-000.parquet" in str(conflict)
            assert re.search(
                "of somebody else, which also changes .*run this command again| changed since .*--base", str(conflict)
            )
    report = verify(f"hf://datasets/{NAME}@{TAG}")
    assert (report.error_count, report.level) == (0, "layout")
    assert report.level_reason == "the default for a dataset in a store"
    check_readable(f"hf://datasets/{NAME}@{TAG}")


def other_overlay(folder, number):
    """An overlay of the same dataset with other values in its rows."""
    source = copy_dataset(SMALL, folder / f"source-{number}")
    change_one_data_file(source, by=number + 1)
    prepare(str(source), str(folder / f"overlay-{number}"))
    return str(folder / f"overlay-{number}")


def test_an_unrelated_commit_is_built_upon(hub):
    theirs = []
    hub.before("POST", "/commit/", 1, lambda: theirs.append(hub.hub.commit(NAME, {"notes.txt": b"n"})))
    result = hub.publish(prepared(SMALL).url, source=SMALL)
    assert (result.attempts, result.is_new, result.parent) == (2, True, theirs[0])
    assert hub.main_commits[:2] == [result.commit, theirs[0]]
    assert hub.tree()["notes.txt"].size == 1
    assert hub.tag == result.commit


def test_a_card_that_was_edited_is_added_to(hub):
    hub.before("POST", "/commit/", 1, lambda: hub.hub.commit(NAME, {"README.md": b"# theirs\n"}))
    result = hub.publish(prepared(SMALL).url, source=SMALL)
    assert result.attempts == 2
    card = hub.hub.state.store.blobs[hub.tree()["README.md"].oid]
    assert b"# theirs\n" in card
    assert b"episeek:begin" in card


@pytest.mark.parametrize(
    ("path", "content"), [("data/chunk-000/file-000.parquet", b"other"), ("data/chunk-009/file-000.parquet", b"new")]
)
def test_a_file_that_both_change_is_a_conflict(path, content, hub):
    """The same holds for a file that a publication would delete."""
    tag = hub.tag
    hub.before("POST", "/commit/", 1, lambda: hub.hub.commit(NAME, {path: content}))
    with pytest.raises(ConflictError) as caught:
        hub.publish(prepared(SMALL).url, source=SMALL)
    assert caught.value.head == hub.head
    assert f"of somebody else, which also changes {path}" in str(caught.value)
    assert len(hub.main_commits) == 3
    assert hub.tag == tag


def test_commits_of_others_without_end(hub, monkeypatch):
    numbers = iter(range(100))
    for number in range(1, 20):
        hub.before("POST", "/commit/", number, lambda: hub.hub.commit(NAME, {f"notes-{next(numbers)}.txt": b"n"}))
    with pytest.raises(ConflictError):
        hub.publish(prepared(SMALL).url, source=SMALL)
    assert next(numbers) == publish.MAX_ATTEMPTS


def test_a_tag_that_another_publisher_has_moved_already(hub):
    """The other one publishes the same and is faster with the tag."""
    hub.before("DELETE", "/tag/", 1, lambda: hub.hub.add_tag(NAME, TAG, "main"))
    hub.hub.inject(Fault("drop", method="DELETE", path="/tag/"))
    result = hub.publish(prepared(SMALL).url, source=SMALL)
    assert hub.tag == hub.head == result.commit


def test_what_arrived_differs(hub):
    """Somebody replaces a file right after it was sent: the tag does not move."""
    tag, damaged = hub.tag, b"x" * 5000

    def damage():
        head = hub.hub.repository(NAME).commits[hub.head]
        entry = head.tree[layout.SAMPLES_PATH]
        hub.hub.state.store.lfs_objects[entry.sha256] = damaged

    hub.before("HEAD", "byte_index", 1, damage)
    with pytest.raises(RefusedPublicationError, match="differs from what was sent"):
        hub.publish(prepared(SMALL).url, source=SMALL)
    assert hub.tag == tag
