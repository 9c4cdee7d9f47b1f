"""Connections of `hf://` use the proxies that the environment sets."""

import base64

import pytest

from episeek.stores.processes.per_process import PerProcess
from episeek.stores.transports.http import range as http_range
from tests.support.raw_server import raw_server
from tests.support.served_file import PATIENCE

HEAD = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-0/9\r\nContent-Length: 1\r\nConnection: close\r\n\r\n"


@pytest.fixture(autouse=True)
def pools(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(http_range, "_POOLS", PerProcess(http_range._Pools))


def fetched(url):
    return http_range.get_range(url, (0, 1), headers={}, policy=PATIENCE).data


def test_hosts_that_need_none(monkeypatch):
    with raw_server(lambda: [HEAD, b"p"]) as proxy, raw_server(lambda: [HEAD, b"d"]) as url:
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.setenv("no_proxy", url.removeprefix("http://"))
        assert fetched(f"{url}/x") == b"d"
        assert fetched("http://host.invalid/x") == b"p"


def test_a_proxy_that_wants_a_name_and_a_password(monkeypatch):
    seen: list[bytes] = []
    with raw_server(lambda: [HEAD, b"p"], requests=seen) as proxy:
        monkeypatch.setenv("http_proxy", proxy.replace("//", "//me:pass%40word@"))
        assert fetched("http://host.invalid/x") == b"p"
    assert b"Basic " + base64.b64encode(b"me:pass@word") in seen[0]
