"""Threads that wait for stores: a bounded number of requests in flight.

They are daemon threads: a program that ends does not wait for a store that does not answer, as it would with
`concurrent.futures`, which joins its threads.
"""

import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class WorkerPool:
    """Up to `max_workers` threads, started as they are needed, that run what is submitted in order. Of a pool that nobody
    refers to any more they end when that is done.

    Args:
        max_workers: Calls that run at the same time.
        name: Of the threads.
    """

    def __init__(self, max_workers: int, *, name: str = "episeek") -> None:
        if max_workers < 1:
            raise ValueError(f"max_workers: found {max_workers}; expected 1 or more")
        self._max_workers = max_workers
        self._name = name
        self._lock = threading.Lock()
        self._load = _Load()
        self._is_closed = False
        weakref.finalize(self, _end_threads, self._load).atexit = False  # daemon threads end with the program

    def submit(self, call: Callable[[], T]) -> "Future[T]":
        """Run `call` in a thread; its result or exception is the future's. Raises RuntimeError when closed."""
        future: Future[T] = Future()
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the pool is closed")
            load = self._load
            load.add((future, call))
            if load.thread_count < min(load.unfinished, self._max_workers):
                name = f"{self._name}-{load.thread_count + 1}"
                try:
                    threading.Thread(target=_work, args=(load,), name=name, daemon=True).start()
                except RuntimeError:  # no further threads: those that are there will do it
                    if not load.thread_count:
                        load.take_back()
                        raise
                else:
                    load.thread_count += 1
        return future

    def close(self) -> None:
        """Start nothing more: what waits is cancelled, what runs is left to its end. May be called twice."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            while (waiting := self._load.take_back()) is not None:
                waiting[0].cancel()
            _end_threads(self._load)


class _Load:
    """What a pool shares with its threads, which keep it alive, and not the pool."""

    def __init__(self) -> None:
        self.calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self.thread_count = 0
        self.unfinished = 0
        self._lock = threading.Lock()

    def add(self, waiting: tuple[Future[Any], Callable[[], Any]]) -> None:
        with self._lock:
            self.unfinished += 1
        self.calls.put(waiting)

    def take_back(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        """The call that waits longest; None where none does."""
        try:
            waiting = self.calls.get_nowait()
        except queue.Empty:
            return None
        self.note_finished()
        return waiting

    def note_finished(self) -> None:
        with self._lock:
            self.unfinished -= 1


def _end_threads(load: _Load) -> None:
    """Without a lock: this also runs wherever the garbage collector does."""
    for _ in range(load.thread_count):
        load.calls.put(None)


def _work(load: _Load) -> None:
    while (waiting := load.calls.get()) is not None:
        future, call = waiting
        del waiting
        if future.set_running_or_notify_cancel():
            try:
                result = call()
            except BaseException as error:  # whatever it is, it belongs to whoever waits
                future.set_exception(error)
            else:
                future.set_result(result)
                del result
        load.note_finished()
        del future, call  # an idle thread keeps nothing alive


def map_in_threads(call: Callable[[T], R], items: Sequence[T], *, max_in_flight: int) -> list[R]:
    """`call` of each item, in order, up to `max_in_flight` at the same time; one item is run in this thread.

    The first failure, in the order of the items, is raised; what has not started then is not started.

    Raises:
        ValueError: `max_in_flight` is less than 1.
    """
    if max_in_flight < 1:
        raise ValueError(f"max_in_flight: found {max_in_flight}; expected 1 or more")
    if len(items) <= 1 or max_in_flight == 1:
        return [call(item) for item in items]
    pool = WorkerPool(min(max_in_flight, len(items)))
    try:
        futures = deque(pool.submit(lambda item=item: call(item)) for item in items)  # type: ignore[misc]
        results = []
        while futures:  # one that failed is not kept here: its traceback refers to this
            results.append(futures.popleft().result())
        return results
    finally:
        pool.close()


def call_within(call: Callable[[], T], seconds: float) -> T:
    """The result of `call`, run in a thread of its own. Raises TimeoutError after `seconds`; the thread is left behind."""
    pool = WorkerPool(1)
    try:
        return pool.submit(call).result(timeout=seconds)
    finally:
        pool.close()
