import http.client
from collections.abc import Iterator
from urllib.parse import urlsplit

import numpy as np
import pytest

from tests.servers.fault_checks import CHECKS, Target
from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import FAULT_KINDS, Fault
from tests.servers.range_server import RangeServer
from tests.servers.raw_client import ask, ask_range
from tests.servers.s3 import PUBLIC, S3Server

DATA = np.random.default_rng(1).bytes(10_000)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        server.put("folder/x.bin", DATA, is_public=True)
        yield server


@pytest.fixture
def proxy(s3) -> Iterator[FaultProxy]:
    with FaultProxy(s3.url) as proxy:
        yield proxy


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_every_kind_of_fault_in_front_of_moto(s3, proxy, kind):
    CHECKS[kind](Target(proxy, f"{proxy.url}/{s3.bucket}/folder/x.bin", DATA))


def test_changes_nothing_without_faults(s3, proxy):
    path = f"/{s3.bucket}/folder/x.bin"
    for method, headers in (("GET", {}), ("GET", {"Range": "bytes=5-9"}), ("HEAD", {}), ("GET", {"Range": "bytes=-3"})):
        direct, proxied = (ask(url + path, method=method, headers=headers) for url in (s3.url, proxy.url))
        assert (proxied.status, proxied.body) == (direct.status, direct.body)
        for name in ("Content-Length", "Content-Range", "ETag", "Content-Type"):
            assert proxied.headers.get(name) == direct.headers.get(name)


def test_forwards_bodies_in_pieces_and_waits_for_continue(s3, proxy):
    body = bytes(range(256)) * 1000
    connection = http.client.HTTPConnection(urlsplit(proxy.url).netloc)
    pieces = (body[start : start + 1000] for start in range(0, len(body), 1000))
    connection.request(
        "PUT", f"/{s3.bucket}/pieces", pieces, encode_chunked=True, headers=PUBLIC | {"Transfer-Encoding": "chunked"}
    )
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200
    connection.request("PUT", f"/{s3.bucket}/expected", b"expected", headers=PUBLIC | {"Expect": "100-continue"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 200
    assert ask(f"{proxy.url}/{s3.bucket}/pieces").body == body
    assert ask(f"{proxy.url}/{s3.bucket}/expected").body == b"expected"
    assert [exchange.received_bytes for exchange in proxy.exchanges()] == [len(body), 8, 0, 0]


def test_commit_then_drop_commits(s3, proxy):
    proxy.inject(Fault("commit_then_drop", method="PUT"))
    assert ask(f"{proxy.url}/{s3.bucket}/lost", method="PUT", body=b"kept", headers=PUBLIC).data == b""
    assert ask(f"{proxy.url}/{s3.bucket}/lost").body == b"kept"
    proxy.inject(Fault("drop", method="PUT"))
    assert ask(f"{proxy.url}/{s3.bucket}/lost", method="PUT", body=b"new", headers=PUBLIC).data == b""
    assert ask(f"{proxy.url}/{s3.bucket}/lost").body == b"kept"


def test_a_missing_upstream_is_an_error_of_the_server(capfd):
    with RangeServer() as upstream:
        url = upstream.url
    with FaultProxy(url) as proxy:
        assert ask(proxy.url).status == 502
    assert capfd.readouterr().err == ""


def test_works_in_front_of_the_range_server():
    with RangeServer(objects={"x": DATA}) as upstream, FaultProxy(upstream.url, latency_seconds=0.01) as proxy:
        assert ask_range(proxy.url + "/x", 10, 20).body == DATA[10:20]
        assert [exchange.range_header for exchange in upstream.exchanges()] == ["bytes=10-19"]
