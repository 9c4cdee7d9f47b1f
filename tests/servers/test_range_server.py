import http.client
import os
import socket
import statistics
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import numpy as np
import pytest

from tests.servers.fault_checks import CHECKS, Target
from tests.servers.faults import FAULT_KINDS, Fault
from tests.servers.range_server import RangeServer, RangeServerProcess
from tests.servers.raw_client import ask, ask_range

DATA = np.random.default_rng(0).bytes(10_000)


@pytest.fixture(params=[RangeServer, RangeServerProcess], scope="module")
def running(request, tmp_path_factory) -> Iterator[RangeServer | RangeServerProcess]:
    root = tmp_path_factory.mktemp("root")
    (root / "folder").mkdir()
    (root / "folder/a file.bin").write_bytes(DATA)
    with request.param(root, objects={"memory.bin": DATA}) as server:
        yield server


@pytest.fixture
def server(running) -> RangeServer | RangeServerProcess:
    running.clear()
    running.clear_faults()
    return running


@pytest.fixture
def url(server) -> str:
    return server.url_of("memory.bin")


@pytest.mark.parametrize("path", ["folder/a file.bin", "memory.bin"])
def test_serves_whole_objects_and_ranges(server, path):
    url = server.url_of(path)
    whole = ask(url)
    assert (whole.status, whole.body, whole.headers["Accept-Ranges"]) == (200, DATA, "bytes")
    for header, start, stop in (
        ("bytes=0-0", 0, 1),
        ("bytes=10-99", 10, 100),
        ("bytes=9990-", 9990, 10_000),
        ("bytes=9990-99999", 9990, 10_000),
        ("bytes=-7", 9993, 10_000),
    ):
        answer = ask(url, headers={"Range": header})
        assert (answer.status, answer.body) == (206, DATA[start:stop])
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/10000"
        assert answer.headers["ETag"] == whole.headers["ETag"]
    head = ask(url, method="HEAD")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", "10000")


def test_refuses_what_it_cannot_serve(server, url):
    unsatisfiable = ask(url, headers={"Range": "bytes=10000-"})
    assert (unsatisfiable.status, unsatisfiable.headers["Content-Range"]) == (416, "bytes */10000")
    assert ask(server.url + "/nothing").status == 404
    assert ask(server.url + "/../folder/a%20file.bin").status == 404
    assert ask(url, method="POST", body=b"x").status == 405
    assert ask(url, headers={"If-Match": '"other"'}).status == 412
    assert ask(url, headers={"Range": "bytes=0-9", "If-Range": '"other"'}).status == 200
    assert ask(url, headers={"Range": "bytes=0-9,20-29"}).status == 200


def test_logs_what_it_did(server, url):
    ask(url + "?x=1", headers={"Range": "bytes=5-9", "Authorization": "Bearer x"})
    ask(server.url_of("folder/a file.bin"), method="HEAD")
    first, second = server.exchanges()
    assert (first.method, first.path, first.query, first.range_header) == ("GET", "/memory.bin", "x=1", "bytes=5-9")
    assert (first.status, first.sent_bytes, first.has_authorization, first.fault) == (206, 5, True, "")
    assert (second.method, second.path, second.sent_bytes) == ("HEAD", "/folder/a file.bin", 0)
    assert first.connection != second.connection
    assert 0 < first.started_seconds <= first.ended_seconds <= second.started_seconds


def test_keeps_connections_alive(server, url):
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    for start in range(20):
        connection.request("GET", "/memory.bin", headers={"Range": f"bytes={start}-{start + 9}"})
        assert connection.getresponse().read() == DATA[start : start + 10]
    connection.close()
    assert len({exchange.connection for exchange in server.exchanges()}) == 1


