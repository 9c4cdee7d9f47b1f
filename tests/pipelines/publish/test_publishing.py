"""Publishing as a whole on the offline Hub: what travels, what readers see whenever it stops, and who wins a race."""

import argparse
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import episeek
from episeek.errors import DestinationError, EpiseekError
from episeek_pipelines import cli, cli_publish, publishing
from episeek_pipelines.prepare import index, prepare, verify
from episeek_pipelines.publication import PublishOptions, PublishResult, RefusedPublicationError
from episeek_pipelines.publish import pull_requests, repository
from episeek_pipelines.publish.base_check import BaseMismatchError
from episeek_pipelines.publish.card import UnusableCardError
from episeek_pipelines.publish.hub_errors import ConflictError
from episeek_pipelines.publish.local_files import SIDECAR_PATHS
from episeek_pipelines.publishing import publish
from episeek_pipelines.verify import VerifyOptions
from episeek_schemas import layout
from tests.pipelines.conftest import DATA, copy_dataset
from tests.pipelines.publish.overlays import prepared
from tests.pipelines.remote_datasets import files_of
from tests.servers.faults import Fault
from tests.servers.hub import TOKEN
from tests.servers.hub_refs import open_discussion
from tests.support import bar_code
from tests.support.publication_stops import record_publication
from tests.support.publish_hub import TAG, publish_hub

# The client's own upload uses what its HTTP library calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw:DeprecationWarning")

NAME = "acme/ds"
SMALL = "hevc"


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
    for module in (publishing, pull_requests, repository):
        monkeypatch.setattr(module, "MAX_OPERATIONS_PER_COMMIT", 4)


def burned_in(opened, clips):
    """The numbers in the pictures of clips, each with the frames it should show."""
    for episode, camera, start, stop in clips:
        yield (
            bar_code.read(np.asarray(opened.clip(episode, camera, start, stop).decode("pyav").data)),
            [*range(start, stop)],
        )


# --- what travels ---------------------------------------------------------------------------------------------------------


def test_publish_and_again_and_what_has_changed(running, tmp_path):
    name = "edited"
    base = running.start(NAME, files_of(DATA / name))
    source = copy_dataset(name, tmp_path / "source")
    overlay = prepared(name).url
    first = running.publish(overlay, source=name, options=PublishOptions(clip_count=6))
    assert (first.is_new, first.commit_count, first.tag_moved, first.attempts) == (True, 1, True, 1)
    assert first.parent == base
    assert running.main_commits[:2] == [first.commit, base]
    assert running.tag == first.commit == running.head
    assert first.verification is not None
    assert first.verification.error_count == 0
    assert first.arrival is not None
    assert first.arrival.compared_clips == 6
    assert not running.asked("PUT", f"{name}.mp4")

    for revision in ("main", TAG):
        opened = episeek.open(f"hf://datasets/{NAME}@{revision}")
        clips = [(episode, camera, 3, 7) for episode in range(opened.episode_count) for camera in opened.cameras]
        running.hub.clear()
        for found, expected in burned_in(opened, clips):
            assert found == expected
        assert len([e for e in running.hub.exchanges() if e.server == "cdn"]) == len(clips), "a header was asked for"
    assert all(store_id.startswith("sha256:") for store_id in store_ids(running))

    running.hub.clear()
    again = running.publish(overlay, source=name)
    assert (again.is_new, again.commit_count, again.tag_moved, again.commit) == (False, 0, False, first.commit)
    assert running.changing() == []
    assert running.tag == running.head == first.commit

    change_one_data_file(source)
    prepare(str(source), str(tmp_path / "overlay"))
    running.hub.clear()
    third = running.publish(str(tmp_path / "overlay"), source=name)
    sent = {addition.path for addition in third.changes.additions}
    assert sent == {"data/chunk-000/file-000.parquet"}
    assert third.changes.deletions == ()
    (committed,) = running.asked("POST", "/commit/")
    (uploaded,) = running.asked("PUT", "/lfs/")
    assert uploaded.received_bytes == third.changes.byte_count
    assert committed.received_bytes < 2000
    assert running.tag == running.head == third.commit
    assert running.main_commits == [third.commit, first.commit, base, running.main_commits[-1]]


