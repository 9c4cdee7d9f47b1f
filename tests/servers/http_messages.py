"""HTTP/1.1 messages: requests parsed from bytes (RFC 9112), responses with a body of bytes or of a part of a file."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote

_MAX_HEAD_BYTES = 1 << 16
_REASONS = {status.value: status.phrase for status in HTTPStatus}
_WITHOUT_BODY = (204, 304)


class MalformedRequestError(ValueError):
    """These bytes are no request."""


@dataclass(frozen=True, slots=True)
class Request:
    """`target` is as sent, `path` decoded and without `query`; header names are in lower case."""

    method: str
    target: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""
    keep_alive: bool = True


class FileSlice:
    """Bytes [start, stop) of an open file, read when sliced; its owner closes it, once or more often."""

    def __init__(self, descriptor: int, start: int, stop: int) -> None:
        self._descriptor, self._start, self._count = descriptor, start, stop - start

    @classmethod
    def open(cls, path: Path) -> "FileSlice":
        descriptor = os.open(path, os.O_RDONLY)
        return cls(descriptor, 0, os.fstat(descriptor).st_size)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self._count)
        return os.pread(self._descriptor, max(stop - start, 0), self._start + start)

    def narrowed(self, start: int, stop: int) -> "FileSlice":
        """A part of this part, which now owns the file."""
        descriptor, self._descriptor = self._descriptor, -1
        return FileSlice(descriptor, self._start + start, self._start + stop)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@dataclass(slots=True)
class Response:
    """`content_length` is only given where it differs from the body: in answers to HEAD that carry no body."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | FileSlice = b""
    content_length: int | None = None

    def head(self, *, keep_alive: bool) -> bytes:
        length = len(self.body) if self.content_length is None else self.content_length
        lines = [f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.status not in _WITHOUT_BODY:
            lines.append(f"Content-Length: {length}")
        if not keep_alive:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def close(self) -> None:
        if isinstance(self.body, FileSlice):
            self.body.close()


class RequestParser:
    """Requests from the bytes of one connection, bodies with Content-Length or in chunks."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: Request | None = None
        self._chunks: list[bytes] = []
        self.expects_continue = False

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next_request(self) -> Request | None:
        """The next whole request, or None until more bytes arrive.

        Raises:
            MalformedRequestError: What arrived is no HTTP/1.x request.
        """
        if self._head is None:
            self._head = self._take_head()
        if self._head is None:
            return None
        head = self._head
        if "transfer-encoding" in head.headers:
            body = self._take_chunks()
        else:
            body = self._take(_decimal(head.headers.get("content-length", "0")))
        if body is None:
            return None
        self._head = None
        if not body:
            return head
        return Request(head.method, head.target, head.path, head.query, head.headers, body, head.keep_alive)

    def _take(self, count: int) -> bytes | None:
        if len(self._buffer) < count:
            return None
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _take_head(self) -> Request | None:
        end = self._buffer.find(b"\r\n\r\n", 0, _MAX_HEAD_BYTES)
        if end < 0:
            if len(self._buffer) >= _MAX_HEAD_BYTES:
                raise MalformedRequestError(f"no end of headers in {_MAX_HEAD_BYTES} bytes")
            return None
        text = self._buffer[:end].decode("latin-1")
        del self._buffer[: end + 4]
        first, *lines = text.split("\r\n")
        try:
            method, target, version = first.split(" ")
        except ValueError:
            raise MalformedRequestError(f"request line {first!r}") from None
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon:
                raise MalformedRequestError(f"header line {line!r}")
            name, value = name.lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        self.expects_continue = headers.get("expect", "").lower() == "100-continue"
        path, _, query = target.partition("?")
        keep_alive = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        return Request(method, target, unquote(path), query, headers, keep_alive=keep_alive)

    def _take_chunks(self) -> bytes | None:
        while (end := self._buffer.find(b"\r\n")) >= 0:
            size_text = self._buffer[:end].split(b";")[0]
            try:
                size = int(size_text, 16)
            except ValueError:
                raise MalformedRequestError(f"chunk size {bytes(size_text)!r}") from None
            if len(self._buffer) < end + 2 + size + 2:
                return None  # the last chunk is followed by an empty trailer, which these two bytes are
            self._chunks.append(bytes(self._buffer[end + 2 : end + 2 + size]))
            del self._buffer[: end + 2 + size + 2]
            if size == 0:
                body = b"".join(self._chunks)
                self._chunks = []
                return body
        return None


def _decimal(text: str) -> int:
    if not text.isdecimal():
        raise MalformedRequestError(f"Content-Length {text!r}")
    return int(text)
