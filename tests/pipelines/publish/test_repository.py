"""Commits, pull requests and tags on the offline Hub: made once, whatever goes wrong; the token is nowhere."""

import hashlib
import io
import logging
import os
import pickle
import subprocess
import sys
import threading
import time
import traceback
import types
from dataclasses import replace

import numpy as np
import pytest

import episeek.retry
from episeek.errors import (
    AccessError,
    ChangedFileError,
    EpiseekError,
    MissingFileError,
    ReadError,
    WaitLimitError,
    WriteError,
)
from episeek.retry import RetryPolicy
from episeek_pipelines.publish import hub_errors, uploads
from episeek_pipelines.publish.changes import Addition, Changes
from episeek_pipelines.publish.contents import git_blob_id
from episeek_pipelines.publish.hub_errors import ConflictError, RefusedError
from episeek_pipelines.publish.pull_requests import upload_marker
from episeek_pipelines.publish.repository import HubRepository
from tests.servers import hub_refs
from tests.servers.faults import Fault
from tests.servers.hub import TOKEN, FakeHub
from tests.servers.hub_call import HubError, json_response

# The client's own upload uses what its HTTP library calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw:DeprecationWarning")

NAME = "acme/ds"
QUICK = RetryPolicy(max_attempts=4, max_seconds=20, first_wait_seconds=0.001, max_wait_seconds=0.01)
VIDEO = np.random.default_rng(3).bytes(50_000)
OLD = {"README.md": b"# old\n", "data/old.parquet": b"old", "videos/a.mp4": b"\0old"}


class Hub(FakeHub):
    base = ""
    """The commit that all changes are made up for."""


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The client reads its environment when it is imported: its constants are replaced, and its waits pass at once."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    hurried = types.SimpleNamespace(sleep=lambda seconds: None, time=time.time, monotonic=time.monotonic)
    monkeypatch.setattr(_http, "time", hurried)
    with Hub() as hub:
        hub.base = hub.add_dataset(NAME, OLD)
        yield hub


@pytest.fixture
def repository(hub):
    return repository_of(hub)


def repository_of(hub, name=NAME, token=TOKEN, retry=QUICK):
    return HubRepository(name, token=token, retry=retry, endpoint=hub.url)


def addition(path, content):
    return Addition(path, content, len(content), hashlib.sha256(content).hexdigest())


def changes_of(files, deletions=(), unchanged_count=0):
    return Changes(tuple(addition(path, files[path]) for path in sorted(files)), tuple(deletions), unchanged_count)


CHANGES = changes_of({"README.md": b"# new\n", "meta/x.json": b"{}", "videos/a.mp4": VIDEO}, ["data/old.parquet"])
AFTER = {".gitattributes", "README.md", "meta/x.json", "videos/a.mp4"}


def many(count=250):
    files = {f"data/file-{number:03}.txt": f"{number}".encode() for number in range(count - 1)}
    return changes_of(files, ["data/old.parquet"])


def commit(repository, hub, **options):
    return repository.commit(CHANGES, **{"parent": hub.base, "message": "new", **options})


def commits(hub):
    return list(hub.repository(NAME).commits)


def paths(hub, revision="main"):
    return set(hub.repository(NAME).find(revision).tree)


def asked(hub, method, path):
    return [exchange for exchange in hub.exchanges() if exchange.method == method and path in exchange.path]


# --- what is there --------------------------------------------------------------------------------------------------------


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
            HubRepository(name)


@pytest.mark.parametrize("private", [True, False])
def test_create(hub, private):
    made = repository_of(hub, "acme/made")
    made.create(private)
    assert hub.repository("acme/made").is_private is private
    with pytest.raises(RefusedError, match="acme/made: found HTTP 409"):
        made.create(private)
    with pytest.raises(AccessError, match="HTTP 403"):
        repository_of(hub, "other/made").create(private)