def store_ids(hub):
    content = hub.hub.state.lfs_content(hub.tree()[layout.FILES_PATH].sha256)
    return pq.read_table(io.BytesIO(content))["store_id"].to_pylist()


def change_one_data_file(root, *, by=1):
    path = sorted((root / "data").rglob("*.parquet"))[0]
    table = pq.read_table(path)
    column = table.schema.get_field_index("action")
    field = table.schema.field(column)
    values = pa.array([[value + by for value in row] for row in table["action"].to_pylist()], field.type)
    pq.write_table(table.set_column(column, field, values), path)


# --- it stops -------------------------------------------------------------------------------------------------------------


LEFT_OVER = f"{layout.BYTE_INDEX_PARTIAL_DIR}/files.npz"
"""Deleted by a publication."""


@pytest.mark.parametrize("is_applied", [False, True], ids=["lost", "applied"])
def test_it_stops_at_any_request(running, is_applied, record_property):
    """From request k on nobody answers; with `is_applied` the Hub does what request k asks for, and its answer is lost."""

    def is_chosen(exchange):
        return not is_applied or exchange.method not in ("GET", "HEAD")

    exchanges, seen = stopped_everywhere(running, is_applied=is_applied, is_chosen=is_chosen)
    assert len(running.hub.repository(NAME).commits) == 3
    what = "one commit, answer lost" if is_applied else "one commit"
    record_publication(record_property, what, exchanges, seen)


@pytest.mark.parametrize("is_applied", [False, True], ids=["lost", "applied"])
def test_it_stops_at_any_request_that_asks_for_something_in_parts(running, is_applied, record_property, small_parts):
    is_chosen = re.compile("/commit/|/discussions|/merge|/status|/tag/|/batch").search
    exchanges, seen = stopped_everywhere(
        running, is_applied=is_applied, is_chosen=lambda exchange: is_chosen(exchange.path)
    )
    assert len(running.hub.repository(NAME).discussions) == 1
    assert len(running.hub.repository(NAME).commits) == 2 + 3 + 1
    what = "in parts, answer lost" if is_applied else "in parts"
    record_publication(record_property, what, exchanges, seen)


def stopped_everywhere(hub, *, is_applied, is_chosen):
    """Stop a publication at each chosen request, see what readers see, and run it again; how many, and what was seen."""
    start = {**files_of(DATA / SMALL), LEFT_OVER: b"left"}
    overlay = prepared(SMALL).url

    def anew():
        return hub.tree(hub.start(NAME, start))

    for _ in range(2):  # the client asks one thing once a process
        old = anew()
        hub.publish(overlay, source=SMALL)
    new, exchanges, commit_count = hub.tree(), hub.hub.exchanges(), len(hub.hub.repository(NAME).commits)
    assert LEFT_OVER not in new
    chosen = [number for number, exchange in enumerate(exchanges, 1) if is_chosen(exchange)]
    states = ("main old", "main new", "tag old", "tag new", "tag missing", "went through")
    seen = dict.fromkeys(states, 0)
    for number in chosen:
        assert anew() == old
        hub.hub.inject(Fault("gone", method=".*", after=number - (not is_applied)))
        if is_applied:
            hub.hub.inject(Fault("commit_then_drop", method=".*", after=number - 1))
        message = ""
        try:
            hub.publish(overlay, source=SMALL)
            seen["went through"] += 1  # what was lost was not needed
        except EpiseekError as error:
            message = f"{error!r} {error}"
        assert TOKEN not in message
        hub.hub.clear_faults()
        main, tag = hub.tree(), hub.tree(TAG)
        assert main in (old, new), f"half a dataset at request {number}"
        assert tag in (old, new, None), f"half a dataset under the tag at request {number}"
        assert tag != new or main == new
        seen["main old" if main == old else "main new"] += 1
        seen["tag missing" if tag is None else "tag old" if tag == old else "tag new"] += 1
        hub.publish(overlay, source=SMALL)
        assert hub.tree() == hub.tree(TAG) == new
        assert hub.head == hub.tag
        assert len(hub.main_commits) == 3, "main changed twice"
        assert len(hub.hub.repository(NAME).commits) == commit_count, "a commit was made twice"
    assert seen["main new"] > 0 < seen["main old"]
    assert seen["tag missing"] == 1  # between deleting and creating it
    return len(chosen), seen


