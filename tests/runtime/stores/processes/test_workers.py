"""Threads that wait for stores, calls that threads share, and state that belongs to one process."""

import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import CancelledError
from functools import partial

import pytest

from episeek.stores.processes import forks
from episeek.stores.processes.per_process import PerProcess
from episeek.stores.processes.single_flight import SingleFlight
from episeek.stores.processes.workers import WorkerPool, call_within, map_in_threads

LONG = 10.0
"""Seconds after which a wait is a failure. Nothing here takes that long."""


def wait_until(condition):
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def threads_named(name):
    return [thread for thread in threading.enumerate() if thread.name.startswith(name)]


class InThreads:
    """Return what a call returns or raises in each of several threads that start it at the same time."""

    def __init__(self, count, call):
        self.outcomes: list = []
        self._call = call
        self._barrier = threading.Barrier(count + 1)
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()
        self._barrier.wait(LONG)

    def _run(self):
        self._barrier.wait(LONG)
        try:
            self.outcomes.append(self._call())
        except BaseException as error:
            self.outcomes.append(error)

    def result(self):
        for thread in self._threads:
            thread.join(LONG)
            assert not thread.is_alive()
        return self.outcomes


@pytest.fixture
def gate():
    """A gate that holds back calls until it is opened."""
    event = threading.Event()
    yield event
    event.set()


# --- the pool -------------------------------------------------------------------------------------------------------------


def test_calls_run_in_the_order_of_submission():
    done: list = []
    pool = WorkerPool(1)
    futures = [pool.submit(partial(done.append, number)) for number in range(50)]
    for future in futures:
        future.result(LONG)
    assert done == list(range(50))
    pool.close()


@pytest.mark.parametrize(("most", "count"), [(1, 1), (3, 2), (3, 10), (16, 16)])
def test_threads_are_started_as_needed_and_bounded(gate, most, count):
    name = f"bounded-{most}-{count}"
    pool = WorkerPool(most, name=name)
    running = []

    def call():
        running.append(1)
        return gate.wait(LONG)

    futures = [pool.submit(call) for _ in range(count)]
    wait_until(lambda: len(running) == min(most, count))
    threads = threads_named(name)
    assert len(threads) == min(most, count)
    assert all(thread.daemon for thread in threads)
    gate.set()
    assert all(future.result(LONG) for future in futures)
    assert len(running) == count
    pool.close()
    wait_until(lambda: not threads_named(name))


def test_an_idle_thread_is_used_again():
    pool = WorkerPool(8, name="again")
    for _ in range(20):
        pool.submit(lambda: None).result(LONG)
        wait_until(lambda: not pool._backlog.unfinished)
    assert len(threads_named("again")) == 1
    pool.close()


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt(), SystemExit(3)])
def test_an_error_is_raised_where_the_result_is_awaited_and_the_thread_goes_on(error):
    def fail():
        raise error

    pool = WorkerPool(1)
    with pytest.raises(type(error)) as caught:
        pool.submit(fail).result(LONG)
    assert caught.value is error
    assert pool.submit(lambda: 5).result(LONG) == 5
    pool.close()


def test_close_cancels_what_waits_and_leaves_what_runs(gate):
    pool = WorkerPool(2, name="closing")
    started = threading.Semaphore(0)

    def call():
        started.release()
        return gate.wait(LONG)

    running = [pool.submit(call) for _ in range(2)]
    waiting = [pool.submit(lambda: pytest.fail("was started")) for _ in range(5)]
    for _ in running:
        assert started.acquire(timeout=LONG)
    before = time.monotonic()
    pool.close()
    pool.close()
    assert time.monotonic() - before < LONG
    for future in waiting:
        with pytest.raises(CancelledError):
            future.result(LONG)
    with pytest.raises(RuntimeError, match="the pool is closed"):
        pool.submit(lambda: None)
    gate.set()
    assert [future.result(LONG) for future in running] == [True, True]
    wait_until(lambda: not threads_named("closing"))


def test_a_call_that_its_owner_cancelled_is_not_run(gate):
    pool = WorkerPool(1)
    pool.submit(lambda: gate.wait(LONG))
    cancelled, after = pool.submit(lambda: pytest.fail("was started")), pool.submit(lambda: "after")
    assert cancelled.cancel()
    gate.set()
    assert after.result(LONG) == "after"
    pool.close()


