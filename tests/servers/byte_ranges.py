"""Range requests (RFC 9110, section 14): the answer to one, and the same answer gone wrong."""

import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

from tests.servers.faults import Fault
from tests.servers.http_messages import FileSlice, Request, Response


def serve(request: Request, content: bytes | Path, headers: Mapping[str, str]) -> Response:
    """Answer GET or HEAD for an object: 200, 206, 412 (If-Match) or 416.

    Several ranges at once are answered with the whole object, as a server may. Range counts for GET alone.
    """
    body = FileSlice.open(content) if isinstance(content, Path) else content
    total = len(body)
    headers = {"Accept-Ranges": "bytes", **headers}
    etag = headers.get("ETag")
    wanted = request.headers.get("if-match")
    if wanted is not None and wanted not in ("*", etag):
        return _without_body(412, headers, body)
    span = _span(request.headers.get("range", ""), total) if request.method == "GET" else None
    if span is None or request.headers.get("if-range", etag) != etag:
        return Response(200, headers, body)
    start, stop = span
    if start >= stop:
        return _without_body(416, {**headers, "Content-Range": f"bytes */{total}"}, body)
    part = body.narrowed(start, stop) if isinstance(body, FileSlice) else body[start:stop]
    return Response(206, {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{total}"}, part)


def file_etag(path: Path) -> str:
    """Size and modification time in hexadecimal, as nginx makes it (but nanoseconds)."""
    status = os.stat(path)
    return f'"{status.st_size:x}-{status.st_mtime_ns:x}"'


def _span(header: str, total: int) -> tuple[int, int] | None:
    """[start, stop) within `total`, empty where unsatisfiable; None where the header is absent or to be ignored."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header)
    if match is None or header == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return max(total - int(last), 0), total
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1, total) if last else total


def _without_body(status: int, headers: dict[str, str], body: bytes | FileSlice) -> Response:
    if isinstance(body, FileSlice):
        body.close()
    return Response(status, headers)


async def bend(
    request: Request, response: Response, fault: Fault, answer: Callable[[Request], Awaitable[Response]]
) -> Response | None:
    """The response that `fault` makes of this one, asking `answer` for another range where it needs one.

    None where the fault has nothing to act on.
    """
    if fault.kind == "corrupt":
        return _corrupted(response, fault.at_byte)
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", _content_range(response))
    if response.status != 206 or match is None:
        return None
    start, last, total = (int(number) for number in match.groups())
    count = last + 1 - start
    if fault.kind == "wrong_total":
        name = next(name for name in response.headers if name.lower() == "content-range")
        return replace(response, headers={**response.headers, name: f"bytes {start}-{last}/{total + 1}"})
    if fault.kind == "ignore_range":
        range_header = None
    elif fault.kind == "short_range" and count > 1:
        range_header = f"bytes={start}-{start + count // 2 - 1}"
    elif fault.kind == "wrong_range" and count < total:
        other = start - min(start, count) if start else min(count, total - count)
        range_header = f"bytes={other}-{other + count - 1}"
    else:
        return None
    response.close()
    headers = {name: value for name, value in request.headers.items() if name != "range"}
    if range_header:
        headers["range"] = range_header
    return await answer(replace(request, headers=headers))


def _content_range(response: Response) -> str:
    return next((value for name, value in response.headers.items() if name.lower() == "content-range"), "")


def _corrupted(response: Response, at_byte: int) -> Response | None:
    if not len(response.body):
        return None
    body = bytearray(response.body[:])
    response.close()
    body[at_byte % len(body)] ^= 1
    return replace(response, body=bytes(body))