@pytest.mark.parametrize("kind", ["commit_then_drop", "drop", "reset"])
def test_create_whose_response_is_lost(hub, kind):
    hub.inject(Fault(kind, method="POST", path="/repos/create"))
    repository_of(hub, "acme/made").create(True)
    assert hub.repository("acme/made").is_private


# --- a commit -------------------------------------------------------------------------------------------------------------


def test_a_commit_has_everything(hub, repository):
    hub.clear()
    outcome = commit(repository, hub, description="why")
    assert outcome.is_new
    assert outcome.operation_count == 4
    assert outcome.commit == hub.head(NAME)
    made = hub.repository(NAME).commits[outcome.commit]
    assert (made.parents, made.title, made.message) == ((hub.base,), "new", "why")
    assert set(made.tree) == AFTER
    assert made.tree["videos/a.mp4"].sha256 == CHANGES.additions[2].sha256
    assert len(commits(hub)) == 3
    assert len(asked(hub, "POST", "/commit/")) == 1
    (upload,) = asked(hub, "PUT", "/lfs/")
    assert upload.received_bytes == len(VIDEO)
    assert len(hub.exchanges()) <= 9


def test_files_of_the_disk_are_sent_as_they_are(hub, repository, tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(VIDEO)
    wanted = Addition("videos/b.mp4", str(path), len(VIDEO), hashlib.sha256(VIDEO).hexdigest())
    commit_ = repository.commit(Changes((wanted,), (), 0), parent=hub.base, message="m").commit
    assert repository.files(commit_)["videos/b.mp4"].sha256 == wanted.sha256


def test_the_same_again_is_no_commit(hub, repository):
    made = commit(repository, hub).commit
    hub.clear()
    again = commit(repository, hub, parent=made)
    assert (again.commit, again.is_new, again.operation_count) == (made, False, 0)
    assert [exchange.path.split("/")[5] for exchange in hub.exchanges()] == ["paths-info"]
    assert repository.commit(Changes((), (), 3), parent=made, message="m").commit == made


def test_only_what_differs_is_committed(hub, repository):
    outcome = repository.commit(changes_of({**OLD, "new.txt": b"n"}, ["nowhere.txt"]), parent=hub.base, message="m")
    assert outcome.operation_count == 1
    assert paths(hub) == {".gitattributes", *OLD, "new.txt"}


def test_what_has_arrived_is_not_sent_again(hub, repository):
    hub.inject(Fault("status", method="POST", path="/commit/", status=400))
    with pytest.raises(RefusedError):
        commit(repository, hub)
    assert len(asked(hub, "PUT", "/lfs/")) == 1
    assert commit(repository, hub).is_new
    assert len(asked(hub, "PUT", "/lfs/")) == 1


def test_uploads_go_in_groups(hub, repository, monkeypatch):
    monkeypatch.setattr(uploads, "GROUP_BYTES", 1000)
    files = {f"{number}.mp4": bytes([number]) * 400 for number in range(5)}
    assert repository.commit(changes_of(files), parent=hub.base, message="m").operation_count == 5
    assert len(asked(hub, "POST", "/preupload/")) == 3
    assert len(asked(hub, "PUT", "/lfs/")) == 5


def test_nothing_is_left_out_of_a_commit_for_a_gitignore(hub, repository):
    wanted = changes_of({".gitignore": b"*.mp4\n*.json\n", "b.mp4": VIDEO, "c.json": b"{}"})
    repository.commit(wanted, parent=hub.base, message="m")
    assert paths(hub) >= wanted.paths


def test_more_than_one_commit_takes_is_refused(hub, repository):
    with pytest.raises(RefusedError, match="found 101 files to add and delete; expected at most 100"):
        repository.commit(many(101), parent=hub.base, message="m")
    assert repository.commit(many(100), parent=hub.base, message="m").operation_count == 100


@pytest.mark.parametrize("is_large", [True, False])
def test_a_local_file_that_has_changed(hub, repository, tmp_path, is_large):
    path = tmp_path / "film"
    path.write_bytes(VIDEO)
    wanted = Addition("x.mp4" if is_large else "x.txt", str(path), len(VIDEO), hashlib.sha256(VIDEO).hexdigest())
    path.write_bytes(VIDEO[::-1])
    with pytest.raises(ChangedFileError, match=r"film: found 50000 bytes"):
        repository.commit(Changes((wanted,), (), 0), parent=hub.base, message="m")
    path.unlink()
    with pytest.raises(MissingFileError, match=r"film: found no such file"):
        repository.commit(Changes((wanted,), (), 0), parent=hub.base, message="m")
    assert hub.head(NAME) == hub.base


# --- what goes wrong ------------------------------------------------------------------------------------------------------

FAULTS = {
    "429": Fault("status", status=429, headers={"Retry-After": "0"}),
    "429-rate-limit": Fault("status", status=429, headers={"RateLimit": '"api";r=0;t=0'}),
    "500": Fault("status", status=500, times=2),
    "503": Fault("status", status=503),
    "drop": Fault("drop"),
    "reset": Fault("reset", times=2),
    "lost": Fault("commit_then_drop"),
    "not-http": Fault("not_http"),
    "truncated": Fault("truncate"),
}
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


def inject(hub, name, method, path):
    hub.inject(replace(FAULTS[name], method=method, path=path))


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize(("method", "path"), COMMIT_CALLS)
def test_a_commit_is_made_once_whatever_fails(hub, repository, method, path, name):
    inject(hub, name, method, path)
    outcome = commit(repository, hub)
    assert [exchange for exchange in hub.exchanges() if exchange.fault], "the fault was not met"
    assert outcome.commit == hub.head(NAME)
    assert outcome.is_new
    assert outcome.operation_count == 4
    assert hub.repository(NAME).commits[outcome.commit].parents == (hub.base,)
    assert len(commits(hub)) == 3
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

    when_asked(hub, "GET", "/revision/", 2, on_top)
    outcome = commit(repository, hub)
    assert hub.repository(NAME).commits[hub.head(NAME)].parents == (outcome.commit,)
    assert hub.head(NAME) == later[0]


def test_a_commit_that_is_nearly_ours_is_not(hub, repository):
    hub.inject(Fault("drop", method="POST", path="/commit/"))
    files = {wanted.path: wanted.source for wanted in CHANGES.additions}
    when_asked(hub, "GET", "/revision/", 2, lambda: hub.commit(NAME, {**files, "README.md": b"# other\n"}))
    with pytest.raises(ConflictError) as caught:
        commit(repository, hub)
    assert caught.value.head == hub.head(NAME)
    assert len(commits(hub)) == 3


def when_asked(hub, method, path, count, action):
    """Do something just before the server answers the request of this number."""
    state, seen, answer = hub, [], hub._hub.application

    def application(request):
        if request.method == method and path in request.target:
            seen.append(request.target)
            if len(seen) == count:
                action()
        return answer(request)

    state._hub.application = application


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
    made = repository.commit_in_parts(changes_of({"x.txt": b"x"}), parent=parent, message="parts")
    merged = repository.merge(made.ref, expected_base=parent).commit
    hub.add_tag(NAME, "v3.0", parent)
    repository.move_tag("v3.0", merged)
    assert len(commits(hub)) == 5
    assert len(hub.repository(NAME).discussions) == 1
    assert tag(hub) == merged == hub.head(NAME)
    assert len([exchange for exchange in hub.exchanges() if exchange.status == 504]) == 6
    assert not [exchange for exchange in hub.exchanges() if exchange.status in (404, 409, 412)][
        1:
    ]  # made/, not yet there


@pytest.mark.parametrize(("method", "path", "count"), [("GET", "/revision/", 1), ("POST", "/commit/", 1)])
def test_a_racing_commit_is_a_conflict(hub, repository, method, path, count):
    when_asked(hub, method, path, count, lambda: hub.commit(NAME, {"racing.txt": b"r"}))
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
            commits_made.append(repository_of(hub).commit(changes, parent=hub.base, message="m").commit)
        except ConflictError as conflict:
            heads_met.append(conflict.head)

    threads = [threading.Thread(target=publish, args=(changes,)) for changes in (CHANGES, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert commits_made == heads_met == [hub.head(NAME)]
    assert len(commits(hub)) == 3


def test_the_hub_is_waited_for_as_it_asks(hub, repository, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(episeek.retry, "time", types.SimpleNamespace(sleep=waits.append, monotonic=time.monotonic))
    hub.inject(Fault("status", method="POST", path="/commit/", status=429, headers={"Retry-After": "7"}))
    hub.inject(Fault("status", method="GET", path="/refs", status=503, headers={"RateLimit": '"api";r=0;t=9'}))
    commit(repository, hub)
    repository.refs()
    assert [round(seconds) for seconds in waits] == [7, 9]


def test_a_longer_wait_than_there_is_time_for_is_not_waited(hub, repository):
    hub.inject(Fault("status", method="POST", path="/commit/", status=429, headers={"Retry-After": "700"}))
    with pytest.raises(WriteError, match=r"HTTP 429.*1 try in .* and 700 s to wait"):
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
    with pytest.raises(WaitLimitError, match="it may have been done all the same"):
        repository_of(hub, retry=hasty).commit(changes, parent=hub.base, message="m")
    wait_until(lambda: len(commits(hub)) == 3)
    assert not repository_of(hub).commit(changes, parent=hub.head(NAME), message="m").is_new
    with pytest.raises(ConflictError):
        repository_of(hub).commit(changes, parent=hub.base, message="m")
    assert len(commits(hub)) == 3


def wait_until(is_so, seconds=10.0):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


# --- refusals and the token -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "message", "error", "shown"),
    [
        (401, "Invalid username or password.", AccessError, "HF_TOKEN"),
        (403, "Forbidden", AccessError, "HF_TOKEN"),
        (403, "Private repository storage limit reached", RefusedError, "quota"),
        (402, "Payment required", RefusedError, "quota"),
        (404, "Repository not found", MissingFileError, "a commit on top of"),
        (409, "busy", RefusedError, "409"),
        (413, "Payload too large", RefusedError, "a smaller request"),
        (400, "a bad commit", RefusedError, "a bad commit"),
        (507, "Insufficient storage", RefusedError, "quota"),
    ],
)
def test_refusals_have_names(hub, repository, status, message, error, shown):
    hub.inject(Fault("status", method="POST", path="/commit/", status=status, headers={"X-Error-Message": message}))
    with pytest.raises(error, match=shown) as caught:
        commit(repository, hub)
    assert type(caught.value) is error
    assert f"HTTP {status}: {message}" in str(caught.value)
    assert str(caught.value).startswith(f"hf://datasets/{NAME}@main: ")
    assert len(asked(hub, "POST", "/commit/")) == 1
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy)) == (error, str(caught.value))


def test_a_path_that_the_hub_does_not_take(hub, repository):
    with pytest.raises(RefusedError, match=r"\.git/x"):
        repository.commit(changes_of({".git/x": b"x"}), parent=hub.base, message="m")


def test_no_such_repository_or_revision(hub, repository):
    with pytest.raises(MissingFileError, match="acme/nope"):
        repository_of(hub, "acme/nope").head()
    with pytest.raises(MissingFileError, match="acme/ds@nowhere"):
        repository.head("nowhere")
    with pytest.raises(AccessError, match="HTTP 401"):
        repository_of(hub, token="hf_wrong").create(True)


def test_no_hub_when_offline(hub, repository, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ReadError, match="HF_HUB_OFFLINE in the environment"):
        repository.refs()


SECRET = "hf_secretsecretsecret"


@pytest.mark.parametrize("is_of_environment", [True, False])
@pytest.mark.parametrize("status", [400, 401, 404, 412, 503])
@pytest.mark.parametrize("path", ["/commit/", "/preupload/", "/refs", "/paths-info/"])
def test_the_token_is_nowhere(hub, monkeypatch, caplog, status, path, is_of_environment):
    caplog.set_level(logging.DEBUG)
    hub.state.users[SECRET] = hub.state.users[TOKEN]
    if is_of_environment:
        monkeypatch.setenv("HF_TOKEN", SECRET)
    repository = repository_of(hub, token=None if is_of_environment else SECRET)
    echo = {"X-Error-Message": f"token {SECRET} is no good"}
    body = f'{{"error": "{SECRET}"}}'.encode()
    hub.inject(Fault("status", method=".*", path=path, status=status, headers=echo, body=body, times=99))
    call = repository.refs if path == "/refs" else lambda: commit(repository, hub)
    with pytest.raises(EpiseekError) as caught:
        call()
    error = caught.value
    shown = io.StringIO()
    traceback.print_exception(error, file=shown)
    assert ("***" in str(error)) is (status != 412 or path != "/commit/")
    assert "test_repository" in shown.getvalue()
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("episeek")]
    texts = [str(error), repr(error), shown.getvalue(), repr(repository), *ours]
    assert not [text for text in texts if SECRET in text]
    assert not [data for data in (pickle.dumps(error), pickle.dumps(repository)) if SECRET.encode() in data]
    assert all(SECRET not in str(link) for link in chain(error) if isinstance(link, EpiseekError))


