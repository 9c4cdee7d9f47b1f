"""Merging a pull request on the offline Hub: once, and never over files that others have changed."""

import threading

import pytest

from episeek_pipelines.publish.errors import ConflictError, ForeignChangesError, RefusedError
from episeek_pipelines.publish.hub_client import merges
from tests.servers import hub_refs
from tests.servers.faults import Fault
from tests.servers.hub_call import HubError
from tests.support.amount import IS_FULL, amount
from tests.support.hub_client import CLIENT_WARNINGS
from tests.support.repository_changes import (
    AFTER,
    CHANGES,
    FAULTS,
    NAME,
    asked,
    changes_of,
    commits_of,
    in_parts,
    inject,
    paths,
    repository_of,
)
from tests.support.turns import before

pytestmark = CLIENT_WARNINGS


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        (*call, name)
        for number, call in enumerate(
            [("POST", "/merge"), ("GET", "/discussions/1"), ("GET", "/revision/"), ("GET", "/tree/")]
        )
        for name in list(FAULTS)[number % 3 * (not IS_FULL) :: amount(1, 3)]
    ],
)
def test_a_merge_is_made_once_whatever_fails(hub, repository, method, path, name):
    made = in_parts(repository, hub, CHANGES)
    inject(hub, name, method, path)
    outcome = merges.merge(repository, made.ref, expected_base=hub.base)
    assert [exchange for exchange in hub.exchanges() if exchange.fault]
    assert outcome.commit == hub.head(NAME)
    assert outcome.is_new
    assert len(commits_of(hub)) == 4
    assert paths(hub) == AFTER


def test_a_merge_over_changes_of_other_files(hub, repository):
    made = in_parts(repository, hub, CHANGES)
    hub.commit(NAME, {"other.txt": b"o"})
    assert merges.merge(repository, made.ref, expected_base=hub.base).is_new
    assert paths(hub) == {*AFTER, "other.txt"}


@pytest.mark.parametrize(
    "moved", [{"files": {"README.md": b"# theirs\n"}}, {"delete": ["data/old.parquet", "videos/a.mp4"]}]
)
def test_a_merge_over_changes_of_the_same_files(hub, repository, moved):
    made = in_parts(repository, hub, CHANGES)
    head = hub.commit(NAME, **moved)
    with pytest.raises(
        ConflictError, match=r"changed; expected no changes since commit .* in the files that refs/pr/1 changes"
    ) as caught:
        merges.merge(repository, made.ref, expected_base=hub.base)
    assert caught.value.head == hub.head(NAME) == head
    assert not asked(hub, "POST", "/merge")


def test_a_merge_whose_response_is_lost_is_not_taken_for_another_commit(hub, repository):
    made = in_parts(repository, hub, CHANGES)
    hub.inject(Fault("drop", method="POST", path="/merge"))
    before(hub, "GET", "/discussions/1", 2, lambda: hub.commit(NAME, {"README.md": b"# theirs\n"}))
    with pytest.raises(ConflictError):
        merges.merge(repository, made.ref, expected_base=hub.base)
    assert len(asked(hub, "POST", "/merge")) == 1


def test_somebody_merges_the_same(hub, repository):
    made = in_parts(repository, hub, CHANGES)
    head = hub.commit(NAME, {wanted.path: wanted.source for wanted in CHANGES.additions}, delete=CHANGES.deletions)
    outcome = merges.merge(repository, made.ref, expected_base=hub.base)
    assert (outcome.commit, outcome.is_new) == (head, False)


@pytest.mark.parametrize("name", [None, "503", "lost", "drop"])
def test_a_draft_that_cannot_be_merged_is_published_first(hub, repository, monkeypatch, name):
    answer = hub_refs.discussions

    def strict(call, repository, rest):
        discussion = repository.discussions.get(int(rest[0]), {}) if rest else {}
        if rest[1:] == ["merge"] and discussion["status"] == "draft":
            raise HubError(400, "a draft cannot be merged")
        return answer(call, repository, rest)

    monkeypatch.setattr(hub_refs, "discussions", strict)
    made = in_parts(repository, hub, CHANGES)
    if name:
        inject(hub, name, "POST", "/status")
    assert merges.merge(repository, made.ref, expected_base=hub.base).commit == hub.head(NAME)
    assert paths(hub) == AFTER


