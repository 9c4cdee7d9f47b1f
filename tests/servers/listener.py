"""One HTTP/1.1 origin on 127.0.0.1: connections, latency, the link, and faults of transport, around any application."""

import asyncio
import inspect
import socket
import struct
import threading
import time
import traceback
from collections.abc import Awaitable, Callable

from tests.servers import byte_ranges
from tests.servers.capped_link import CappedLink
from tests.servers.faults import Exchange, ExchangeLog, ExchangeRecord, Fault, FaultPlan
from tests.servers.http_messages import MalformedRequestError, Request, RequestParser, Response

Application = Callable[[Request], Response | Awaitable[Response]]

_SLICE_BYTES = 64 << 10
_BACKLOG = 1024
_TURNS_OF_ACCEPTING = 8  # of the event loop, with room to spare: until an accepted connection is among `connections`
_BEFORE_RESET_SECONDS = 0.02  # an RST may overtake bytes that the other side has not read yet
_GARBAGE = b"\x16\x03\x01 this is not HTTP\r\n\r\n"
_CUTTING_KINDS = ("truncate", "truncate_reset", "stall_body")
_BENDING_KINDS = ("corrupt", "ignore_range", "wrong_range", "wrong_total", "short_range")


class Listener:
    """An event loop in a thread of its own that answers requests with `application`.

    `host` is how `url` calls 127.0.0.1. `application` runs in that thread and must not block; it may return an awaitable instead.
    """

    def __init__(
        self,
        application: Application,
        faults: FaultPlan,
        log: ExchangeLog,
        *,
        name: str = "",
        host: str = "127.0.0.1",
        latency_seconds: float = 0.0,
        bits_per_second: float | None = None,
    ) -> None:
        self.application, self.faults, self.log, self.name, self.host = application, faults, log, name, host
        self.shape(latency_seconds=latency_seconds, bits_per_second=bits_per_second)
        self.connections: set[_Connection] = set()
        self.connection_count = 0
        self.port = 0
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name=f"listener {name}", daemon=True)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def shape(self, *, latency_seconds: float, bits_per_second: float | None) -> None:
        """Change latency and link for the requests from now on."""
        self.latency_seconds = latency_seconds
        self.link = None if bits_per_second is None else CappedLink(bits_per_second)

    def start(self) -> None:
        self._thread.start()
        self._is_ready.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._is_stopped.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._is_stopped = asyncio.Event()
        server = await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=_BACKLOG)
        self.port = server.sockets[0].getsockname()[1]
        self._is_ready.set()
        await self._is_stopped.wait()
        for listening in server.sockets:
            self._loop.remove_reader(listening.fileno())
        quiet_turns = 0
        while quiet_turns < _TURNS_OF_ACCEPTING:
            await asyncio.sleep(0)
            quiet_turns = 0 if self.connections else quiet_turns + 1
            for connection in list(self.connections):
                connection.abort()
        server.close()  # not before: asyncio leaves a connection open that it finds on its way to a closed server