def chain(error):
    while error is not None:
        yield error
        error = error.__cause__


def test_a_copy_in_another_process_takes_its_token(hub, repository, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    copy = pickle.loads(pickle.dumps(repository))
    assert copy == HubRepository(NAME, retry=QUICK, endpoint=hub.url)
    assert commit(copy, hub).is_new


def test_without_a_token_there_is_no_right(hub):
    with pytest.raises(AccessError, match="HF_TOKEN"):
        commit(repository_of(hub, token=None), hub)


# --- in parts -------------------------------------------------------------------------------------------------------------


def in_parts(repository, hub, changes=None, **options):
    return repository.commit_in_parts(
        many() if changes is None else changes, **{"parent": hub.base, "message": "many", **options}
    )


def chain_of(hub, ref):
    """The commits of a ref that are not on the branch, the first one first."""
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
    outcome = repository.merge(made.ref, expected_base=hub.base)
    assert (outcome.commit, outcome.is_new, outcome.operation_count) == (hub.head(NAME), True, 250)
    assert hub.repository(NAME).commits[outcome.commit].parents[0] == hub.base
    assert paths(hub) == paths(hub, made.ref)
    again = repository.merge(made.ref, expected_base=hub.base)
    assert (again.commit, again.is_new) == (outcome.commit, False)
    assert in_parts(repository, hub, parent=outcome.commit) is None
    assert len(commits(hub)) == 2 + 4 + 1
    bodies = asked(hub, "POST", "/commit/")
    assert len(bodies) == 4


def test_a_pull_request_for_others_to_merge(hub, repository):
    made = repository.create_pull_request(CHANGES, parent=hub.base, message="for you")
    assert [step.title for step in chain_of(hub, made.ref)] == ["for you"]
    assert paths(hub, made.ref) == AFTER
    assert hub.head(NAME) == hub.base
    assert repository.create_pull_request(CHANGES, parent=hub.base, message="for you").number == made.number
    assert len(commits(hub)) == 3


class Killed(BaseException):
    pass


@pytest.mark.parametrize("commit_number", [1, 2, 4])
@pytest.mark.parametrize("is_applied", [True, False])
def test_a_run_that_was_stopped_goes_on(hub, repository, monkeypatch, commit_number, is_applied):
    calls = []
    commit_ = HubRepository.commit

    def mortal(self, *arguments, **options):
        calls.append(arguments)
        if len(calls) == commit_number and not is_applied:
            raise Killed
        result = commit_(self, *arguments, **options)
        if len(calls) == commit_number:
            raise Killed
        return result

    monkeypatch.setattr(HubRepository, "commit", mortal)
    with pytest.raises(Killed):
        in_parts(repository, hub)
    monkeypatch.setattr(HubRepository, "commit", commit_)
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
    when_asked(hub, "POST", "/discussions", 1, lambda: hub.commit(NAME, {"racing.txt": b"r"}))
    with pytest.raises(ConflictError):
        in_parts(repository, hub)
    assert not asked(hub, "POST", "/commit/")


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/tree/"),
        ("GET", "/discussions$"),
        ("POST", "/discussions$"),
        ("GET", "/discussions/1"),
        ("POST", "/commit/"),
    ],
)
def test_parts_are_made_once_whatever_fails(hub, repository, method, path, name):
    inject(hub, name, method, path)
    made = in_parts(repository, hub, many(120))
    assert [exchange for exchange in hub.exchanges() if exchange.fault]
    assert (made.number, len(hub.repository(NAME).discussions)) == (1, 1)
    assert len(chain_of(hub, made.ref)) == 3
    assert paths(hub, made.ref) == {".gitattributes", *OLD, *many(120).paths} - {"data/old.parquet"}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/merge"), ("GET", "/discussions/1"), ("GET", "/revision/"), ("GET", "/tree/")]
)
def test_a_merge_is_made_once_whatever_fails(hub, repository, method, path, name):
    made = in_parts(repository, hub, CHANGES)
    inject(hub, name, method, path)
    outcome = repository.merge(made.ref, expected_base=hub.base)
    assert [exchange for exchange in hub.exchanges() if exchange.fault]
    assert outcome.commit == hub.head(NAME)
    assert outcome.is_new
    assert len(commits(hub)) == 4
    assert paths(hub) == AFTER