def test_another_run_of_the_same_merges_it_a_moment_before(hub, repository):
    made = in_parts(repository, hub, CHANGES)
    there = hub.repository(NAME)
    before(hub, "POST", "/merge", 1, lambda: hub_refs._merge(there, there.discussions[made.number]))
    outcome = merges.merge(repository, made.ref, expected_base=hub.base)
    assert (outcome.commit, outcome.is_new, outcome.operation_count) == (hub.head(NAME), False, 0)
    assert len(commits_of(hub)) == 4
    assert paths(hub) == AFTER


def test_what_cannot_be_merged(hub, repository):
    made = in_parts(repository, hub, CHANGES)
    hub.repository(NAME).discussions[1]["filesWithConflicts"] = ["README.md"]
    hub.inject(Fault("status", method="POST", path="/merge", status=409))
    with pytest.raises(ConflictError, match=r"conflicts in README\.md"):
        merges.merge(repository, made.ref, expected_base=hub.base)
    hub.repository(NAME).discussions[1] |= {"filesWithConflicts": [], "status": "open"}
    hub.inject(Fault("status", method="POST", path="/merge", status=400, headers={"X-Error-Message": "no"}))
    with pytest.raises(RefusedError, match="HTTP 400: no"):
        merges.merge(repository, made.ref, expected_base=hub.base)
    hub.repository(NAME).discussions[1]["status"] = "closed"
    with pytest.raises(ConflictError, match="closed"):
        merges.merge(repository, made.ref, expected_base=hub.base)
    for ref in ("main", "refs/pr/x", "7"):
        with pytest.raises(RefusedError, match="refs/pr/N"):
            merges.merge(repository, ref, expected_base=hub.base)
    assert hub.head(NAME) == hub.base


def test_two_publishers_of_many_changes(hub):
    results: list[object] = []

    def publish(changes):
        repository = repository_of(hub)
        made = in_parts(repository, hub, changes)
        barrier.wait(20)
        try:
            results.append(merges.merge(repository, made.ref, expected_base=hub.base))
        except ConflictError as conflict:
            results.append(conflict)

    barrier = threading.Barrier(2)
    one, other = (changes_of({"README.md": text, "data/x.txt": text}) for text in (b"one", b"other"))
    threads = [threading.Thread(target=publish, args=(changes,)) for changes in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(results) == 2
    merged = hub.repository(NAME).commits[hub.head(NAME)].tree
    assert merged["README.md"] == merged["data/x.txt"], "half of each"


def foreign(hub, ref, files=None):
    there = hub.repository(NAME)
    blobs = {path: hub.state.store.add_blob(data) for path, data in (files or {"foreign.txt": b"f"}).items()}
    return there.commit(ref, {**there.find(ref).tree, **blobs}, "pushed").oid


def test_another_head_than_was_verified_is_not_merged(hub, repository):
    made = in_parts(repository, hub, CHANGES)
    head = foreign(hub, made.ref)
    with pytest.raises(ConflictError, match=f"found commit {head}; expected {made.head}, which was verified") as caught:
        merges.merge(repository, made.ref, expected_base=hub.base, head=made.head)
    assert caught.value.head == head
    assert not asked(hub, "POST", "/merge")
    assert hub.repository(NAME).discussions[1]["status"] == "draft"


@pytest.mark.parametrize(
    ("files", "shown"),
    [({"foreign.txt": b"f"}, r"foreign\.txt"), ({"meta/x.json": b"[]"}, r"meta/x\.json")],
    ids=["another", "other-content"],
)
@pytest.mark.parametrize("name", [None, "lost"])
def test_what_is_pushed_in_the_moment_of_the_merge_is_named(hub, repository, files, shown, name):
    made = in_parts(repository, hub, CHANGES)
    if name:
        inject(hub, name, "POST", "/merge")
    before(hub, "POST", "/merge", 1, lambda: (hub.commit(NAME, {"theirs.txt": b"t"}), foreign(hub, made.ref, files)))
    with pytest.raises(ForeignChangesError, match=f": found {shown}, which somebody pushed to refs/pr/1"):
        merges.merge(repository, made.ref, expected_base=hub.base, head=made.head)
    with pytest.raises(ForeignChangesError, match=shown):  # also when it is merged already
        merges.merge(repository, made.ref, expected_base=hub.base, head=made.head)


def test_what_others_commit_in_the_moment_of_the_merge_is_theirs(hub, repository):
    made = in_parts(repository, hub, CHANGES)
    hub.commit(NAME, {"one.txt": b"1"})
    before(hub, "POST", "/merge", 1, lambda: hub.commit(NAME, {"two.txt": b"2"}))
    assert merges.merge(repository, made.ref, expected_base=hub.base, head=made.head).commit == hub.head(NAME)
    assert paths(hub) == {*AFTER, "one.txt", "two.txt"}
