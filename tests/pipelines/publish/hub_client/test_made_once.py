"""Changes on the offline Hub are made once, whatever request fails, whatever response is lost, and whoever is faster."""

import pickle
import threading
from dataclasses import replace

import pytest

from episeek_pipelines.publish.errors import ConflictError
from episeek_pipelines.publish.hub_client import commits, merges, pull_requests
from episeek_pipelines.publish.hub_client.tags import move_tag
from tests.servers.faults import Fault
from tests.servers.hub_call import json_response
from tests.support.amount import IS_FULL, amount
from tests.support.hub_client import CLIENT_WARNINGS
from tests.support.repository_changes import (
    AFTER,
    CHANGES,
    FAULTS,
    NAME,
    OLD,
    VIDEO,
    asked,
    changes_of,
    commit,
    commits_of,
    inject,
    paths,
    repository_of,
    tag,
)
from tests.support.turns import before

pytestmark = CLIENT_WARNINGS
COMMIT_CALLS = [
    ("POST", "/paths-info/"),
    ("POST", "/preupload/"),
    ("POST", "/objects/batch"),
    ("PUT", "/lfs/"),
    ("POST", "/objects/verify"),
    ("GET", "/revision/"),
    ("POST", "/validate-yaml"),
    ("POST", "/commit/"),
]


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        (*call, name)
        for number, call in enumerate(COMMIT_CALLS)
        for name in list(FAULTS)[number % 3 * (not IS_FULL) :: amount(1, 3)]
    ],
)
def test_a_commit_is_made_once_whatever_fails(hub, repository, method, path, name):
    inject(hub, name, method, path)
    outcome = commit(repository, hub)
    assert [exchange for exchange in hub.exchanges() if exchange.fault], "the fault was not met"
    assert outcome.commit == hub.head(NAME)
    assert outcome.is_new
    assert outcome.operation_count == 4
    assert hub.repository(NAME).commits[outcome.commit].parents == (hub.base,)
    assert len(commits_of(hub)) == 3
    assert paths(hub) == AFTER


@pytest.mark.parametrize("name", ["500", "reset", "lost", "503"])
@pytest.mark.parametrize("path", ["/revision/", "/commits/", "/paths-info/"])
def test_a_lost_response_is_looked_up_whatever_fails_then(hub, repository, path, name):
    method = "POST" if "paths" in path else "GET"
    hub.inject(Fault("commit_then_drop", method="POST", path="/commit/"))
    skipped = {"/paths-info/": 1, "/revision/": 1}.get(path, 0)
    hub.inject(replace(FAULTS[name], method=method, path=path, after=skipped))
    assert commit(repository, hub).commit == hub.head(NAME)
    assert len(asked(hub, "POST", "/commit/")) == 1
    assert len({exchange.fault for exchange in hub.exchanges() if exchange.fault}) + (name == "lost") == 2


def test_a_lost_response_is_ours_also_below_a_later_commit(hub, repository):
    hub.inject(Fault("commit_then_drop", method="POST", path="/commit/"))
    later = []

    def on_top():
        later.append(hub.commit(NAME, {"later.txt": b"l"}))

    before(hub, "GET", "/revision/", 2, on_top)
    outcome = commit(repository, hub)
    assert hub.repository(NAME).commits[hub.head(NAME)].parents == (outcome.commit,)
    assert hub.head(NAME) == later[0]


def test_a_commit_that_is_nearly_ours_is_not(hub, repository):
    hub.inject(Fault("drop", method="POST", path="/commit/"))
    files = {wanted.path: wanted.source for wanted in CHANGES.additions}
    before(hub, "GET", "/revision/", 2, lambda: hub.commit(NAME, {**files, "README.md": b"# other\n"}))
    with pytest.raises(ConflictError) as caught:
        commit(repository, hub)
    assert caught.value.head == hub.head(NAME)
    assert len(commits_of(hub)) == 3


def lose_to_a_gateway(hub, method, path):
    """Apply the first such request, and let something between here and the Hub answer with 504."""
    seen: list[str] = []
    answer = hub._hub.application

    def application(request):
        response = answer(request)
        if request.method == method and path in request.target and not seen:
            seen.append(request.target)
            return json_response({"error": "time-out"}, status=504)
        return response

    hub._hub.application = application


def test_changes_that_a_gateway_times_out_on_are_made_once(hub, repository):
    for method, path in (
        ("POST", "/repos/create"),
        ("POST", "/commit/"),
        ("POST", "/discussions"),
        ("POST", "/merge"),
        ("DELETE", "/tag/"),
        ("POST", "/tag/"),
    ):
        lose_to_a_gateway(hub, method, path)
    repository_of(hub, "acme/made").create(True)
    parent = commit(repository, hub).commit
    made = pull_requests.commit_in_parts(repository, changes_of({"x.txt": b"x"}), parent=parent, message="parts")
    assert made is not None
    merged = merges.merge(repository, made.ref, expected_base=parent).commit
    hub.add_tag(NAME, "v3.0", parent)
    move_tag(repository, "v3.0", merged)
    assert len(commits_of(hub)) == 5
    assert len(hub.repository(NAME).discussions) == 1
    assert tag(hub) == merged == hub.head(NAME)
    assert len([exchange for exchange in hub.exchanges() if exchange.status == 504]) == 6
    assert not [exchange for exchange in hub.exchanges() if exchange.status in (404, 409, 412)][
        1:
    ]  # made/, not yet there


@pytest.mark.parametrize(("method", "path", "count"), [("GET", "/revision/", 1), ("POST", "/commit/", 1)])
def test_a_racing_commit_is_a_conflict(hub, repository, method, path, count):
    before(hub, method, path, count, lambda: hub.commit(NAME, {"racing.txt": b"r"}))
    with pytest.raises(ConflictError) as caught:
        commit(repository, hub)
    assert caught.value.head == hub.head(NAME)
    assert str(caught.value).startswith(
        f"hf://datasets/{NAME}@main: found commit {hub.head(NAME)}; expected {hub.base}"
    )
    assert paths(hub) == {".gitattributes", *OLD, "racing.txt"}
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.head) == (str(caught.value), caught.value.head)


@pytest.mark.parametrize("is_same", [True, False])
def test_two_publishers_race(hub, is_same):
    other = CHANGES if is_same else changes_of({"README.md": b"# other\n", "b.mp4": VIDEO})
    commits_made: list[str] = []
    heads_met: list[str] = []
    barrier = threading.Barrier(2)

    def publish(changes):
        barrier.wait(20)
        try:
            commits_made.append(commits.commit(repository_of(hub), changes, parent=hub.base, message="m").commit)
        except ConflictError as conflict:
            heads_met.append(conflict.head)

    threads = [threading.Thread(target=publish, args=(changes,)) for changes in (CHANGES, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert commits_made == heads_met == [hub.head(NAME)]
    assert len(commits_of(hub)) == 3