def test_a_merge_over_changes_of_other_files(hub, repository):
    made = in_parts(repository, hub, CHANGES)
    hub.commit(NAME, {"other.txt": b"o"})
    assert repository.merge(made.ref, expected_base=hub.base).is_new
    assert paths(hub) == {*AFTER, "other.txt"}


@pytest.mark.parametrize(
    "moved", [{"files": {"README.md": b"# theirs\n"}}, {"delete": ["data/old.parquet", "videos/a.mp4"]}]
)
def test_a_merge_over_changes_of_the_same_files(hub, repository, moved):
    made = in_parts(repository, hub, CHANGES)
    head = hub.commit(NAME, **moved)
    with pytest.raises(ConflictError, match="changed; expected the files that refs/pr/1 touches") as caught:
        repository.merge(made.ref, expected_base=hub.base)
    assert caught.value.head == hub.head(NAME) == head
    assert not asked(hub, "POST", "/merge")


def test_a_merge_whose_response_is_lost_is_not_taken_for_another_commit(hub, repository):
    made = in_parts(repository, hub, CHANGES)
    hub.inject(Fault("drop", method="POST", path="/merge"))
    when_asked(hub, "GET", "/discussions/1", 2, lambda: hub.commit(NAME, {"README.md": b"# theirs\n"}))
    with pytest.raises(ConflictError):
        repository.merge(made.ref, expected_base=hub.base)
    assert len(asked(hub, "POST", "/merge")) == 1