def test_a_pool_that_was_dropped_finishes_and_ends_its_threads(gate):
    pool = WorkerPool(2, name="dropped")
    futures = [pool.submit(lambda: gate.wait(LONG)) for _ in range(6)]
    del pool
    gc.collect()
    gate.set()
    assert [future.result(LONG) for future in futures] == [True] * 6
    wait_until(lambda: not threads_named("dropped"))


def test_an_idle_thread_keeps_neither_call_nor_result_alive():
    class Large:
        pass

    pool = WorkerPool(1)
    large = Large()
    seen = weakref.ref(large)
    assert pool.submit(partial(list.copy, [large])).result(LONG) == [large]
    del large
    wait_until(lambda: gc.collect() is not None and seen() is None)
    pool.close()


def test_where_no_further_thread_starts_those_that_are_there_do_it(gate, monkeypatch):
    pool = WorkerPool(4, name="few")
    start = threading.Thread.start

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        pool.submit(lambda: pytest.fail("was taken back"))
    monkeypatch.setattr(threading.Thread, "start", start)
    first = pool.submit(lambda: gate.wait(LONG))
    monkeypatch.setattr(threading.Thread, "start", refuse)
    second = pool.submit(lambda: "second")
    gate.set()
    assert (first.result(LONG), second.result(LONG)) == (True, "second")
    monkeypatch.setattr(threading.Thread, "start", start)
    assert pool._backlog.thread_count == 1
    pool.close()


def test_a_program_ends_while_a_call_does_not():
    program = "import time; from episeek.stores.processes.workers import WorkerPool"
    code = f"{program}; WorkerPool(1).submit(lambda: time.sleep(60)); print(5)"
    before = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert (ended.stdout, ended.stderr) == ("5\n", "")
    assert time.monotonic() - before < 20


@pytest.mark.parametrize("most", [0, -1])
def test_a_pool_has_a_thread(most):
    with pytest.raises(ValueError, match="expected 1 or more"):
        WorkerPool(most)
    for items in ([], [1], [1, 2]):
        with pytest.raises(ValueError, match="expected 1 or more"):
            map_in_threads(str, items, max_in_flight=most)


# --- mapping --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_flight", [1, 2, 7, 100])
def test_results_are_in_the_order_of_the_items(in_flight):
    def late(number):
        time.sleep(0.002 * (number % 3 == 0))
        return number * number

    items = list(range(20))
    assert map_in_threads(late, items, max_in_flight=in_flight) == [number * number for number in items]


def test_one_item_or_one_in_flight_stay_in_this_thread():
    here = threading.get_ident()
    assert map_in_threads(lambda _: threading.get_ident(), ["one"], max_in_flight=8) == [here]
    assert map_in_threads(lambda _: threading.get_ident(), ["one", "two"], max_in_flight=1) == [here, here]
    assert here not in map_in_threads(lambda _: threading.get_ident(), ["one", "two"], max_in_flight=2)


def test_no_more_than_max_in_flight_at_a_time():
    lock, now, most = threading.Lock(), 0, 0

    def call(_):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.005)
        with lock:
            now -= 1

    map_in_threads(call, range(30), max_in_flight=3)
    assert most == 3


def test_the_first_failure_in_the_order_of_the_items():
    failed = threading.Event()

    def call(number):
        if number == 1:
            assert failed.wait(LONG)
            raise ValueError("one")
        if number == 3:
            failed.set()
            raise ValueError("three")

    with pytest.raises(ValueError, match="one"):
        map_in_threads(call, range(5), max_in_flight=5)


def test_after_a_failure_nothing_more_is_started():
    started = []

    def call(number):
        started.append(number)
        if number == 0:
            raise ValueError
        time.sleep(0.05)

    with pytest.raises(ValueError, match=r"^$"):
        map_in_threads(call, range(200), max_in_flight=2)
    count = len(started)
    assert count < 50
    time.sleep(0.15)
    assert len(started) <= count + 2


def test_a_failure_that_is_handled_keeps_no_results():
    class Large:
        pass

    seen = []

    def call(number):
        if number == 1:
            raise ValueError
        large = Large()
        seen.append(weakref.ref(large))
        return large

    gc.collect()
    gc.disable()
    try:
        with pytest.raises(ValueError, match=r"^$"):
            map_in_threads(call, [0, 1], max_in_flight=2)
        wait_until(lambda: seen[0]() is None)
    finally:
        gc.enable()


