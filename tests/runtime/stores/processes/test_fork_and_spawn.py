"""An open index in forked and spawned processes: they read the same clips, whatever the parent was doing, and they end."""

import hashlib
import multiprocessing
import os
import subprocess
import sys
import threading
import time

import pytest

import episeek
from episeek.stores.processes import forks
from episeek.stores.requests.retry import RetryPolicy
from tests.servers.range_server import RangeServer
from tests.support.amount import IS_FULL, amount, full_run
from tests.support.build_index import CAMERAS, DATA

# Python 3.12 and later warn of forks of a process with threads, which are what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

NAME = "h264_bframes"
TOP, WRIST = CAMERAS
LONG = 30.0
"""Seconds until a process is killed. None takes that long."""
QUICK = RetryPolicy(max_seconds=20, first_wait_seconds=0.01, max_wait_seconds=0.05)
"""The usual time limits: a child that removed connections from the parent's event loop would cost the parent 20 s."""
REQUESTS = [(episode, camera, 2, 14) for episode in range(6) for camera in CAMERAS]
WAYS = ("local", "obstore", "fsspec")


@pytest.fixture(scope="module")
def server():
    with RangeServer(DATA / NAME) as server:
        yield server


@pytest.fixture(params=WAYS if IS_FULL else ["obstore"])
def way(request):
    return request.param


@pytest.fixture
def index(server, sidecar_roots, way):
    return open_by(way, server, sidecar_roots)


def open_by(way, server, sidecar_roots):
    if way == "local":
        return episeek.open(sidecar_roots[NAME], data_root=DATA / NAME)
    return episeek.open(sidecar_roots[NAME], data_root=server.url, transport=way, retry=QUICK)


@pytest.fixture(scope="module")
def right(indexes):
    return digest(indexes[NAME].clip(*request).read() for request in REQUESTS)


def digest(mp4s):
    return hashlib.sha256(b"".join(mp4s)).hexdigest()


# --- what a process does --------------------------------------------------------------------------------------------------


def read_everything(index, cache):
    """Return a digest of the clips for each way to read them."""
    one_by_one = digest(index.clip(*request).read() for request in REQUESTS)
    at_once = digest(index.read_clips(REQUESTS, max_gap_bytes=0, max_in_flight=4))
    cached = []
    if cache is not None:
        assert cache.stats.bytes_held == 0
        assert cache.prefetch(REQUESTS) == len(REQUESTS)
        cached.append(digest(cache.get(*request).read() for request in REQUESTS))
        assert cache.stats.hits == len(REQUESTS)
        cache.close()
    return [one_by_one, at_once, *cached]


def run_child(pipe, index, cache):
    try:
        pipe.send(read_everything(index, cache))
    except BaseException as error:
        pipe.send(repr(error))
    pipe.close()


class Children:
    """Run processes that read everything. A process that does not end is killed and fails the test."""

    def __init__(self):
        self.started = []

    def start(self, method, index, cache):
        context = multiprocessing.get_context(method)
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=run_child, args=(theirs, index, cache), daemon=True)
        child.start()
        theirs.close()
        self.started.append((child, ours))

    def outcomes(self):
        end = time.monotonic() + LONG
        found = []
        for child, pipe in self.started:
            is_there = pipe.poll(max(end - time.monotonic(), 0))
            found.append(pipe.recv() if is_there else "nothing")
            child.join(max(end - time.monotonic(), 0))
            found.append(child.exitcode)
        return found

    def kill(self):
        for child, pipe in self.started:
            if child.is_alive():
                child.kill()
            child.join()
            child.close()
            pipe.close()


@pytest.fixture
def children():
    children = Children()
    yield children
    children.kill()


def assert_some_of_each(children, index, cache, right):
    methods = ("fork", "spawn") * amount(2, 1)
    for method in methods:
        children.start(method, index, cache)
    ways = 2 if cache is None else 3
    assert children.outcomes() == [[right] * ways, 0] * len(methods)


# --- when they start ------------------------------------------------------------------------------------------------------


def test_from_an_index_that_has_read_nothing(children, index, right):
    with episeek.ClipCache(index) as cache:
        assert_some_of_each(children, index, cache, right)
        assert digest(cache.get(*request).read() for request in REQUESTS) == right


def test_from_a_parent_that_has_read_and_holds_clips(children, index, right):
    with episeek.ClipCache(index) as cache:
        cache.prefetch(REQUESTS[:6])
        assert digest(cache.get(*request).read() for request in REQUESTS) == right
        before = cache.stats
        assert_some_of_each(children, index, cache, right)
        assert cache.stats == before
        assert read_everything(index, None) == [right] * 2
        assert index.source.transfers().retry_count == 0