def test_the_process_is_killed(running, tmp_path, record_property):
    """Several at once: each waits for an answer to one of its requests when it is killed."""
    overlay = prepared(SMALL).url
    start = files_of(DATA / SMALL)
    running.start(NAME, start)
    names = {step: f"acme/{step}" for step in ("upload", "commit", "delete", "create")}
    trees = {}
    for step, name in names.items():
        running.hub.add_dataset(name, start)
        running.hub.add_tag(name, TAG)
        running.name = name
        trees[step] = running.tree()
    stalled = {
        "upload": Fault("stall", method="POST", path="acme/upload.git/info/lfs/objects/batch", seconds=60),
        "commit": Fault("stall", method="POST", path="acme/commit/commit/", seconds=60),
        "delete": Fault("stall", method="DELETE", path="acme/delete/tag/", seconds=60),
        "create": Fault("stall", method="POST", path="acme/create/tag/", seconds=60),
    }
    for fault in stalled.values():
        running.hub.inject(fault)
    environment = {**os.environ, **running.hub.environment(tmp_path)}
    processes = {step: command_in_process([overlay, name], environment) for step, name in names.items()}
    try:
        for step, process in processes.items():
            wait_for(lambda fault=stalled[step]: any(exchange_of(running, fault)), process)
            process.kill()
    finally:
        for process in processes.values():
            process.kill()
            process.communicate()
    running.hub.clear_faults()
    seen = {"main old": 0, "main new": 0, "tag old": 0, "tag missing": 0}
    for step, name in names.items():
        running.name = name
        is_new = step in ("delete", "create")
        assert (running.tree() == trees[step]) is not is_new
        assert running.tree(TAG) == (None if step == "create" else trees[step])
        assert len(running.main_commits) == 2 + is_new
        seen["main new" if is_new else "main old"] += 1
        seen["tag missing" if step == "create" else "tag old"] += 1
        result = running.publish(overlay, source=SMALL)
        assert result.is_new is not is_new
        assert running.head == running.tag
        assert len(running.main_commits) == 3
        check_readable(f"hf://datasets/{name}@{TAG}")
    record_publication(record_property, "the process killed", len(names), seen)


