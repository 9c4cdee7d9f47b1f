"""Changes of more than one commit: a pull request on the offline Hub, which a later run finds and continues."""

import pytest

from episeek_pipelines.publish.errors import ConflictError
from episeek_pipelines.publish.hub_client import commits, merges, pull_requests
from episeek_pipelines.publish.hub_client.pull_requests import upload_marker
from tests.servers.faults import Fault
from tests.servers.hub_refs import open_discussion
from tests.support.amount import IS_FULL, amount
from tests.support.hub_client import CLIENT_WARNINGS
from tests.support.repository_changes import (
    AFTER,
    CHANGES,
    FAULTS,
    NAME,
    OLD,
    asked,
    commits_of,
    in_parts,
    inject,
    many,
    paths,
    repository_of,
)
from tests.support.turns import before

pytestmark = CLIENT_WARNINGS


def chain_of(hub, ref):
    """Return the commits of a ref that are not on the branch, the first one first."""
    found, oid = [], hub.repository(NAME).refs[ref]
    while oid != hub.base:
        found.append(hub.repository(NAME).commits[oid])
        (oid,) = found[-1].parents
    return found[::-1]


def test_many_changes_are_a_pull_request_of_several_commits(hub, repository):
    made = in_parts(repository, hub)
    assert (made.number, made.ref, made.is_new) == (1, "refs/pr/1", True)
    assert made.head == hub.repository(NAME).refs["refs/pr/1"] == repository.head(made.ref)
    assert made.url.endswith("/datasets/acme/ds/discussions/1")
    assert hub.head(NAME) == hub.base
    assert [step.title for step in chain_of(hub, made.ref)] == [f"many (part {number} of 4)" for number in (1, 2, 3, 4)]
    assert paths(hub, made.ref) == {".gitattributes", *OLD, *many().paths} - {"data/old.parquet"}
    outcome = merges.merge(repository, made.ref, expected_base=hub.base)
    assert (outcome.commit, outcome.is_new, outcome.operation_count) == (hub.head(NAME), True, 250)
    assert hub.repository(NAME).commits[outcome.commit].parents[0] == hub.base
    assert paths(hub) == paths(hub, made.ref)
    again = merges.merge(repository, made.ref, expected_base=hub.base)
    assert (again.commit, again.is_new) == (outcome.commit, False)
    assert pull_requests.commit_in_parts(repository, many(), parent=outcome.commit, message="many") is None
    assert len(commits_of(hub)) == 2 + 4 + 1
    bodies = asked(hub, "POST", "/commit/")
    assert len(bodies) == 4


def test_a_pull_request_for_others_to_merge(hub, repository):
    made = pull_requests.commit_in_parts(repository, CHANGES, parent=hub.base, message="for you")
    assert made is not None
    assert [step.title for step in chain_of(hub, made.ref)] == ["for you"]
    assert paths(hub, made.ref) == AFTER
    assert hub.head(NAME) == hub.base
    again = pull_requests.commit_in_parts(repository, CHANGES, parent=hub.base, message="for you")
    assert again is not None
    assert again.number == made.number
    assert len(commits_of(hub)) == 3


class Killed(BaseException):
    pass


@pytest.mark.parametrize("commit_number", [1, 2, 4])
@pytest.mark.parametrize("is_applied", [True, False])
def test_a_run_that_was_stopped_goes_on(hub, repository, monkeypatch, commit_number, is_applied):
    calls = []
    commit_ = commits.commit

    def mortal(self, *arguments, **options):
        calls.append(arguments)
        if len(calls) == commit_number and not is_applied:
            raise Killed
        result = commit_(self, *arguments, **options)
        if len(calls) == commit_number:
            raise Killed
        return result

    monkeypatch.setattr(pull_requests, "commit", mortal)
    with pytest.raises(Killed):
        in_parts(repository, hub)
    monkeypatch.setattr(pull_requests, "commit", commit_)
    hub.clear()
    made = in_parts(repository_of(hub), hub, message="another title")
    assert (made.number, made.is_new) == (1, False)
    assert len(hub.repository(NAME).discussions) == 1
    assert len(chain_of(hub, made.ref)) == 4
    assert len(asked(hub, "POST", "/commit/")) == 4 - commit_number + (not is_applied)
    assert made.head == repository.head(made.ref)
    assert paths(hub, made.ref) == {".gitattributes", *OLD, *many().paths} - {"data/old.parquet"}


def test_a_pull_request_with_anything_else_in_it_is_not_taken_over(hub, repository):
    made = in_parts(repository, hub)
    entry = hub.state.store.add_blob(b"foreign")
    tree = {**hub.repository(NAME).commits[made.head].tree, "foreign.txt": entry}
    hub.repository(NAME).commit(made.ref, tree, "foreign")
    again = in_parts(repository, hub)
    assert (again.number, again.is_new) == (2, True)
    assert "foreign.txt" not in paths(hub, again.ref)