def test_call_within_its_time(gate):
    assert call_within(lambda: 5, LONG) == 5
    with pytest.raises(ZeroDivisionError):
        call_within(lambda: 1 // 0, LONG)
    before = time.monotonic()
    with pytest.raises(TimeoutError):
        call_within(lambda: gate.wait(LONG), 0.05)
    assert time.monotonic() - before < LONG


# --- one call for many ----------------------------------------------------------------------------------------------------


def test_who_asks_at_the_same_time_gets_the_same_result(gate):
    flight: SingleFlight = SingleFlight()
    made = []

    def make():
        made.append(1)
        assert gate.wait(LONG)
        return object()

    outcomes = InThreads(8, lambda: flight.call("key", make))
    assert flight.call("other key", lambda: 3) == 3
    wait_until(lambda: made)
    time.sleep(0.05)
    gate.set()
    assert len(set(map(id, outcomes.result()))) == 1
    assert made == [1]
    assert flight.call("key", lambda: "again") == "again"


def test_who_waits_gets_the_error_and_who_comes_later_does_not(gate):
    flight: SingleFlight = SingleFlight()

    def make():
        assert gate.wait(LONG)
        raise CancelledError  # also where it looks like one of this module's own

    outcomes = InThreads(4, lambda: flight.call("key", make))
    time.sleep(0.05)
    gate.set()
    assert [type(outcome) for outcome in outcomes.result()] == [CancelledError] * 4
    assert flight.call("key", lambda: 5) == 5


def test_who_waits_is_not_interrupted_with_the_one_that_makes_it(gate):
    flight: SingleFlight = SingleFlight()
    made = []

    def make():
        made.append(1)
        if len(made) == 1:
            assert gate.wait(LONG)
            raise KeyboardInterrupt
        return "made again"

    outcomes = InThreads(4, lambda: flight.call("key", make))
    wait_until(lambda: made)
    time.sleep(0.05)
    gate.set()
    found = outcomes.result()
    assert sum(isinstance(outcome, KeyboardInterrupt) for outcome in found) == 1
    assert found.count("made again") == 3
    assert not flight._in_progress


def test_many_keys_and_threads():
    flight: SingleFlight = SingleFlight()
    outcomes = InThreads(8, lambda: [flight.call(key % 7, partial(divmod, key, 7))[1] for key in range(500)])
    assert outcomes.result() == [[key % 7 for key in range(500)]] * 8
    assert not flight._in_progress


# --- one state a process --------------------------------------------------------------------------------------------------


def test_a_state_is_made_when_it_is_needed_and_kept():
    state: PerProcess = PerProcess(object)
    assert state.peek() is None
    made = state.get()
    assert state.get() is made is state.peek()


def test_threads_that_race_get_one_state():
    for _ in range(20):
        state: PerProcess = PerProcess(object)
        assert len(set(map(id, InThreads(8, state.get).result()))) == 1


def test_pickling_takes_how_to_make_it_not_what_was_made():
    state: PerProcess = PerProcess(dict)
    state.get()["key"] = "value"
    again = pickle.loads(pickle.dumps(state))
    assert again.get() == {}
    assert state.get() == {"key": "value"}


def put_state(state, queue):
    queue.put((state.peek(), state.get() == {}))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of Python 3.12: forking with threads is what is shown
def test_a_forked_child_has_its_own():
    state: PerProcess = PerProcess(dict)
    state.get()["key"] = "value"
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=put_state, args=(state, queue), daemon=True)
    child.start()
    child.join(LONG)
    assert child.exitcode == 0
    assert queue.get() == (None, True)
    assert state.get() == {"key": "value"}


def test_a_child_with_the_number_of_an_ancestor_has_its_own_too(monkeypatch):
    state: PerProcess = PerProcess(dict)
    state.get()["key"] = "value"
    number = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: number)
    monkeypatch.setattr(forks, "_fork_count", forks._fork_count)
    monkeypatch.setattr(forks, "_is_child_of_obstore", False)
    forks._after_fork()  # what a fork does
    assert state.get() == {}