def test_somebody_merges_the_same(hub, repository):
    made = in_parts(repository, hub, CHANGES)
    head = hub.commit(NAME, {wanted.path: wanted.source for wanted in CHANGES.additions}, delete=CHANGES.deletions)
    outcome = repository.merge(made.ref, expected_base=hub.base)
    assert (outcome.commit, outcome.is_new) == (head, False)


@pytest.mark.parametrize("name", [None, "503", "lost", "drop"])
def test_a_draft_that_cannot_be_merged_is_published_first(hub, repository, monkeypatch, name):
    answer = hub_refs.discussions

    def strict(call, repository, rest):
        discussion = repository.discussions.get(int(rest[0]), {}) if rest else {}
        if rest[1:] == ["merge"] and discussion["status"] == "draft":
            raise HubError(400, "a draft cannot be merged")
        if rest[1:] == ["status"]:
            discussion["status"] = call.json()["status"]
            event = {
                "id": "1",
                "type": "status-change",
                "createdAt": "2026-01-01T00:00:00.000Z",
                "data": {"status": "open"},
            }
            return json_response({"newStatus": event})
        return answer(call, repository, rest)

    monkeypatch.setattr(hub_refs, "discussions", strict)
    made = in_parts(repository, hub, CHANGES)
    if name:
        inject(hub, name, "POST", "/status")
    assert repository.merge(made.ref, expected_base=hub.base).commit == hub.head(NAME)
    assert paths(hub) == AFTER


