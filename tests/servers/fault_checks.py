"""One check for every kind of fault, against any server that serves an object: what arrives at a plain socket."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from tests.servers.controlled_server import ControlledServer
from tests.servers.faults import Fault, FaultKind
from tests.servers.raw_client import RawAnswer, ask, ask_range
from tests.servers.server_process import ControlledServerProcess


@dataclass(frozen=True, slots=True)
class Target:
    """A server, an object at it, and what that object is."""

    server: ControlledServer | ControlledServerProcess
    url: str
    data: bytes

    def hit(self, fault: Fault, start: int = 100, stop: int = 200) -> RawAnswer:
        """One ranged request that the fault hits; the next one must be well again, and the log must know both."""
        self.server.clear()
        self.server.inject(fault)
        answer = ask_range(self.url, start, stop)
        expected: list[str] = [fault.kind]
        if fault.kind != "gone":
            assert ask_range(self.url, 0, 10).body == self.data[:10]
            expected.append("")
        exchanges = self.server.exchanges()
        assert [exchange.fault for exchange in exchanges] == expected
        assert exchanges[0].status == (answer.status if answer.data.startswith(b"HTTP") else 0)
        assert exchanges[0].sent_bytes == (len(answer.body) if answer.data.startswith(b"HTTP") else 0)
        return answer


def _check_status(target: Target) -> None:
    headers = {"RateLimit": '"resolvers";r=0;t=2'}
    answer = target.hit(Fault("status", status=429, headers=headers, body=b"slow down"))
    assert (answer.status, answer.body) == (429, b"slow down")
    assert answer.headers["RateLimit"] == headers["RateLimit"]
    assert answer.head.startswith("HTTP/1.1 429 Too Many Requests")


def _check_drop(target: Target) -> None:
    answer = target.hit(Fault("drop"))
    assert (answer.data, answer.ending) == (b"", "closed")


def _check_commit_then_drop(target: Target) -> None:
    answer = target.hit(Fault("commit_then_drop"))
    assert (answer.data, answer.ending) == (b"", "closed")


def _check_reset(target: Target) -> None:
    answer = target.hit(Fault("reset"))
    assert (answer.data, answer.ending) == (b"", "reset")


def _check_truncate(target: Target) -> None:
    for at_byte, sent_bytes in ((0, 0), (30, 30), (1000, 99)):
        answer = target.hit(Fault("truncate", at_byte=at_byte))
        assert (answer.status, answer.headers["Content-Length"], answer.ending) == (206, "100", "closed")
        assert answer.body == target.data[100 : 100 + sent_bytes]


def _check_truncate_reset(target: Target) -> None:
    for at_byte, sent_bytes in ((0, 0), (30, 30), (1000, 99)):
        answer = target.hit(Fault("truncate_reset", at_byte=at_byte))
        assert (answer.status, answer.headers["Content-Length"], answer.ending) == (206, "100", "reset")
        assert answer.body == target.data[100 : 100 + sent_bytes]


def _check_stall(target: Target) -> None:
    started = time.monotonic()
    answer = target.hit(Fault("stall", seconds=0.2))
    assert answer.body == target.data[100:200]
    assert 0.2 <= time.monotonic() - started < 20


def _check_stall_body(target: Target) -> None:
    target.server.inject(Fault("stall_body", at_byte=30, seconds=0.5))
    parts = urlsplit(target.url)
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=5) as connection:
        connection.sendall(f"GET {parts.path} HTTP/1.1\r\nRange: bytes=100-199\r\n\r\n".encode())
        received = b""
        while not received.endswith(target.data[100:130]):
            part = connection.recv(4096)
            assert part
            received += part
        assert b"content-length: 100\r\n" in received.lower()
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.recv(4096)
        connection.settimeout(5)
        assert connection.recv(4096) == b""


def _check_ignore_range(target: Target) -> None:
    answer = target.hit(Fault("ignore_range"))
    assert (answer.status, answer.body) == (200, target.data)
    assert "Content-Range" not in answer.headers


def _check_wrong_range(target: Target) -> None:
    size = len(target.data)
    for start, stop in ((100, 200), (50, 200), (0, 100), (0, size - 1000), (1, size)):
        answer = target.hit(Fault("wrong_range"), start, stop)
        span = answer.headers["Content-Range"].removeprefix("bytes ").removesuffix(f"/{size}")
        first, last = (int(text) for text in span.split("-"))
        assert (answer.status, last + 1 - first) == (206, stop - start)
        assert first != start
        assert answer.body == target.data[first : last + 1]


def _check_wrong_total(target: Target) -> None:
    answer = target.hit(Fault("wrong_total"))
    assert answer.headers["Content-Range"] == f"bytes 100-199/{len(target.data) + 1}"
    assert answer.body == target.data[100:200]


def _check_short_range(target: Target) -> None:
    answer = target.hit(Fault("short_range"))
    assert (answer.status, answer.headers["Content-Range"]) == (206, f"bytes 100-149/{len(target.data)}")
    assert (answer.headers["Content-Length"], answer.body) == ("50", target.data[100:150])


def _check_corrupt(target: Target) -> None:
    for at_byte in (0, 42, 142):
        answer = target.hit(Fault("corrupt", at_byte=at_byte))
        changed = [(a ^ b).bit_count() for a, b in zip(answer.body, target.data[100:200], strict=True)]
        assert (sum(changed), changed[at_byte % 100]) == (1, 1)


def _check_not_http(target: Target) -> None:
    answer = target.hit(Fault("not_http"))
    assert answer.data
    assert not answer.data.startswith(b"HTTP")
    assert answer.ending == "closed"


def _check_gone(target: Target) -> None:
    assert target.hit(Fault("gone")).data == b""
    assert ask(target.url, method="HEAD").data == b""
    target.server.clear_faults()
    assert ask(target.url, method="HEAD").status == 200


CHECKS: dict[FaultKind, Callable[[Target], None]] = {
    "status": _check_status,
    "drop": _check_drop,
    "reset": _check_reset,
    "truncate": _check_truncate,
    "truncate_reset": _check_truncate_reset,
    "stall": _check_stall,
    "stall_body": _check_stall_body,
    "ignore_range": _check_ignore_range,
    "wrong_range": _check_wrong_range,
    "wrong_total": _check_wrong_total,
    "corrupt": _check_corrupt,
    "short_range": _check_short_range,
    "not_http": _check_not_http,
    "gone": _check_gone,
    "commit_then_drop": _check_commit_then_drop,
}