def command_in_process(arguments, environment):
    command = [sys.executable, "-m", "episeek_pipelines.cli", "publish", *arguments]
    command += ["--no-verify", "--quiet", "--data-root", str(DATA / SMALL)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def exchange_of(hub, fault):
    return [e for e in hub.hub.exchanges() if e.method == fault.method and re.search(fault.path, e.path)]


def wait_for(is_done, process):
    deadline = time.monotonic() + 60
    while not is_done():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def check_readable(url):
    opened = episeek.open(url)
    clips = [(episode, camera, 2, 6) for episode in range(opened.episode_count) for camera in opened.cameras]
    for found, expected in burned_in(opened, clips):
        assert found == expected


# --- somebody else publishes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_same", [True, False], ids=["same", "different"])
def test_eight_publish_at_once(running, is_same, tmp_path):
    running.start(NAME, files_of(DATA / SMALL))
    overlays = [prepared(SMALL).url] * 8 if is_same else [other_overlay(tmp_path, number) for number in range(8)]
    barrier = threading.Barrier(8)

    def published(overlay):
        barrier.wait(20)
        try:
            return running.publish(overlay, source=SMALL)
        except ConflictError as conflict:
            return conflict

    with ThreadPoolExecutor(8) as threads:
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
        assert len(conflicts) == 7
        for conflict in conflicts:
            assert conflict.head == running.head
            assert "of somebody else, which changes data/chunk-000/file-000.parquet" in str(conflict)
            assert "run this again" in str(conflict)
    report = verify(f"hf://datasets/{NAME}@{TAG}", options=VerifyOptions(level="layout"))
    assert report.error_count == 0
    check_readable(f"hf://datasets/{NAME}@{TAG}")


def other_overlay(folder, number):
    """Of the same dataset with other values in its rows."""
    source = copy_dataset(SMALL, folder / f"source-{number}")
    change_one_data_file(source, by=number + 1)
    prepare(str(source), str(folder / f"overlay-{number}"))
    return str(folder / f"overlay-{number}")


# --- the Hub stumbles -----------------------------------------------------------------------------------------------------

FAULTS = {
    "429": Fault("status", status=429, headers={"Retry-After": "1"}),
    "500": Fault("status", status=500),
    "503": Fault("status", status=503),
    "reset": Fault("reset"),
    "lost": Fault("commit_then_drop"),
}
KINDS = [
    ("GET", "/datasets/acme/ds$"),
    ("GET", "/revision/"),
    ("GET", "/tree/"),
    ("HEAD", "/resolve/.*mp4"),
    ("GET", "^/lfs/"),
    ("POST", "/paths-info/"),
    ("POST", "/preupload/"),
    ("POST", "/objects/batch"),
    ("PUT", "^/lfs/"),
    ("POST", "/objects/verify"),
    ("POST", "/validate-yaml"),
    ("POST", "/commit/"),
    ("GET", "/resolve/.*README"),
    ("HEAD", "/resolve/.*byte_index"),
    ("GET", "/refs"),
    ("DELETE", "/tag/"),
    ("POST", "/tag/"),
]


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize(("method", "path"), KINDS)
def test_published_once_whatever_fails_once(hub, method, path, name):
    hub.hub.inject(replace(FAULTS[name], method=method, path=path))
    result = hub.publish(prepared(SMALL).url, source=SMALL)
    assert [exchange for exchange in hub.hub.exchanges() if exchange.fault], "the fault was not met"
    assert result.is_new
    assert result.commit == hub.head == hub.tag
    assert len(hub.hub.repository(NAME).commits) == 3
    assert set(hub.tree()) >= {addition.path for addition in result.changes.additions}
    assert result.tag_moved


# --- many files -----------------------------------------------------------------------------------------------------------


def test_many_files_come_in_parts_and_show_at_once(hub, tmp_path):
    overlay = tmp_path / "overlay"
    shutil.copytree(prepared(SMALL).local, overlay)
    (overlay / "data/chunk-001").mkdir()
    count = 1500
    for number in range(count):
        (overlay / f"data/chunk-001/file-{number:04}.parquet").write_bytes(b"%d" % number)
    base, before = hub.head, hub.tree()
    hub.hub.inject(Fault("gone", method="POST", path="/commit/", after=9))
    with pytest.raises(EpiseekError):
        hub.publish(str(overlay), source=SMALL)
    assert hub.tree() == before
    hub.hub.clear_faults()
    result = hub.publish(str(overlay), source=SMALL)
    assert result.changes.operation_count > count
    assert result.commit_count == -(-result.changes.operation_count // 100) == 16
    there = hub.hub.repository(NAME)
    assert len(there.discussions) == 1
    committed = [e for e in hub.asked("POST", "/commit/") if e.status == 200]
    assert len(committed) == 16
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
    with pytest.raises(BaseMismatchError, match=path):
        hub.publish(prepared(SMALL).url, source=SMALL)
    assert hub.asked("POST", "/merge") == []
    assert not SIDECAR_PATHS & hub.tree().keys()
    (draft,) = hub.hub.repository(NAME).discussions.values()
    assert draft["status"] == "closed"


def test_four_publish_in_parts_at_once(hub, small_parts):
    base, overlay = hub.head, prepared(SMALL).url
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda _: hub.publish(overlay, source=SMALL), range(4)))
    assert {result.commit for result in results} == {hub.head}
    assert hub.main_commits[:2] == [hub.head, base]
    assert hub.tag == hub.head
    check_readable(f"hf://datasets/{NAME}@{TAG}")


def test_two_open_a_pull_request_for_the_same(hub, small_parts):
    """Both go on with the first, and what has been merged is not merged again."""
    planned = hub.publish(prepared(SMALL).url, source=SMALL, options=PublishOptions(dry_run=True, is_verified=False))
    title = f"theirs {pull_requests.upload_marker(planned.parent, planned.changes)}"
    there = hub.hub.repository(NAME)
    hub.before("POST", "/discussions", 1, lambda: open_discussion(there, title, is_pull_request=True))
    result = hub.publish(prepared(SMALL).url, source=SMALL)
    assert [discussion["status"] for discussion in there.discussions.values()] == ["merged", "closed"]
    assert hub.main_commits[:2] == [result.commit, planned.parent]