def test_what_cannot_be_merged(hub, repository):
    made = in_parts(repository, hub, CHANGES)
    hub.repository(NAME).discussions[1]["filesWithConflicts"] = ["README.md"]
    hub.inject(Fault("status", method="POST", path="/merge", status=409))
    with pytest.raises(ConflictError, match=r"conflicts in README\.md"):
        repository.merge(made.ref, expected_base=hub.base)
    hub.repository(NAME).discussions[1] |= {"filesWithConflicts": [], "status": "open"}
    hub.inject(Fault("status", method="POST", path="/merge", status=400, headers={"X-Error-Message": "no"}))
    with pytest.raises(RefusedError, match="HTTP 400: no"):
        repository.merge(made.ref, expected_base=hub.base)
    hub.repository(NAME).discussions[1]["status"] = "closed"
    with pytest.raises(ConflictError, match="closed"):
        repository.merge(made.ref, expected_base=hub.base)
    for ref in ("main", "refs/pr/x", "7"):
        with pytest.raises(RefusedError, match="refs/pr/N"):
            repository.merge(ref, expected_base=hub.base)
    assert hub.head(NAME) == hub.base


def test_two_publishers_of_many_changes(hub):
    results: list[object] = []

    def publish(changes):
        repository = repository_of(hub)
        made = in_parts(repository, hub, changes)
        barrier.wait(20)
        try:
            results.append(repository.merge(made.ref, expected_base=hub.base))
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


