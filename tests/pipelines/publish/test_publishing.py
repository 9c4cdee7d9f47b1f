"""Publishing as a whole on the offline Hub: what travels, what readers see whenever it stops, and who wins a race."""

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

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import episeek
from episeek.errors import EpiseekError
from episeek_pipelines.prepare import prepare, verify
from episeek_pipelines.publish.hub_errors import ConflictError
from episeek_pipelines.publishing import PublishOptions, PublishResult
from episeek_pipelines.verify import VerifyOptions
from episeek_schemas import layout
from tests.pipelines.conftest import DATA, copy_dataset
from tests.pipelines.publish.overlays import prepared
from tests.pipelines.remote_datasets import files_of
from tests.servers.faults import Fault
from tests.servers.hub import TOKEN
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


def burned_in(index, clips):
    """The numbers in the pictures of clips, each with the frames it should show."""
    for episode, camera, start, stop in clips:
        yield (
            bar_code.read(np.asarray(index.clip(episode, camera, start, stop).decode("pyav").data)),
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
        index = episeek.open(f"hf://datasets/{NAME}@{revision}")
        clips = [(episode, camera, 3, 7) for episode in range(index.episode_count) for camera in index.cameras]
        running.hub.clear()
        for found, expected in burned_in(index, clips):
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


@pytest.mark.parametrize("is_applied", [False, True], ids=["lost-before", "applied"])
def test_it_stops_at_any_request(running, is_applied, record_property):
    """From request k on nobody answers; with `is_applied` the Hub does what request k asks for, and its answer is lost."""
    start = {**files_of(DATA / SMALL), LEFT_OVER: b"left"}
    overlay = prepared(SMALL).url

    def anew():
        return running.tree(running.start(NAME, start))

    old = anew()
    running.publish(overlay, source=SMALL)
    request_count = len(running.hub.exchanges())
    new = running.tree()
    assert LEFT_OVER not in new
    assert request_count > 30
    seen = {"main old": 0, "main new": 0, "tag old": 0, "tag new": 0, "tag missing": 0, "went through": 0}
    for number in range(1, request_count + 1):
        assert anew() == old
        running.hub.inject(Fault("gone", method=".*", after=number - (not is_applied)))
        if is_applied:
            running.hub.inject(Fault("commit_then_drop", method=".*", after=number - 1))
        try:
            running.publish(overlay, source=SMALL)
            seen["went through"] += 1  # what was lost was not needed
        except (EpiseekError, OSError) as error:
            assert TOKEN not in f"{error!r} {error}"
        running.hub.clear_faults()
        main, tag = running.tree(), running.tree(TAG)
        assert main in (old, new), f"half a dataset at request {number}"
        assert tag in (old, new, None), f"half a dataset under the tag at request {number}"
        assert tag != new or main == new
        seen["main old" if main == old else "main new"] += 1
        seen["tag missing" if tag is None else "tag old" if tag == old else "tag new"] += 1
        running.publish(overlay, source=SMALL)
        assert running.tree() == running.tree(TAG) == new
        assert running.head == running.tag
        assert len(running.main_commits) == len(running.hub.repository(NAME).commits) == 3, "a second commit"
    assert sum(seen[f"main {state}"] for state in ("old", "new")) == request_count
    assert seen["main new"] > 0 < seen["main old"]
    assert seen["tag missing"] == 1  # between deleting and creating it
    record_publication(record_property, "applied and lost" if is_applied else "lost", request_count, seen)


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
    index = episeek.open(url)
    clips = [(episode, camera, 2, 6) for episode in range(index.episode_count) for camera in index.cameras]
    for found, expected in burned_in(index, clips):
        assert found == expected


# --- somebody else publishes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_same", [True, False], ids=["same", "different"])
def test_eight_publish_at_once(running, is_same, tmp_path):
    running.start(NAME, files_of(DATA / SMALL))
    overlays = [prepared(SMALL).url] * 8 if is_same else [other_overlay(tmp_path, number) for number in range(8)]
    barrier = threading.Barrier(8)

    def publish(overlay):
        barrier.wait(20)
        try:
            return running.publish(overlay, source=SMALL)
        except ConflictError as conflict:
            return conflict

    with ThreadPoolExecutor(8) as threads:
        ended = list(threads.map(publish, overlays))
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
