"""How long the client waits for the offline Hub."""

import time
import types

import pytest

import episeek.stores.requests.retry
from episeek.errors import WaitLimitError, WriteError
from episeek.stores.requests.retry import RetryPolicy
from episeek_pipelines.publish.errors import ConflictError
from episeek_pipelines.publish.hub_client import commits
from tests.servers.faults import Fault
from tests.support.hub_client import CLIENT_WARNINGS
from tests.support.repository_changes import NAME, asked, changes_of, commit, commits_of, repository_of

pytestmark = CLIENT_WARNINGS


def test_the_hub_is_waited_for_as_it_asks(hub, repository, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(
        episeek.stores.requests.retry, "time", types.SimpleNamespace(sleep=waits.append, monotonic=time.monotonic)
    )
    hub.inject(Fault("status", method="POST", path="/commit/", status=429, headers={"Retry-After": "7"}))
    hub.inject(Fault("status", method="GET", path="/refs", status=503, headers={"RateLimit": '"api";r=0;t=9'}))
    commit(repository, hub)
    repository.refs()
    assert [round(seconds) for seconds in waits] == [7, 9]


def test_a_longer_wait_than_there_is_time_for_is_not_waited(hub, repository):
    hub.inject(Fault("status", method="POST", path="/commit/", status=429, headers={"Retry-After": "700"}))
    with pytest.raises(WriteError, match=r"HTTP 429.*1 try in .* and the store asks for a wait of 700 s"):
        commit(repository, hub)
    assert hub.head(NAME) == hub.base


def test_tries_have_an_end(hub, repository):
    hub.inject(Fault("status", method="POST", path="/commit/", status=503, times=99))
    with pytest.raises(WriteError, match=rf"^hf://datasets/{NAME}@main: found HTTP 503.*4 tries"):
        commit(repository, hub)
    assert len(asked(hub, "POST", "/commit/")) == 4


def test_a_hub_that_does_not_answer_is_left(hub):
    hub.inject(Fault("stall", method="GET", path="/refs", seconds=3.0, times=9))
    hasty = RetryPolicy(max_attempts=2, max_seconds=0.2, first_wait_seconds=0, max_wait_seconds=0)
    with pytest.raises(WaitLimitError):
        repository_of(hub, retry=hasty).refs()


def test_a_commit_that_comes_too_late_is_said_to_be_open(hub):
    hub.inject(Fault("stall", method="POST", path="/commit/", seconds=1.2))
    hasty = RetryPolicy(max_attempts=6, max_seconds=0.6, first_wait_seconds=0.01, max_wait_seconds=0.01)
    changes = changes_of({"note.txt": b"n"})
    with pytest.raises(WaitLimitError, match="it is unknown whether the change was made"):
        commits.commit(repository_of(hub, retry=hasty), changes, parent=hub.base, message="m")
    wait_until(lambda: len(commits_of(hub)) == 3)
    assert not commits.commit(repository_of(hub), changes, parent=hub.head(NAME), message="m").is_new
    with pytest.raises(ConflictError):
        commits.commit(repository_of(hub), changes, parent=hub.base, message="m")
    assert len(commits_of(hub)) == 3


def wait_until(is_so, seconds=10.0):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)
