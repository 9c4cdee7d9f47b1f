"""Threads that wait for stores: a bounded number of requests in flight.

They are daemon threads: a program that ends does not wait for a store that does not answer, as it would with
`concurrent.futures`, which joins its threads.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class WorkerPool:
    """Up to `max_workers` threads, started as they are needed, that run what is submitted in order.

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
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread_count = 0
        self._unfinished = 0
        self._is_closed = False

    def submit(self, call: Callable[[], T]) -> "Future[T]":
        """Run `call` in a thread; its result or exception is the future's. Raises RuntimeError when closed."""
        future: Future[T] = Future()
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the pool is closed")
            self._calls.put((future, call))
            self._unfinished += 1
            if self._thread_count < min(self._unfinished, self._max_workers):
                self._thread_count += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._thread_count}", daemon=True).start()
        return future

    def close(self) -> None:
        """Start nothing more: what waits is cancelled, what runs is left to its end. May be called twice."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            while True:
                try:
                    waiting = self._calls.get_nowait()
                except queue.Empty:
                    break
                if waiting is not None:
                    waiting[0].cancel()
            for _ in range(self._thread_count):
                self._calls.put(None)

    def _work(self) -> None:
        while (waiting := self._calls.get()) is not None:
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
            with self._lock:
                self._unfinished -= 1
            del future, call  # an idle thread keeps nothing alive


def map_in_threads(call: Callable[[T], R], items: Sequence[T], *, max_in_flight: int) -> list[R]:
    """`call` of each item, in order, up to `max_in_flight` at the same time; one item is run in this thread.

    The first failure, in the order of the items, is raised; what has not started then is not started.
    """
    if len(items) <= 1 or max_in_flight == 1:
        return [call(item) for item in items]
    pool = WorkerPool(min(max_in_flight, len(items)))
    try:
        futures = [pool.submit(lambda item=item: call(item)) for item in items]  # type: ignore[misc]
        return [future.result() for future in futures]
    finally:
        pool.close()


def call_within(call: Callable[[], T], seconds: float) -> T:
    """The result of `call`, run in a thread of its own. Raises TimeoutError after `seconds`; the thread is left behind."""
    pool = WorkerPool(1)
    try:
        return pool.submit(call).result(timeout=seconds)
    finally:
        pool.close()
