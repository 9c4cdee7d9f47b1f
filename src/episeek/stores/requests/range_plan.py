"""Plan the requests for a set of ranges: ranges that are close together share a request, and no byte is fetched twice."""

from collections.abc import Sequence
from dataclasses import dataclass

from episeek.stores.byte_source import ByteSource
from episeek.stores.processes.workers import map_in_threads

DEFAULT_GAP_BYTES = 1 << 16
"""Largest gap between two ranges, in bytes, that is fetched to save a request. `make bench-remote` measures the best value."""

MAX_REQUEST_BYTES = 1 << 25
"""Largest length of a request, in bytes, that joins ranges. With longer requests, fewer of them could run at the same time."""


@dataclass(frozen=True, slots=True)
class WantedRange:
    """A range of bytes that a caller needs: `[start, stop)` of the file `path`."""

    path: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """A request for the bytes `[start, stop)` of the file `path`, with the wanted ranges in it."""

    path: str
    start: int
    stop: int
    members: tuple[int, ...]
    """Positions of these wanted ranges in the list of all wanted ranges."""


def plan_requests(
    wanted: Sequence[WantedRange],
    *,
    max_gap_bytes: int = DEFAULT_GAP_BYTES,
    max_request_bytes: int = MAX_REQUEST_BYTES,
) -> list[PlannedRequest]:
    """Return the requests that fetch a list of ranges, sorted by file and position.

    Ranges that overlap always share a request. Ranges with at most `max_gap_bytes` between them share a request if it is not longer
    than `max_request_bytes`. No byte is in two requests, and every wanted range lies within one request.

    Raises:
        ValueError: A limit is negative.
    """
    if max_gap_bytes < 0 or max_request_bytes < 0:
        raise ValueError(f"limits: found {max_gap_bytes} and {max_request_bytes} bytes; expected 0 or more")
    requests: list[PlannedRequest] = []
    members: list[int] = []
    path, start, stop = "", 0, 0

    def close() -> None:
        if members:
            requests.append(PlannedRequest(path, start, stop, tuple(members)))
            members.clear()

    for number in sorted(range(len(wanted)), key=lambda n: (wanted[n].path, wanted[n].start, wanted[n].stop)):
        want = wanted[number]
        overlaps = want.path == path and want.start < stop
        is_near = want.path == path and want.start - stop <= max_gap_bytes and want.stop - start <= max_request_bytes
        if not members or not (overlaps or is_near):
            close()
            path, start, stop = want.path, want.start, want.stop
        members.append(number)
        stop = max(stop, want.stop)
    close()
    return requests


def fetch_planned(
    source: ByteSource, wanted: Sequence[WantedRange], requests: Sequence[PlannedRequest], *, max_in_flight: int
) -> list[memoryview]:
    """Return the bytes of each wanted range, in order, as views of the bytes that the requests returned.

    Raises:
        EpiseekError: Requests failed. The error is that of the first failed request, and no further requests are started.
    """
    bodies = map_in_threads(lambda request: _fetch(source, request), requests, max_in_flight=max_in_flight)
    parts: list[memoryview] = [memoryview(b"")] * len(wanted)
    for request, body in zip(requests, bodies, strict=True):
        view = memoryview(body)
        for number in request.members:
            parts[number] = view[wanted[number].start - request.start : wanted[number].stop - request.start]
    return parts


def _fetch(source: ByteSource, request: PlannedRequest) -> bytes:
    return source.get_ranges(request.path, [(request.start, request.stop)])[0]
