"""A reverse proxy that puts faults, latency and a log in front of a server that has none."""

import asyncio
import http.client
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from tests.servers.controlled_server import ControlledServer
from tests.servers.http_messages import Request, Response

_THREAD_COUNT = 32
_TIMEOUT_SECONDS = 60
_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "expect", "content-length", "proxy-connection")


class FaultProxy(ControlledServer):
    """Forwards everything to `upstream` ("http://127.0.0.1:PORT"); the Host header stays the client's without `host`."""

    def __init__(
        self,
        upstream: str,
        *,
        host: str | None = None,
        latency_seconds: float = 0.0,
        bits_per_second: float | None = None,
    ) -> None:
        super().__init__()
        self._address = urlsplit(upstream).netloc
        self._host = host
        self.listen(self._forward, latency_seconds=latency_seconds, bits_per_second=bits_per_second)

    def start(self) -> None:
        self._threads = ThreadPoolExecutor(_THREAD_COUNT, thread_name_prefix="fault proxy")
        super().start()

    def stop(self) -> None:
        super().stop()
        self._threads.shutdown()

    def _forward(self, request: Request) -> Awaitable[Response]:
        return asyncio.get_running_loop().run_in_executor(self._threads, self._ask_upstream, request)

    def _ask_upstream(self, request: Request) -> Response:
        connection = http.client.HTTPConnection(self._address, timeout=_TIMEOUT_SECONDS)
        try:
            connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                if name not in _HOP_BY_HOP:
                    connection.putheader(name, self._host if name == "host" and self._host else value)
            if request.body or request.method in ("PUT", "POST"):
                connection.putheader("content-length", str(len(request.body)))
            connection.putheader("connection", "close")
            connection.endheaders(request.body or None)
            with connection.getresponse() as answer:
                body = answer.read()
                headers = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP}
                length = answer.getheader("content-length") if request.method == "HEAD" else None
                return Response(answer.status, headers, body, None if length is None else int(length))
        except (OSError, http.client.HTTPException) as error:
            return Response(502, {"Content-Type": "text/plain"}, f"{type(error).__name__}: {error}".encode())
        finally:
            connection.close()