# --- others change the repository -----------------------------------------------------------------------------------------


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
    """Also one that a publication would delete."""
    tag = hub.tag
    hub.before("POST", "/commit/", 1, lambda: hub.hub.commit(NAME, {path: content}))
    with pytest.raises(ConflictError) as caught:
        hub.publish(prepared(SMALL).url, source=SMALL)
    assert caught.value.head == hub.head
    assert f"of somebody else, which changes {path}, as this publication does" in str(caught.value)
    assert len(hub.main_commits) == 3
    assert hub.tag == tag


def test_commits_of_others_without_end(hub, monkeypatch):
    numbers = iter(range(100))
    for number in range(1, 20):
        hub.before("POST", "/commit/", number, lambda: hub.hub.commit(NAME, {f"notes-{next(numbers)}.txt": b"n"}))
    with pytest.raises(ConflictError):
        hub.publish(prepared(SMALL).url, source=SMALL)
    assert next(numbers) == publishing.MAX_ATTEMPTS


def test_a_tag_that_another_publisher_has_moved_already(hub):
    """It publishes the same and is faster with the tag."""
    hub.before("DELETE", "/tag/", 1, lambda: hub.hub.add_tag(NAME, TAG, "main"))
    hub.hub.inject(Fault("drop", method="DELETE", path="/tag/"))
    result = hub.publish(prepared(SMALL).url, source=SMALL)
    assert hub.tag == hub.head == result.commit


def test_what_arrived_differs(hub):
    """Somebody replaces a file the moment it is there: the tag stays."""
    tag, damaged = hub.tag, b"x" * 5000

    def damage():
        head = hub.hub.repository(NAME).commits[hub.head]
        entry = head.tree[layout.SAMPLES_PATH]
        hub.hub.state.store.lfs_objects[entry.sha256] = damaged

    hub.before("HEAD", "byte_index", 1, damage)
    with pytest.raises(RefusedPublicationError, match="is not as it was sent"):
        hub.publish(prepared(SMALL).url, source=SMALL)
    assert hub.tag == tag


# --- what is refused ------------------------------------------------------------------------------------------------------


def is_untouched(hub):
    return hub.changing() == [] and len(hub.main_commits) == 2


def test_a_video_that_has_changed(hub):
    path = "videos/observation.images.top/chunk-000/file-000.mp4"
    hub.hub.commit(NAME, {path: (DATA / SMALL / path).read_bytes() + b"more"})
    with pytest.raises(BaseMismatchError, match=path):
        hub.publish(prepared(SMALL).url, source=SMALL)
    assert hub.changing() == []


def test_a_repository_that_has_grown_since(hub):
    info = json.loads((DATA / SMALL / layout.INFO_PATH).read_text())
    for key in ("total_episodes", "total_frames"):
        grown = {**info, key: info[key] + 1}
        hub.hub.commit(NAME, {layout.INFO_PATH: json.dumps(grown).encode()})
        with pytest.raises(BaseMismatchError, match=f"{key} {info[key] + 1} in the repository"):
            hub.publish(prepared(SMALL).url, source=SMALL)
    assert hub.changing() == []


def test_a_broken_overlay(hub, tmp_path):
    shutil.copytree(prepared(SMALL).local, tmp_path / "overlay")
    change_one_data_file_to_nothing(tmp_path / "overlay")
    with pytest.raises(
        RefusedPublicationError, match=r"found \d+ errors?, the first [A-Z]{3}\d+ .*; expected .*--no-verify"
    ):
        hub.publish(str(tmp_path / "overlay"), source=SMALL, options=PublishOptions(clip_count=2))
    assert is_untouched(hub)


def change_one_data_file_to_nothing(root):
    path = sorted((root / "data").rglob("*.parquet"))[0]
    path.write_bytes(path.read_bytes()[:-8])


def test_a_card_that_cannot_be_kept(hub):
    hub.hub.commit(NAME, {"README.md": b"---\ntags: [a\n---\n"})
    with pytest.raises(UnusableCardError):
        hub.publish(prepared(SMALL).url, source=SMALL)
    assert hub.changing() == []


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("s3://bucket/x", "found a store, s3"),
        ("gs://bucket/x", "found a store, gs"),
        ("hf://buckets/acme/b", "found a bucket"),
        ("hf://models/acme/b", "expected"),
        ("hf://datasets/acme/b@main", "a revision or folder"),
        ("acme", "no name of a repository"),
        ("a/b/c", "no name of a repository"),
    ],
)
def test_other_targets(target, message):
    with pytest.raises(EpiseekError, match=message):
        publish(prepared(SMALL).url, target)