def test_two_runs_in_one_pull_request(hub, repository, monkeypatch):
    commit_, calls = HubRepository.commit, []

    def overtaken(self, *arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:
            in_parts(repository_of(hub), hub)
        return commit_(self, *arguments, **options)

    monkeypatch.setattr(HubRepository, "commit", overtaken)
    with pytest.raises(ConflictError, match="@refs/pr/1: found commit"):
        in_parts(repository, hub)
    made = in_parts(repository, hub)
    assert (made.number, made.is_new) == (1, False)
    assert len(chain_of(hub, made.ref)) == 4
    assert paths(hub, made.ref) == {".gitattributes", *OLD, *many().paths} - {"data/old.parquet"}


# --- tags -----------------------------------------------------------------------------------------------------------------


def tag(hub):
    return hub.repository(NAME).refs.get("refs/tags/v3.0")


@pytest.fixture
def tagged(hub):
    hub.add_tag(NAME, "v3.0")
    return hub.commit(NAME, {"new.txt": b"n"})


def test_a_tag_moves(hub, repository, tagged):
    hub.clear()
    assert repository.move_tag("v3.0", tagged)
    assert tag(hub) == tagged
    methods = [exchange.method for exchange in hub.exchanges()]
    assert methods == ["GET", "GET", "DELETE", "POST"]  # nothing between the two
    hub.clear()
    assert not repository.move_tag("v3.0", tagged)
    assert [exchange.method for exchange in hub.exchanges()] == ["GET"]


def test_a_tag_that_was_lost_between_is_created(hub, repository, tagged):
    when_asked(hub, "POST", "/tag/", 1, lambda: hub.inject(Fault("gone", method=".*")))
    hub.inject(Fault("gone", method="POST", path="/tag/"))
    with pytest.raises(WriteError, match=rf"@v3.0: .*may be missing now \(it was at {hub.base}\).*run it again"):
        repository.move_tag("v3.0", tagged)
    hub.clear_faults()
    assert tag(hub) is None
    hub.clear()
    assert repository.move_tag("v3.0", tagged)
    assert tag(hub) == tagged
    assert not asked(hub, "DELETE", "/tag/")


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/refs"), ("GET", "/revision/"), ("DELETE", "/tag/"), ("POST", "/tag/")]
)
def test_a_tag_moves_whatever_fails(hub, repository, tagged, method, path, name):
    inject(hub, name, method, path)
    assert repository.move_tag("v3.0", tagged)
    assert [exchange for exchange in hub.exchanges() if exchange.fault]
    assert tag(hub) == tagged
    made = [exchange for exchange in asked(hub, "POST", "/tag/") if exchange.status == 200 or exchange.fault]
    assert len([exchange for exchange in made if not exchange.fault]) + (name == "lost") <= 2


