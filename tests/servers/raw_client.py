"""The bytes a server really sends, and how the connection ends, seen through a plain socket."""

import http.client
import io
import socket
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

_TIMEOUT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """All bytes until the end, and whether the end was a FIN or an RST."""

    data: bytes
    ending: Literal["closed", "reset"]

    @property
    def head(self) -> str:
        return self.data.partition(b"\r\n\r\n")[0].decode()

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def status(self) -> int:
        return int(self.head.split(" ")[1])

    @property
    def headers(self) -> http.client.HTTPMessage:
        """Looked up in any case."""
        return http.client.parse_headers(io.BytesIO(self.data.partition(b"\r\n")[2]))


def ask(url: str, *, method: str = "GET", headers: dict[str, str] | None = None, body: bytes = b"") -> RawAnswer:
    """Send one request, with `Connection: close`, and read to the end."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target or '/'} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    assert parts.hostname is not None
    received = b""
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=_TIMEOUT_SECONDS) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        try:
            while data := connection.recv(1 << 16):
                received += data
        except ConnectionResetError:
            return RawAnswer(received, "reset")
    return RawAnswer(received, "closed")


def ask_range(url: str, start: int, stop: int) -> RawAnswer:
    """GET bytes [start, stop)."""
    return ask(url, headers={"Range": f"bytes={start}-{stop - 1}"})