def test_while_threads_of_the_parent_read_and_prefetch(children, index, right):
    """Locks and unfinished calls at the moment of the fork stay with the parent."""
    errors = []
    is_over = threading.Event()
    cache = episeek.ClipCache(index, max_bytes=20_000, max_in_flight=3, max_gap_bytes=0)

    def keep_reading():
        try:
            while not is_over.is_set():
                cache.prefetch(REQUESTS)
                for request in REQUESTS[::3]:
                    cache.get(*request)
                index.read_clips(REQUESTS[:4], max_gap_bytes=0)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=keep_reading, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        while not cache.stats.hits:
            assert not errors
            time.sleep(0.01)
        fresh = episeek.ClipCache(index)
        for _ in range(6):
            children.start("fork", index, fresh)
            time.sleep(0.02)
        children.start("spawn", index, fresh)
        assert children.outcomes() == [[right] * 3, 0] * 7
    finally:
        is_over.set()
        for thread in threads:
            thread.join(LONG)
    assert errors == []
    assert index.source.transfers().retry_count == 0
    cache.close()


def use_parents_cache(pipe, cache):
    """The parent's threads use the cache at the moment of the fork."""
    try:
        cache.prefetch(REQUESTS[:6])
        pipe.send(digest(cache.get(*request).read() for request in REQUESTS))
    except BaseException as error:
        pipe.send(repr(error))


def test_a_cache_that_is_locked_at_the_fork(right, server, sidecar_roots, way):
    index = open_by(way, server, sidecar_roots)
    cache = episeek.ClipCache(index)
    cache.get(*REQUESTS[0])
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=use_parents_cache, args=(theirs, cache), daemon=True)
    state, counter = cache._state.get(), index.source.source._counter._counts.get()
    with state._lock, counter.lock:
        child.start()
    try:
        assert ours.poll(LONG)
        assert ours.recv() == right
        child.join(LONG)
        assert child.exitcode == 0
    finally:
        child.kill()
        child.join()
    cache.close()


def test_a_closed_cache_is_closed_in_a_child(right, indexes):
    cache = episeek.ClipCache(indexes[NAME])
    cache.close()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=use_parents_cache, args=(theirs, cache), daemon=True)
    child.start()
    try:
        assert ours.poll(LONG)
        assert "the cache is closed" in ours.recv()
    finally:
        child.kill()
        child.join()


# --- how they read --------------------------------------------------------------------------------------------------------


def tell_transport(pipe, index):
    index.clip(*REQUESTS[0]).read()
    pipe.send((forks.is_child_of_obstore(), "aiohttp" in sys.modules))


def asked_of_a_fork(index):
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=tell_transport, args=(theirs, index), daemon=True)
    child.start()
    try:
        assert ours.poll(LONG), "a forked child hangs"
        return ours.recv()
    finally:
        child.kill()
        child.join()


def test_a_fork_of_a_process_that_used_obstore_reads_through_fsspec(server, sidecar_roots):
    index = open_by("obstore", server, sidecar_roots)
    index.clip(*REQUESTS[0]).read()
    assert "obstore" in sys.modules
    assert not forks.is_child_of_obstore()
    assert asked_of_a_fork(index) == (True, True)


def test_the_sizes_and_headers_seen_by_the_parent_are_looked_at_again(server, sidecar_roots):
    """A child relies only on what it has seen itself: the file may have been replaced in between."""
    index = open_by("obstore", server, sidecar_roots)
    index.clip(*REQUESTS[0]).read()
    server.clear()
    index.clip(*REQUESTS[0]).read()
    assert len(server.exchanges()) == 1
    asked_of_a_fork(index)
    assert len(server.exchanges()) > 2


# The program runs in its own interpreter, where obstore is not loaded when it forks, and its children end as programs do.
PROGRAM = """
import os, sys
import episeek
sidecars, url, when = sys.argv[1:]
index = episeek.open(sidecars, data_root=url)
requests = [(episode, "observation.images.top", 0, 5) for episode in range(6)]
if when == "after":
    index.read_clips(requests, max_gap_bytes=0)
assert ("obstore" in sys.modules) == (when == "after")
children = []
for _ in range(2):
    child = os.fork()
    if not child:
        with episeek.ClipCache(index) as cache:
            cache.prefetch(requests)
            first = [cache.get(*request).read() for request in requests]
            assert first == index.read_clips(requests, max_gap_bytes=0)
        assert ("aiohttp" in sys.modules) == (when == "after")
        sys.exit(7)
    children.append(child)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
print(codes, len(index.read_clips(requests)))
"""


@pytest.mark.parametrize("when", ["before", "after"])
@full_run
def test_children_of_a_program_that_end_by_themselves(server, sidecar_roots, when):
    ended = subprocess.Popen(
        [
            *(sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", PROGRAM),
            *(str(sidecar_roots[NAME]), server.url, when),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = ended.communicate(timeout=LONG)
    except subprocess.TimeoutExpired:
        os.killpg(ended.pid, 9)
        ended.communicate()
        raise
    assert (out, err) == ("[7, 7] 6\n", "")