def test_another_publication_has_another_pull_request(hub, repository):
    made = [in_parts(repository, hub, changes).number for changes in (many(), many(120), CHANGES)]
    assert made == [1, 2, 3]
    assert upload_marker("0" * 40, many()) != upload_marker("1" * 40, many()) != upload_marker("1" * 40, many(120))


def test_a_long_title_keeps_its_mark(hub, repository):
    made = in_parts(repository, hub, CHANGES, message="m" * 500)
    title = hub.repository(NAME).discussions[made.number]["title"]
    assert len(title) == 200
    assert title.endswith(upload_marker(hub.base, CHANGES))
    assert in_parts(repository, hub, CHANGES, message="n").number == made.number


def test_parts_on_a_branch_that_has_moved(hub, repository):
    head = hub.commit(NAME, {"x.txt": b"x"})
    with pytest.raises(ConflictError) as caught:
        in_parts(repository, hub)
    assert caught.value.head == head
    assert not hub.repository(NAME).discussions


def test_a_branch_that_moves_while_the_pull_request_is_opened(hub, repository):
    before(hub, "POST", "/discussions", 1, lambda: hub.commit(NAME, {"racing.txt": b"r"}))
    with pytest.raises(ConflictError):
        in_parts(repository, hub)
    assert not asked(hub, "POST", "/commit/")


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        (*call, name)
        for number, call in enumerate(
            [
                ("GET", "/tree/"),
                ("GET", "/discussions$"),
                ("POST", "/discussions$"),
                ("GET", "/discussions/1"),
                ("POST", "/commit/"),
            ]
        )
        for name in list(FAULTS)[number % 3 * (not IS_FULL) :: amount(1, 3)]
    ],
)
def test_parts_are_made_once_whatever_fails(hub, repository, method, path, name):
    inject(hub, name, method, path)
    made = in_parts(repository, hub, many(120))
    assert [exchange for exchange in hub.exchanges() if exchange.fault]
    assert (made.number, len(hub.repository(NAME).discussions)) == (1, 1)
    assert len(chain_of(hub, made.ref)) == 3
    assert paths(hub, made.ref) == {".gitattributes", *OLD, *many(120).paths} - {"data/old.parquet"}


def test_two_runs_in_one_pull_request(hub, repository, monkeypatch):
    commit_, calls = commits.commit, []

    def overtaken(self, *arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:
            in_parts(repository_of(hub), hub)
        return commit_(self, *arguments, **options)

    monkeypatch.setattr(pull_requests, "commit", overtaken)
    with pytest.raises(ConflictError, match="@refs/pr/1: found commit"):
        in_parts(repository, hub)
    made = in_parts(repository, hub)
    assert (made.number, made.is_new) == (1, False)
    assert len(chain_of(hub, made.ref)) == 4
    assert paths(hub, made.ref) == {".gitattributes", *OLD, *many().paths} - {"data/old.parquet"}


def test_a_pull_request_of_somebody_else_is_not_taken_over_and_not_closed(hub, repository):
    title = f"theirs {upload_marker(hub.base, CHANGES)}"
    open_discussion(hub.repository(NAME), title, author="outsider", is_pull_request=True)
    made = in_parts(repository, hub, CHANGES)
    assert (made.number, made.is_new) == (2, True)
    pull_requests.close(repository, "refs/pr/1", comment="not ours")
    assert hub.repository(NAME).discussions[1]["status"] == "draft"
    pull_requests.close(repository, made.ref, comment="ours")
    assert hub.repository(NAME).discussions[2]["status"] == "closed"
    assert len(asked(hub, "GET", "/whoami")) == 1


def test_an_opened_pull_request_of_somebody_else_is_not_what_was_opened(hub, repository):
    """The response is lost, and no pull request was opened."""
    title = f"many {upload_marker(hub.base, CHANGES)}"
    open_discussion(hub.repository(NAME), title, author="outsider", is_pull_request=True)
    hub.inject(Fault("drop", method="POST", path="/discussions$"))
    assert in_parts(repository, hub, CHANGES).number == 2


def test_a_token_that_may_not_ask_whose_it_is_takes_nothing_over(hub, repository):
    hub.inject(Fault("status", method="GET", path="/whoami", status=403, times=9))
    assert [in_parts(repository, hub, CHANGES).number for _ in range(2)] == [1, 2]
    pull_requests.close(repository, "refs/pr/1", comment="whose?")
    assert [each["status"] for each in hub.repository(NAME).discussions.values()] == ["draft", "draft"]
    assert len(asked(hub, "GET", "/whoami")) == 1