def test_options_that_exclude_each_other():
    with pytest.raises(ValueError, match="create_pr"):
        PublishOptions(create_pr=True, branch="next")
    with pytest.raises(ValueError, match="private"):
        PublishOptions(private=True)


def test_an_overlay_in_a_store(hub):
    with pytest.raises(DestinationError, match="an overlay in a store"):
        publish("s3://bucket/x", NAME)


# --- options --------------------------------------------------------------------------------------------------------------


def test_a_dry_run_sends_nothing(hub):
    result = hub.publish(prepared(SMALL).url, source=SMALL, options=PublishOptions(dry_run=True))
    assert is_untouched(hub)
    assert hub.asked("POST", "/preupload/") == []
    assert (result.commit, result.arrival, result.tag_moved) == ("", None, False)
    done = hub.publish(prepared(SMALL).url, source=SMALL)
    assert [a.path for a in done.changes.additions] == [a.path for a in result.changes.additions]


def test_a_repository_is_made(running):
    running.start(NAME, files_of(DATA / SMALL))
    running.name = "acme/made"
    full = prepared(SMALL, "link").url
    with pytest.raises(DestinationError, match="--create"):
        running.publish(full)
    dry = running.publish(full, options=PublishOptions(create=True, dry_run=True, is_verified=False))
    assert dry.parent == dry.commit == ""
    with pytest.raises(BaseMismatchError, match="none is sent"):
        running.publish(prepared(SMALL).url, source=SMALL, options=PublishOptions(create=True))
    assert ("dataset", "acme/made") not in running.hub.state.store.repositories, "made for nothing"
    result = running.publish(full, options=PublishOptions(create=True, private=True, clip_count=2))
    assert running.hub.repository("acme/made").is_private
    assert [a.path for a in dry.changes.additions] == [a.path for a in result.changes.additions]
    assert running.tag == running.head == result.commit
    check_readable(f"hf://datasets/acme/made@{TAG}")


def test_a_pull_request_for_others(hub):
    base, options = hub.head, PublishOptions(create_pr=True, is_verified=False, clip_count=2)
    result = hub.publish(prepared(SMALL).url, source=SMALL, options=options)
    assert result.pull_request is not None
    assert result.pull_request.endswith("/discussions/1")
    assert (result.is_new, result.tag_moved) == (True, False)
    assert hub.head == hub.tag == base
    check_readable(f"hf://datasets/{NAME}@refs%2Fpr%2F1")
    again = hub.publish(prepared(SMALL).url, source=SMALL, options=options)
    assert (again.is_new, again.pull_request, again.commit) == (False, result.pull_request, result.commit)
    assert len(hub.hub.repository(NAME).discussions) == 1


def test_another_branch(hub):
    base = hub.head
    hub.hub.move_branch(NAME, base, "next")
    options = PublishOptions(branch="next", is_verified=False, clip_count=2)
    result = hub.publish(prepared(SMALL).url, source=SMALL, options=options)
    assert hub.hub.head(NAME, "next") == result.commit
    assert hub.head == hub.tag == base
    assert not result.tag_moved


@pytest.mark.parametrize("is_indexed", [True, False], ids=["index --output", "prepare"])
def test_sidecars_alone(is_indexed, hub, tmp_path):
    overlay = prepared(SMALL).url
    if is_indexed:
        overlay = str(tmp_path / "indexed")
        index(str(DATA / SMALL), output=overlay)
    options = PublishOptions(sidecars_only=True, clip_count=2)
    before = hub.tree()
    result = hub.publish(overlay, source=SMALL, options=options)
    assert {a.path for a in result.changes.additions} == {"README.md", *SIDECAR_PATHS}
    assert (result.verification is None) is is_indexed
    assert {path: entry for path, entry in hub.tree().items() if path in before} == before
    check_readable(f"hf://datasets/{NAME}@{TAG}")
    assert not hub.publish(overlay, source=SMALL, options=options).is_new


# --- the command line -----------------------------------------------------------------------------------------------------


