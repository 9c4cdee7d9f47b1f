"""Send range requests over HTTP through a shared pool of connections (urllib3), and check every part of the answers.

The module is for stores that give each file a separate URL, such as the Hub. obstore would need a client, with separate
connections, for each URL.
"""

import os
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from episeek.errors import (
    BackendUnavailableError,
    RangeNotHonouredError,
    ShortReadError,
    WaitLimitError,
    described,
    first_line,
    install_hint,
)
from episeek.stores.byte_source import ByteRange
from episeek.stores.identity import etag_id
from episeek.stores.processes.per_process import PerProcess
from episeek.stores.requests.errors import may_pass, retry_after_of
from episeek.stores.requests.retry import RetryPolicy, Transient
from episeek.stores.transports.fsspec import answered_range
from episeek.stores.transports.http.deadline import deadline, pool_classes

_CONNECTIONS = 64
"""Largest number of connections to a host that are kept open.

If more connections are needed at the same time, further ones are opened, and closed after use.
"""

_CHUNK_BYTES = 1 << 20
"""Number of bytes that are read between two checks of the deadline."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A small response that was read completely."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class RangeAnswer:
    """The bytes of a range of a file, with the size and the identities of the file."""

    data: bytes
    file_size: int
    store_ids: tuple[str, ...]


class RefusedError(Exception):
    """The error for a response with an HTTP status that another request to the same URL would not change."""

    def __init__(self, status: int, found: str) -> None:
        super().__init__(status, found)
        self.status = status
        self.found = found


def get_range(url: str, byte_range: ByteRange, *, headers: Mapping[str, str], policy: RetryPolicy) -> RangeAnswer:
    """Request one range, without retries. The response must have status 206, the right Content-Range and all of the bytes.

    Redirects are not followed, because the caller decides which headers may be sent to another server.

    Raises:
        Transient: The request failed, but a retry may succeed.
        RefusedError: A status other than 206, such as 403 for an expired URL, 404 or a redirect.
    """
    start, stop = byte_range
    sent = {**headers, "Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
    with _Response("GET", url, sent, policy) as response:
        if response.status == 200:
            raise Transient("status 200: the range was ignored", error=RangeNotHonouredError)
        response.require(206)
        size = answered_range(response.headers.get("Content-Range"), byte_range, found="status 206")
        data = response.read(stop - start)
        response.keep()
    return RangeAnswer(data, size, etag_id(response.headers.get("ETag")))


def ask(method: str, url: str, *, headers: Mapping[str, str], policy: RetryPolicy, max_bytes: int = 1 << 20) -> Answer:
    """Send one request, without retries, and return the response. Redirects are returned, not followed.

    Raises:
        Transient: The request failed, but a retry may succeed.
        RefusedError: A status of 400 or above.
    """
    with _Response(method, url, {**headers, "Accept-Encoding": "identity"}, policy) as response:
        if response.status >= 400:
            response.require(200)
        body = b"" if method == "HEAD" else response.read_up_to(max_bytes)
        response.keep()
    return Answer(response.status, response.headers, body)


class _Response:
    """A response that is being read. Its connection returns to the pool only if `keep` is called, after the last byte."""

    def __init__(self, method: str, url: str, headers: Mapping[str, str], policy: RetryPolicy) -> None:
        self._policy = policy
        self._deadline = time.monotonic() + policy.max_seconds
        self._is_whole = False
        urllib3 = _urllib3()
        timeout = urllib3.Timeout(connect=policy.connect_seconds, read=policy.stall_seconds)
        try:
            with deadline(self._deadline):
                self._response = _pool(url).request(
                    method,
                    url,
                    headers=dict(headers),
                    preload_content=False,
                    decode_content=False,
                    redirect=False,
                    retries=False,
                    timeout=timeout,
                )
        except urllib3.exceptions.HTTPError as error:
            raise _transient(error) from error
        self.status: int = self._response.status
        self.headers: Mapping[str, str] = self._response.headers

    def __enter__(self) -> "_Response":
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_whole:
            self._response.release_conn()
        else:
            self._response.close()

    def keep(self) -> None:
        """Let the connection return to the pool. Call this method only after the response was read to its end."""
        self._is_whole = True

    def require(self, status: int) -> None:
        """Raise Transient or RefusedError if the response has another status."""
        if self.status == status:
            return
        found = f"status {self.status}"
        if may_pass(self.status):
            raise Transient(found, retry_after_seconds=retry_after_of(self.headers))
        raise RefusedError(self.status, found)

    def read(self, count: int) -> bytes:
        """Return the body, which has to be exactly `count` bytes long."""
        data = self.read_up_to(count + 1)
        if len(data) != count:
            found = f"{len(data)} bytes" if len(data) < count else f"more than {count} bytes"
            raise Transient(found, error=ShortReadError)
        return data

    def read_up_to(self, count: int) -> bytes:
        """Return at most the first `count` bytes of the body."""
        parts: list[bytes] = []
        length = 0
        try:
            while length < count:
                part = self._response.read(min(count - length, _CHUNK_BYTES))
                if not part:
                    break
                parts.append(part)
                length += len(part)
                if time.monotonic() > self._deadline:
                    found = f"only {length} bytes within {self._policy.max_seconds:g} s"
                    raise Transient(found, error=WaitLimitError)
        except _urllib3().exceptions.HTTPError as error:
            raise _transient(error) from error
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _transient(error: Exception) -> Transient:
    exceptions = _urllib3().exceptions
    found = described(error)
    if isinstance(error, exceptions.TimeoutError):
        return Transient(found, error=WaitLimitError)
    if isinstance(error, exceptions.IncompleteRead | exceptions.ProtocolError) and "IncompleteRead" in found:
        return Transient(found, error=ShortReadError)
    return Transient(found)


class _Pools:
    """The connection pools: one for all servers that are reached without a proxy, and one for each proxy."""

    def __init__(self) -> None:
        certificates = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or None
        self._options: dict[str, Any] = {"num_pools": 16, "maxsize": _CONNECTIONS, "ca_certs": certificates}
        self._direct = _with_deadlines(_urllib3().PoolManager(**self._options))
        self._proxies = urllib.request.getproxies()
        self._proxied: dict[str, Any] = {}

    def of(self, url: str) -> Any:
        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme) or self._proxies.get("all")
        if not proxy or any(map(urllib.request.proxy_bypass, (parts.hostname or "", f"{parts.hostname}:{parts.port}"))):
            return self._direct
        if proxy not in self._proxied:
            self._proxied[proxy] = _with_deadlines(
                _urllib3().ProxyManager(proxy, proxy_headers=_proxy_headers(proxy), **self._options)
            )
        return self._proxied[proxy]


def _proxy_headers(proxy: str) -> dict[str, str]:
    """Return headers with the user name and password from the URL of a proxy; empty if the URL has none."""
    parts = urlsplit(proxy if "://" in proxy else f"//{proxy}")
    if parts.username is None:
        return {}
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    headers: dict[str, str] = _urllib3().make_headers(proxy_basic_auth=credentials)
    return headers


def _with_deadlines(manager: Any) -> Any:
    manager.pool_classes_by_scheme = pool_classes(_urllib3())
    return manager


_POOLS: PerProcess[_Pools] = PerProcess(_Pools)


def _pool(url: str) -> Any:
    return _POOLS.get().of(url)


def _urllib3() -> Any:
    try:
        import urllib3
    except ImportError as error:
        raise BackendUnavailableError("HTTP", first_line(error), "the package urllib3", install_hint("hub")) from error
    return urllib3
