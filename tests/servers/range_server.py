"""Files of a folder and objects of memory over HTTP with range requests, as object storage and CDNs serve them."""

import hashlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, quote

from tests.servers import byte_ranges
from tests.servers.controlled_server import ControlledServer
from tests.servers.http_messages import Request, Response
from tests.servers.server_process import ControlledServerProcess, serve_in_this_process


class RangeServer(ControlledServer):
    """GET and HEAD below `root`, in a thread of this process; `objects` (path without slash: bytes) go first.

    With `signed`, only URLs that carry the current signature (`url_of`) are served, others get 403.
    """

    def __init__(
        self,
        root: Path | str | None = None,
        *,
        objects: Mapping[str, bytes] | None = None,
        latency_seconds: float = 0.0,
        bits_per_second: float | None = None,
        etag: bool = True,
        response_headers: Mapping[str, str] | None = None,
        signed: bool = False,
    ) -> None:
        super().__init__()
        self._root = None if root is None else Path(root).resolve()
        self._objects: dict[str, tuple[bytes, str]] = {}
        for path, content in (objects or {}).items():
            self.put(path, content)
        self._has_etag = etag
        self._response_headers = dict(response_headers or {})
        self._signature = secrets.token_hex(8) if signed else ""
        self.listen(self._serve, latency_seconds=latency_seconds, bits_per_second=bits_per_second)

    def put(self, path: str, content: bytes) -> None:
        """Serve `content` at `path`, with an ETag made from it."""
        self._objects[path.strip("/")] = content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'

    def remove(self, path: str) -> None:
        """Stop serving an object of memory."""
        del self._objects[path.strip("/")]

    def url_of(self, path: str) -> str:
        """Where `path` is, signed if this server wants that."""
        query = f"?sig={self._signature}" if self._signature else ""
        return f"{self.url}/{quote(path.strip('/'))}{query}"

    def rotate_signature(self) -> None:
        """Answer all URLs signed so far with 403."""
        self._signature = secrets.token_hex(8)

    def _serve(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return Response(405, {"Allow": "GET, HEAD"})
        if self._signature and parse_qs(request.query).get("sig") != [self._signature]:
            return Response(403, {}, b"signature expired")
        path = request.path.strip("/")
        content: bytes | Path
        if path in self._objects:
            content, etag = self._objects[path]
        else:
            file = None if self._root is None or ".." in path.split("/") else self._root / path
            if file is None or not file.is_file():
                return Response(404, {}, b"not found")
            content, etag = file, byte_ranges.file_etag(file)
        headers = {"Content-Type": "application/octet-stream", **self._response_headers}
        if self._has_etag:
            headers["ETag"] = etag
        return byte_ranges.serve(request, content, headers)


class RangeServerProcess(ControlledServerProcess):
    """The same server in a process of its own, which takes no time from the threads of this one."""

    def __init__(
        self,
        root: Path | str | None = None,
        *,
        objects: Mapping[str, bytes] | None = None,
        latency_seconds: float = 0.0,
        bits_per_second: float | None = None,
        etag: bool = True,
        response_headers: Mapping[str, str] | None = None,
        signed: bool = False,
    ) -> None:
        super().__init__(
            "tests.servers.range_server",
            {
                "root": None if root is None else Path(root).resolve(),
                "objects": objects,
                "latency_seconds": latency_seconds,
                "bits_per_second": bits_per_second,
                "etag": etag,
                "response_headers": response_headers,
                "signed": signed,
            },
        )

    def put(self, path: str, content: bytes) -> None:
        self.call("put", path, content)

    def remove(self, path: str) -> None:
        self.call("remove", path)

    def url_of(self, path: str) -> str:
        return str(self.call("url_of", path))

    def rotate_signature(self) -> None:
        self.call("rotate_signature")


if __name__ == "__main__":
    serve_in_this_process(RangeServer)