def test_a_tag_stays_where_there_is_no_such_commit(hub, repository, tagged):
    with pytest.raises(MissingFileError):
        repository.move_tag("v3.0", "0" * 40)
    with pytest.raises(MissingFileError, match="a whole commit id"):
        repository.move_tag("v3.0", tagged[:10])
    assert tag(hub) == hub.base


@pytest.mark.parametrize("is_same", [True, False])
@pytest.mark.parametrize("is_new", [True, False])
def test_somebody_else_moves_the_tag(hub, repository, tagged, is_same, is_new):
    if is_new:
        del hub.repository(NAME).refs["refs/tags/v3.0"]
    other = tagged if is_same else hub.commit(NAME, {"other.txt": b"o"})
    when_asked(hub, "POST", "/tag/", 1, lambda: hub.add_tag(NAME, "v3.0", other))
    if is_same:
        assert repository.move_tag("v3.0", tagged)
    else:
        with pytest.raises(ConflictError, match=f"the tag at {other}") as caught:
            repository.move_tag("v3.0", tagged)
        assert caught.value.head == other
    assert tag(hub) == other


def test_somebody_else_deletes_the_tag(hub, repository, tagged):
    when_asked(hub, "DELETE", "/tag/", 1, lambda: hub.repository(NAME).refs.pop("refs/tags/v3.0"))
    assert repository.move_tag("v3.0", tagged)
    assert tag(hub) == tagged


# --- the client -----------------------------------------------------------------------------------------------------------


def test_the_client_is_imported_when_it_is_used():
    code = (
        "import sys, episeek_pipelines.publish.repository as r; r.HubRepository('a/b');"
        "sys.exit('huggingface_hub' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0


def test_uploads_through_xet(tmp_path):
    """In a process of its own: hf_xet's threads outlive what uses them."""
    command = [sys.executable, "-m", "tests.pipelines.publish.xet_repository_check", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "checked" in ran.stdout


def test_errors_of_the_client_without_a_status():
    for error, expected in (
        (ImportError("no hub"), "BackendUnavailableError"),
        (ValueError("x"), "RefusedError"),
        (ConnectionError("x"), "Transient"),
        (TimeoutError(), "Transient"),
        (FileNotFoundError(2, "no such file", "/x"), "MissingFileError"),
        (RuntimeError("x"), "Transient"),
    ):
        assert type(hub_errors.named(error, where="w", expected="e")).__name__ == expected
        assert not hub_errors.is_settled(error)
