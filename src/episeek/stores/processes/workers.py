"""Threads that wait for stores, so that a bounded number of requests are in flight.

They are daemon threads, so that a program can end while a store does not answer. `concurrent.futures` joins its threads when the
program ends, and so would wait for the store.
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
    """Up to `max_workers` threads that run calls in the order in which they are submitted.

    Threads are started when they are needed. When nothing refers to a pool any more, its threads finish its calls and end.

    Args:
        max_workers: Largest number of calls that run at the same time.
        name: Beginning of the names of the threads.
    """

    def __init__(self, max_workers: int, *, name: str = "episeek") -> None:
        if max_workers < 1:
            raise ValueError(f"max_workers: found {max_workers}; expected 1 or more")
        self._max_workers = max_workers
        self._name = name
        self._lock = threading.Lock()
        self._backlog = _Backlog()
        self._is_closed = False
        # At the exit of the program nothing has to be done, since daemon threads end with it.
        weakref.finalize(self, _end_threads, self._backlog).atexit = False

    def submit(self, call: Callable[[], T]) -> "Future[T]":
        """Run `call` in a thread and return a future for its result or exception.

        Raises:
            RuntimeError: The pool is closed, or the system allows no thread.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the pool is closed")
            backlog = self._backlog
            backlog.add((future, call))
            if backlog.thread_count < min(backlog.unfinished, self._max_workers):
                name = f"{self._name}-{backlog.thread_count + 1}"
                try:
                    threading.Thread(target=_work, args=(backlog,), name=name, daemon=True).start()
                except RuntimeError:
                    # If the system allows no further thread, the running threads make the call.
                    if not backlog.thread_count:
                        backlog.take_back()
                        raise
                else:
                    backlog.thread_count += 1
        return future

    def close(self) -> None:
        """Cancel the calls that have not started, and let running calls finish. A second call of `close` does nothing."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            while (waiting := self._backlog.take_back()) is not None:
                waiting[0].cancel()
            _end_threads(self._backlog)


class _Backlog:
    """The waiting calls of a pool. Threads refer to it instead of the pool, so that the pool can be garbage collected."""

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
        """Remove and return the call that has waited longest, or return None if no call is waiting."""
        try:
            waiting = self.calls.get_nowait()
        except queue.Empty:
            return None
        self.note_finished()
        return waiting

    def note_finished(self) -> None:
        with self._lock:
            self.unfinished -= 1


def _end_threads(backlog: _Backlog) -> None:
    """Tell the threads of a pool to end. No lock is taken, since the garbage collector may call this function at any time."""
    for _ in range(backlog.thread_count):
        backlog.calls.put(None)


def _work(backlog: _Backlog) -> None:
    while (waiting := backlog.calls.get()) is not None:
        future, call = waiting
        del waiting
        if future.set_running_or_notify_cancel():
            try:
                result = call()
            except BaseException as error:
                # An exception of any kind is passed on to the thread that waits for the result.
                future.set_exception(error)
            else:
                future.set_result(result)
                del result
        backlog.note_finished()
        # An idle thread must not keep objects alive.
        del future, call


def map_in_threads(call: Callable[[T], R], items: Sequence[T], *, max_in_flight: int) -> list[R]:
    """Return the results of `call` for each item, in order, with up to `max_in_flight` calls at the same time.

    If there is a single item or `max_in_flight` is 1, calls are made in the calling thread. If calls fail, the exception of the
    first failed item is raised, and calls that have not started yet are not made.

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
        # A failed future must not stay in the deque, because its traceback refers to this frame.
        while futures:
            results.append(futures.popleft().result())
        return results
    finally:
        pool.close()


def call_within(call: Callable[[], T], seconds: float) -> T:
    """Return the result of `call`, which runs in a new thread.

    Raises:
        TimeoutError: `call` has not returned after `seconds`. The thread continues to run it.
    """
    pool = WorkerPool(1)
    try:
        return pool.submit(call).result(timeout=seconds)
    finally:
        pool.close()
