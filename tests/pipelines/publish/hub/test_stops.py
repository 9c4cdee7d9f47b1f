"""Publications on the offline Hub that stop: what readers see, and that running them again completes them."""

import os
import re
import time

import pytest

from episeek.errors import EpiseekError
from episeek_schemas import layout
from tests.pipelines.conftest import DATA
from tests.pipelines.publish.overlays import prepared
from tests.pipelines.publish.published import check_readable
from tests.pipelines.remote_datasets import files_of
from tests.servers.faults import Fault
from tests.servers.hub import TOKEN
from tests.support.hub_client import CLIENT_WARNINGS
from tests.support.publication_stops import record_publication
from tests.support.publish_hub import NAME, SMALL, TAG, publish_in_process

pytestmark = CLIENT_WARNINGS
LEFT_OVER = f"{layout.BYTE_INDEX_PARTIAL_DIR}/files.npz"
"""Deleted by a publication."""


@pytest.mark.parametrize("is_applied", [False, True], ids=["lost", "applied"])
def test_it_stops_at_any_request(running, is_applied, record_property):
    """From request k on, nobody answers; with `is_applied`, the Hub does what request k asks for, and its response is lost."""

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
    """Stop a publication at each chosen request, look at what readers see, and run it again; return the counts of both."""
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
    """Several run at once: each is killed while it waits for the response to one of its requests."""
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
    processes = {
        step: publish_in_process(overlay, name, source=SMALL, environment=environment) for step, name in names.items()
    }
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


def exchange_of(hub, fault):
    return [e for e in hub.hub.exchanges() if e.method == fault.method and re.search(fault.path, e.path)]


def wait_for(is_done, process):
    deadline = time.monotonic() + 60
    while not is_done():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