def test_answers_requests_sent_at_once(server, url):
    request = b"GET /memory.bin HTTP/1.1\r\nRange: bytes=0-3\r\n\r\n"
    with socket.create_connection(("127.0.0.1", urlsplit(url).port)) as connection:
        connection.sendall(request * 2 + request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        received = b"".join(iter(lambda: connection.recv(4096), b""))
    assert received.count(b"HTTP/1.1 206") == received.count(DATA[:4]) == 3


def test_answers_garbage_with_400(server, url):
    with socket.create_connection(("127.0.0.1", urlsplit(url).port)) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 400 ")
        assert connection.recv(4096) == b""


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_every_kind_of_fault_is_what_it_says(server, kind):
    CHECKS[kind](Target(server, server.url_of("memory.bin"), DATA))


def test_random_faults(server, url):
    server.randomly(0.3, ["drop", "corrupt", "truncate"], seed=1)
    answers = [ask_range(url, 0, 500).body == DATA[:500] for _ in range(60)]
    faults = [exchange.fault for exchange in server.exchanges()]
    assert {"drop", "corrupt", "truncate", ""} == set(faults)
    assert answers == [fault == "" for fault in faults]


def test_objects_change(server):
    server.put("changing", b"one")
    before = ask(server.url_of("changing"))
    server.put("changing", b"two!")
    after = ask(server.url_of("changing"))
    assert (before.body, after.body) == (b"one", b"two!")
    assert before.headers["ETag"] != after.headers["ETag"]
    server.remove("changing")
    assert ask(server.url_of("changing")).status == 404


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files in /proc")
def test_files_are_closed_whatever_happens(tmp_path):
    (tmp_path / "x").write_bytes(bytes(5_000_000))

    def open_files() -> int:
        return sum(
            os.path.realpath(f"/proc/self/fd/{name}").startswith(str(tmp_path)) for name in os.listdir("/proc/self/fd")
        )

    with RangeServer(tmp_path) as server:
        for kind in FAULT_KINDS:
            if kind != "gone":
                server.inject(Fault(kind))
                ask_range(server.url_of("x"), 10, 20)
        for headers in ("", "Range: bytes=9000000-\r\n", "If-Match: other\r\n"):
            for _ in range(5):  # gone before the answer, or in the middle of it
                with socket.create_connection(("127.0.0.1", urlsplit(server.url).port)) as connection:
                    connection.sendall(f"GET /x HTTP/1.1\r\n{headers}\r\n".encode())
        assert ask(server.url_of("x"), method="HEAD").status == 200
        deadline = time.monotonic() + 5
        while open_files() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert open_files() == 0


def test_etag_of_files_follows_size_and_time(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    os.utime(path, ns=(0, 0x99))
    with RangeServer(tmp_path) as server:
        assert ask(server.url_of("x")).headers["ETag"] == '"5-99"'
    with RangeServer(tmp_path, etag=False, response_headers={"X-Cache": "HIT"}) as server:
        answer = ask(server.url_of("x"))
        assert "ETag" not in answer.headers
        assert answer.headers["X-Cache"] == "HIT"


@pytest.mark.parametrize("kind", [RangeServer, RangeServerProcess])
def test_signed_urls_expire(kind):
    with kind(objects={"x": b"x"}, signed=True) as server:
        old = server.url_of("x")
        assert [ask(old).status, ask(server.url + "/x").status] == [200, 403]
        server.rotate_signature()
        assert [ask(old).status, ask(server.url_of("x")).status] == [403, 200]


def test_latencies_overlap():
    with RangeServer(objects={"x": DATA}, latency_seconds=0.1) as server, ThreadPoolExecutor(16) as threads:
        started = time.monotonic()
        answers = list(threads.map(lambda _: ask_range(server.url_of("x"), 0, 9).status, range(16)))
        assert answers == [206] * 16
        assert 0.1 <= time.monotonic() - started < 1.6  # one after the other


def test_the_link_is_capped_and_shared_fairly():
    large, small = bytes(1_000_000), bytes(1000)
    with RangeServer(objects={"large": large, "small": small}, bits_per_second=32e6) as server:
        seconds = []

        def fetch_small() -> None:
            for _ in range(5):
                started = time.monotonic()
                assert ask(server.url_of("small")).body == small
                seconds.append(time.monotonic() - started)

        started = time.monotonic()
        with ThreadPoolExecutor(3) as threads:
            downloads = [threads.submit(ask, server.url_of("large")) for _ in range(2)]
            time.sleep(0.05)
            threads.submit(fetch_small).result()
            assert not any(download.done() for download in downloads)
            assert [len(download.result().body) for download in downloads] == [1_000_000] * 2
        elapsed = time.monotonic() - started
        assert elapsed > 0.45  # 2 MB at 4 MB/s
        assert statistics.median(seconds) < elapsed / 4


def test_many_small_requests_a_second():
    with RangeServerProcess(objects={"x": DATA}) as server:
        request, count = b"GET /x HTTP/1.1\r\nRange: bytes=100-299\r\n\r\n", 2000
        with socket.create_connection(("127.0.0.1", urlsplit(server.url).port)) as connection:
            started, received = time.monotonic(), 0
            sender = threading.Thread(target=connection.sendall, args=(request * count,))
            sender.start()
            expected = len(ask_range(server.url_of("x"), 100, 300).data) - len("Connection: close\r\n")
            while received < expected * count:
                data = connection.recv(1 << 20)
                assert data
                received += len(data)
            sender.join()
        assert count / (time.monotonic() - started) > 200


@pytest.mark.parametrize("kind", [RangeServer, RangeServerProcess])
def test_stalled_connections_end_with_the_server(kind):
    threads_before = threading.active_count()
    with kind(objects={"x": DATA}) as server:
        server.inject(Fault("stall", seconds=3600))
        server.inject(Fault("stall_body", after=1, seconds=3600))
        address = ("127.0.0.1", urlsplit(server.url).port)
        connections = [socket.create_connection(address) for _ in range(3)]
        for connection in connections[:2]:
            connection.sendall(b"GET /x HTTP/1.1\r\n\r\n")
        while [exchange.status for exchange in server.exchanges()] not in ([0, 200], [200, 0]):
            time.sleep(0.01)
    for connection in connections:
        connection.settimeout(5)
        try:
            while connection.recv(1 << 16):
                pass
        except ConnectionResetError:
            pass
        connection.close()
    assert threading.active_count() == threads_before
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(server.url)