def run(capsys, *arguments):
    code = cli.main(["publish", *arguments])
    said = capsys.readouterr()
    assert TOKEN not in said.out + said.err
    return code, said.out.splitlines(), said.err.splitlines()


def test_what_the_command_says(hub, capsys):
    overlay, root = prepared(SMALL).url, ("--data-root", str(DATA / SMALL))
    code, out, err = run(capsys, overlay, NAME, *root, "--dry-run")
    assert (code, err) == (0, [])
    assert is_untouched(hub)
    words = [line.split()[0] for line in out]
    assert words[:3] == ["verify", "base", "change"]
    assert "add      meta/byte_index/files.parquet" in "\n".join(out)
    assert out[-1].startswith("done     nothing was sent (--dry-run)")
    code, out, err = run(capsys, overlay, NAME, *root, "--message", "mine")
    assert (code, err) == (0, [])
    assert [line.split()[0] for line in out] == ["verify", "base", "change", "send", "arrival", "tag", "done"]
    assert out[3] == f"send     commit {hub.head}"
    assert out[5] == f"tag      v3.0 moved to {hub.head}"
    assert hub.hub.repository(NAME).commits[hub.head].title == "mine"
    code, out, err = run(capsys, overlay, f"hf://datasets/{NAME}", *root, "--no-verify", "--quiet")
    assert (code, out) == (0, [])
    assert err == [f"episeek: WARNING: {cli_publish.warnings(argparse.Namespace(no_verify=True))[0]}"]
    code, out, err = run(capsys, overlay, NAME, *root, "--json")
    document = json.loads("\n".join(out))
    assert (code, err) == (0, [])
    assert (document["commit"], document["is_new"], document["added"]) == (hub.head, False, [])
    code, out, _ = run(capsys, overlay, NAME, *root, "--tag", "v3.1", "--no-verify")
    assert out[-2] == f"tag      v3.1 moved to {hub.head}"
    code, out, _ = run(capsys, overlay, NAME, *root, "--no-tag", "--no-verify")
    assert out[-2] == "tag      left alone (--no-tag)"
    assert out[3] == f"send     nothing: all of it is at {hub.head}"


def test_the_exit_codes(hub, capsys, tmp_path):
    overlay, root = prepared(SMALL).url, ("--data-root", str(DATA / SMALL))
    shutil.copytree(overlay, tmp_path / "overlay")
    change_one_data_file_to_nothing(tmp_path / "overlay")
    code, out, (said,) = run(capsys, str(tmp_path / "overlay"), NAME, *root)
    assert (code, out) == (1, [])
    assert said.startswith("episeek: error: ")
    for target in ("acme/none", "hf://models/acme/x"):
        code, out, (said,) = run(capsys, overlay, target, *root)
        assert (code, out) == (2, [])
    code, out, (said,) = run(capsys, overlay, NAME, "--private")
    assert (code, said) == (
        2,
        "episeek: error: --private: found without create; expected both, of a repository that is made",
    )
    assert is_untouched(hub)


def test_the_token_is_not_said(hub, capsys, tmp_path):
    """A Hub that repeats it in an error."""
    body = json.dumps({"error": f"who is {TOKEN}?"}).encode()
    headers = {"X-Error-Message": f"who is {TOKEN}?", "Content-Type": "application/json"}
    for method, path in (("POST", "/commit/"), ("DELETE", "/tag/"), ("GET", "/tree/"), ("POST", "/preupload/")):
        hub.start(NAME, files_of(DATA / SMALL))
        hub.hub.inject(Fault("status", status=403, method=method, path=path, headers=headers, body=body, times=99))
        code, out, said = run(capsys, prepared(SMALL).url, NAME, "--data-root", str(DATA / SMALL), "--no-verify")
        assert (code, out) == (2, [])
        assert "HTTP 403: who is ***?" in said[-1]


def test_a_quiet_command_says_nothing(hub, tmp_path):
    environment = {**os.environ, **hub.hub.environment(tmp_path)}
    del environment["HF_HUB_DISABLE_PROGRESS_BARS"]
    process = command_in_process([prepared(SMALL).url, NAME], environment)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert [line for line in err.splitlines() if "WARNING: --no-verify" not in line] == []
    assert hub.tag == hub.head
