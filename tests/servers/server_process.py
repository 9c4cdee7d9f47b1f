"""A server in a process of its own, steered over its standard input and output by pickled calls.

The process ends with its input, so also when the process that started it is killed.
"""

import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.servers.faults import Exchange, Fault, FaultKind

_REPOSITORY = Path(__file__).parents[2]
_END_SECONDS = 10


class ServerProcess:
    """`python -m module`, whose main calls `serve_in_this_process`; `options` go to the server's constructor."""

    def __init__(self, module: str, options: dict[str, Any]) -> None:
        self._module, self._options = module, options
        self._lock = threading.Lock()
        self.url = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module], cwd=_REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.url = self._exchange(self._options)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()  # ends the process
            try:
                self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                raise

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        return self._exchange((method, arguments, options))

    def _exchange(self, message: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()
            result = pickle.load(self._process.stdout)
        if isinstance(result, Exception):
            raise result
        return result


class ControlledServerProcess(ServerProcess):
    """The methods of `ControlledServer`, passed on."""

    def exchanges(self) -> list[Exchange]:
        found: list[Exchange] = self.call("exchanges")
        return found

    def clear(self) -> None:
        self.call("clear")

    def inject(self, fault: Fault) -> None:
        self.call("inject", fault)

    def clear_faults(self) -> None:
        self.call("clear_faults")

    def randomly(self, probability: float, kinds: Iterable[FaultKind | Fault], seed: int) -> None:
        self.call("randomly", probability, tuple(kinds), seed)

    def shape(self, *, latency_seconds: float = 0.0, bits_per_second: float | None = None) -> None:
        self.call("shape", latency_seconds=latency_seconds, bits_per_second=bits_per_second)


def serve_in_this_process(make_server: Callable[..., Any]) -> None:
    """The other end: answer calls until the input ends. The server is a context manager with a `url`."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer

    def reply(result: Any) -> None:
        pickle.dump(result, sink)
        sink.flush()

    with make_server(**pickle.load(source)) as server:
        reply(server.url)
        while True:
            try:
                method, arguments, options = pickle.load(source)
            except EOFError:
                return
            try:
                reply(getattr(server, method)(*arguments, **options))
            except Exception as error:
                reply(error)