class _Connection(asyncio.Protocol):
    """Answers one request after the other; asyncio sets TCP_NODELAY."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._parser = RequestParser()
        self._task: asyncio.Task[None] | None = None
        self._can_write = asyncio.Event()
        self._can_write.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._listener.connections.add(self)
        self._listener.connection_count += 1
        self._number = self._listener.connection_count

    def connection_lost(self, error: Exception | None) -> None:
        self._listener.connections.discard(self)
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._can_write.clear()

    def resume_writing(self) -> None:
        self._can_write.set()

    def abort(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._parser.feed(data)
        if self._task is None:
            self._advance()

    def _advance(self) -> None:
        try:
            while self._task is None and not self._transport.is_closing():
                request = self._parser.next_request()
                if self._parser.expects_continue:
                    self._parser.expects_continue = False
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                if request is None:
                    return
                self._begin(request)
        except MalformedRequestError as error:
            self._transport.write(Response(400, {}, str(error).encode()).head(keep_alive=False) + str(error).encode())
            self._transport.close()

    def _begin(self, request: Request) -> None:
        """Answer at once where nothing stands in the way, else in a task."""
        listener = self._listener
        range_header = request.headers.get("range", "")
        fault = listener.faults.take(
            server=listener.name, method=request.method, path=request.path, is_ranged=bool(range_header)
        )
        record = ExchangeRecord(
            Exchange(
                server=listener.name,
                connection=self._number,
                method=request.method,
                path=request.path,
                query=request.query,
                range_header=range_header,
                has_authorization="authorization" in request.headers,
                received_bytes=len(request.body),
                started_seconds=time.monotonic(),
            ),
            fault="" if fault is None else fault.kind,
        )
        listener.log.add(record)
        answer = None
        if fault is None and not listener.latency_seconds and listener.link is None:
            answer = self._apply(request)
            if isinstance(answer, Response) and len(answer.body) <= _SLICE_BYTES and self._can_write.is_set():
                self._send_whole(request, answer, record)
                return
        self._task = asyncio.get_running_loop().create_task(self._answer(request, answer, fault, record))
        self._task.add_done_callback(self._answered)
        if isinstance(answer, Response):
            self._task.add_done_callback(lambda _: answer.close())  # also where the task never began

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if task.cancelled():
            return
        if task.exception() is not None:
            traceback.print_exception(task.exception())
            self._transport.abort()
        self._advance()

    def _apply(self, request: Request) -> Response | Awaitable[Response]:
        try:
            return self._listener.application(request)
        except Exception:
            return _failure()

    async def _applied(self, request: Request) -> Response:
        try:
            answer = self._listener.application(request)
            return await answer if inspect.isawaitable(answer) else answer
        except Exception:
            return _failure()

    def _send_whole(self, request: Request, response: Response, record: ExchangeRecord) -> None:
        body = b"" if request.method == "HEAD" else response.body[:]
        head = response.head(keep_alive=request.keep_alive)
        response.close()
        record.status, record.sent_bytes = response.status, len(body)
        record.end()
        self._transport.write(head + body)
        if not request.keep_alive:
            self._transport.close()

    async def _answer(
        self,
        request: Request,
        answer: Response | Awaitable[Response] | None,
        fault: Fault | None,
        record: ExchangeRecord,
    ) -> None:
        if self._listener.latency_seconds:
            await asyncio.sleep(self._listener.latency_seconds)
        kind = "" if fault is None else fault.kind
        if kind in ("drop", "gone", "reset", "not_http"):
            record.end()
            if kind == "not_http":
                self._transport.write(_GARBAGE)
            self._hang_up(with_reset=kind == "reset")
            return
        if fault is not None and kind == "stall":
            await asyncio.sleep(fault.seconds)
        if fault is not None and kind == "status":
            response = Response(fault.status, dict(fault.headers), fault.body)
        elif answer is None:
            response = await self._applied(request)
        else:
            response = await answer if inspect.isawaitable(answer) else answer
        try:
            if fault is not None and kind in _BENDING_KINDS:
                bent = await byte_ranges.bend(request, response, fault, self._applied)
                response, record.fault = (response, "") if bent is None else (bent, kind)
            if kind == "commit_then_drop":
                record.end()
                self._hang_up()
            else:
                await self._send(request, response, fault if kind in _CUTTING_KINDS else None, record)
        finally:
            response.close()

    async def _send(self, request: Request, response: Response, cut: Fault | None, record: ExchangeRecord) -> None:
        body_bytes = 0 if request.method == "HEAD" else len(response.body)
        stop = body_bytes if cut is None else min(cut.at_byte, max(body_bytes - 1, 0))
        link = self._listener.link
        slice_bytes = _SLICE_BYTES if link is None else link.slice_bytes
        record.status = response.status
        data = response.head(keep_alive=request.keep_alive)
        for start in range(0, max(stop, 1), slice_bytes):
            part = response.body[start : min(start + slice_bytes, stop)]
            data += part
            if link is not None:
                await link.carry(len(data))
            record.sent_bytes += len(part)
            if start + slice_bytes >= stop:
                record.end()
            self._transport.write(data)
            data = b""
            await self._can_write.wait()
        if cut is None:
            if not request.keep_alive:
                self._transport.close()
            return
        await asyncio.sleep(cut.seconds if cut.kind == "stall_body" else 0)
        if cut.kind == "truncate_reset":
            await asyncio.sleep(_BEFORE_RESET_SECONDS)
        self._hang_up(with_reset=cut.kind == "truncate_reset")

    def _hang_up(self, *, with_reset: bool = False) -> None:
        if not with_reset:
            self._transport.close()
            return
        connection: socket.socket = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


def _failure() -> Response:
    """A defect of the server itself, to be seen on both sides."""
    traceback.print_exc()
    return Response(500, {"Content-Type": "text/plain"}, traceback.format_exc().encode())
