"""The transport through fsspec, for stores that no other transport reads, and in place of obstore if obstore cannot be used.

The answers of HTTP servers and S3 are checked in full: the returned range, and the size and identity of the file. Other file
systems return only bytes, so only their length is checked. `identity` requests the identity of a file once in each process.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar, cast
from urllib.parse import quote

import fsspec
from fsspec.asyn import AsyncFileSystem, sync
from fsspec.core import url_to_fs
from fsspec.exceptions import FSTimeoutError

from episeek.errors import RangeNotHonouredError, ReadError, ShortReadError, WaitLimitError, without_password
from episeek.stores.byte_source import (
    STORE_IN_FLIGHT,
    STORE_PROBE_BYTES,
    STORE_TAIL_BYTES,
    ByteRange,
    SeenFiles,
    range_name,
    tail_by_size,
)
from episeek.stores.identity import FileIdentity, etag_id
from episeek.stores.kinds import kind_of
from episeek.stores.processes.inherited_loop import protect_parents
from episeek.stores.processes.per_process import PerProcess
from episeek.stores.processes.workers import call_within, map_in_threads
from episeek.stores.requests.errors import is_final, retry_after_of, store_errors
from episeek.stores.requests.retry import DEFAULT_POLICY, RetryPolicy, Transient, with_retries
from episeek.stores.transfers import TransferCounter, Transfers

protect_parents()

T = TypeVar("T")

_CHUNK_BYTES = 1 << 20

_SLOW_BYTES_PER_SECOND = 1 << 18
"""Slowest rate, in bytes per second, at which a store may send if the progress of a request cannot be observed."""

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(frozen=True, slots=True)
class FsspecSource:
    """The files below any URL of fsspec. Implements `episeek.stores.byte_source.ByteSource`, and never reads ahead."""

    root: str
    storage_options: dict[str, Any] = field(default_factory=dict, repr=False)
    policy: RetryPolicy = DEFAULT_POLICY
    _counter: TransferCounter = field(default_factory=TransferCounter, repr=False, compare=False)
    _seen: PerProcess[SeenFiles] = field(default_factory=lambda: PerProcess(SeenFiles), repr=False, compare=False)
    _opened: PerProcess[tuple[fsspec.AbstractFileSystem, str]] = field(init=False, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"FsspecSource({without_password(self.root)!r})"

    def __post_init__(self) -> None:
        object.__setattr__(self, "_opened", PerProcess(partial(url_to_fs, self.root, **self.storage_options)))

    @property
    def probe_bytes(self) -> int:
        """Number of bytes to read at a position at which a box of an MP4 may begin: `STORE_PROBE_BYTES`, as for any store."""
        return STORE_PROBE_BYTES

    @property
    def tail_bytes(self) -> int:
        """Largest number of bytes at the end of a file that are read at once: `STORE_TAIL_BYTES`, as for any store."""
        return STORE_TAIL_BYTES

    def identity(self, path: str) -> FileIdentity:
        """Return the size of a file and the identities that the store gives: a hash of LFS or Xet, or an ETag."""
        seen = self._seen.get().get(path)
        if seen is not None:
            return seen
        url = self._url(path)
        identity = identity_of(self._with_retries(partial(self._info_once, path), url, "the file's size and identity"))
        if identity is None:
            raise ReadError(url, "a store that does not give the size", "the size of the file")
        if not kind_of(self.root).fsspec_etags_agree:
            identity = FileIdentity(identity.size)
        return self._seen.get().note(path, identity, where=url)

    def get_ranges(self, path: str, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Return the bytes of each range, in order."""
        return map_in_threads(partial(self._get_range, path), ranges, max_in_flight=STORE_IN_FLIGHT)

    @property
    def answers_have_identity(self) -> bool:
        """Whether each answer to a range request identifies the version of the file, so that a replaced file is noticed."""
        return kind_of(self.root).fsspec_range_has_identity

    def get_tail(self, path: str, byte_count: int) -> bytes:
        """Return the last bytes of a file, or all of a smaller file.

        Over HTTP this takes one request if the server supports suffix ranges.
        """
        if byte_count > 0 and self._seen.get().get(path) is None:
            where = f"{self._url(path)}, the last {byte_count} bytes"
            found = self._with_retries(partial(self._tail_once, path, byte_count), where, "the end of the file")
            if found is not None:
                data, identity = found
                self._seen.get().note(path, identity, where=where)
                self._counter.add(byte_count=len(data))
                return data
        return tail_by_size(self, path, byte_count)

    def transfers(self) -> Transfers:
        """Return the counts of the requests and bytes of this source in this process."""
        return self._counter.snapshot()

    def _get_range(self, path: str, byte_range: ByteRange) -> bytes:
        if byte_range[0] == byte_range[1]:
            return b""
        where = range_name(self._url(path), byte_range)
        data, identity = self._with_retries(
            partial(self._get_once, path, byte_range, where), where, "the bytes of this range"
        )
        if identity is not None:
            self._seen.get().note(path, identity, where=where)
        self._counter.add(byte_count=len(data))
        return data

    def _get_once(self, path: str, byte_range: ByteRange, where: str) -> tuple[bytes, FileIdentity | None]:
        start, stop = byte_range
        self._counter.add(request_count=1)
        fs, full_path = self._resolve(path)
        # The methods of fsspec itself return nothing before the whole range has arrived.
        seconds = min(
            _first_byte_seconds(self.policy) + (stop - start) / _SLOW_BYTES_PER_SECOND, self.policy.max_seconds
        )
        identity: FileIdentity | None = None
        if _is_http(fs) or _is_s3(fs):
            read = partial(_http_range if _is_http(fs) else _s3_range, fs, full_path, byte_range, self.policy)
            data, identity = self._wait_for(fs, read, seconds=self.policy.max_seconds)
        elif isinstance(fs, AsyncFileSystem) and fs.async_impl:
            data = self._wait_for(fs, partial(fs._cat_file, full_path, start=start, end=stop), seconds=seconds)
        else:
            # The default implementation opens the file, which would read ahead.
            options = {"cache_type": "none"} if type(fs).cat_file is fsspec.AbstractFileSystem.cat_file else {}
            data = self._wait_for(
                None, partial(fs.cat_file, full_path, start=start, end=stop, **options), seconds=seconds
            )
        if len(data) != stop - start:
            if identity is None and len(data) < stop - start:
                self._require_size(path, stop, where)
            raise Transient(f"{len(data)} bytes", error=ShortReadError)
        return data, identity

    def _tail_once(self, path: str, byte_count: int) -> tuple[bytes, FileIdentity] | None:
        """Return the end of a file and its identity, or None if the store does not support suffix ranges."""
        fs, full_path = self._resolve(path)
        if not _is_http(fs):
            return None
        self._counter.add(request_count=1)
        read = partial(_http_tail, fs, full_path, byte_count, self.policy)
        found: tuple[bytes, FileIdentity] | None = self._wait_for(fs, read, seconds=self.policy.max_seconds)
        return found

    def _require_size(self, path: str, stop: int, where: str) -> None:
        """Raise ShortReadError if the file ends before `stop`, since trying again cannot help then."""
        now = identity_of(self._info_once(path))
        if now is not None and now.size < stop:
            self._seen.get().note(path, now, where=where)
            raise ShortReadError(where, f"a file of {now.size} bytes", "a file that contains this range")

    def _info_once(self, path: str) -> dict[str, Any]:
        self._counter.add(metadata_request_count=1)
        fs, full_path = self._resolve(path)
        if isinstance(fs, AsyncFileSystem) and fs.async_impl:
            return cast(dict[str, Any], self._wait_for(fs, partial(fs._info, full_path)))
        return cast(dict[str, Any], self._wait_for(None, partial(fs.info, full_path)))

    def _wait_for(self, fs: AsyncFileSystem | None, call: Callable[[], Any], *, seconds: float | None = None) -> Any:
        """Return the result of a call, or of a coroutine that runs on the event loop of `fs`, within a time limit.

        Args:
            fs: The file system with the event loop; None for a call that blocks.
            call: The call, or the function that makes the coroutine.
            seconds: The limit; None for the sum of the limits for opening a connection and for the first byte.
        """
        limit = _first_byte_seconds(self.policy) if seconds is None else seconds
        try:
            return call_within(call, limit) if fs is None else sync(fs.loop, call, timeout=limit)
        except (TimeoutError, FSTimeoutError) as error:
            raise Transient(f"no answer within {limit:g} s", error=WaitLimitError) from error

    def _with_retries(self, attempt: Callable[[], T], where: str, expected: str) -> T:
        def once() -> T:
            try:
                with store_errors(where):
                    return attempt()
            except ReadError as error:
                if error.__cause__ is None or is_final(error.__cause__):
                    raise
                wait = retry_after_of(getattr(error.__cause__, "headers", None))
                raise Transient(error.found, error=type(error), retry_after_seconds=wait) from error.__cause__

        return with_retries(once, policy=self.policy, counter=self._counter, where=where, expected=expected)

    def _resolve(self, path: str) -> tuple[fsspec.AbstractFileSystem, str]:
        fs, root = self._opened.get()
        return fs, f"{root.rstrip('/')}/{quote(path) if _is_http(fs) else path}"

    def _url(self, path: str) -> str:
        return f"{self.root.rstrip('/')}/{path}"


def identity_of(info: dict[str, Any]) -> FileIdentity | None:
    """Return the identity of a file from `fs.info` or a listing, or None if the size is missing."""
    if info.get("size") is None:
        return None
    lfs = info.get("lfs") or {}
    store_ids = [f"sha256:{lfs['sha256']}"] if lfs.get("sha256") else []
    if info.get("xet_hash"):
        store_ids.append(f"xet:{info['xet_hash']}")
    etag = next((info[key] for key in ("ETag", "etag") if info.get(key)), None)
    # For a file in git, the Hub sends the blob id as the ETag.
    if etag is None and info.get("blob_id"):
        etag = info["blob_id"]
    return FileIdentity(int(info["size"]), (*store_ids, *etag_id(None if etag is None else str(etag))))


def answered_range(content_range: str | None, byte_range: ByteRange, *, found: str) -> int:
    """Return a file's size from the Content-Range header (RFC 9110, 14.4) of the response to a request for `byte_range`.

    Raises:
        Transient: The header is missing or is for another range, for example because a proxy ignores or rewrites ranges.
    """
    match = _CONTENT_RANGE.fullmatch((content_range or "").strip())
    if match is None or (int(match[1]), int(match[2]) + 1) != byte_range:
        raise Transient(f"{found}, Content-Range {content_range!r}", error=RangeNotHonouredError)
    return int(match[3])


def _is_http(fs: Any) -> bool:
    return "https" in _protocols(fs) and hasattr(fs, "set_session")


def _is_s3(fs: Any) -> bool:
    return "s3" in _protocols(fs) and hasattr(fs, "_call_s3")


def _protocols(fs: Any) -> tuple[str, ...]:
    return fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,)


def _first_byte_seconds(policy: RetryPolicy) -> float:
    return policy.connect_seconds + policy.stall_seconds


async def _http_range(fs: Any, url: str, byte_range: ByteRange, policy: RetryPolicy) -> tuple[bytes, FileIdentity]:
    """Request the bytes of a range over HTTP, and return them with the identity of the file.

    The request is sent through the session of fsspec's HTTP file system. fsspec itself would only check the status.
    """
    start, stop = byte_range
    async with _patience(policy) as patience, _http_answer(fs, url, f"{start}-{stop - 1}") as response:
        fs._raise_not_found_for_status(response, url)
        size = answered_range(response.headers.get("Content-Range"), byte_range, found=f"status {response.status}")
        data = await _body(response.content, stop - start, policy, patience)
        return data, FileIdentity(size, etag_id(response.headers.get("ETag")))


async def _http_tail(fs: Any, url: str, byte_count: int, policy: RetryPolicy) -> tuple[bytes, FileIdentity] | None:
    """Request the end of a file with a suffix range (RFC 9110, 14.1.2), and return it with the identity of the file.

    The result is None if the server does not answer with the requested range.
    """
    async with _patience(policy) as patience, _http_answer(fs, url, f"-{byte_count}") as response:
        if response.status in (200, 400, 405, 416, 501):
            return None
        fs._raise_not_found_for_status(response, url)
        match = _CONTENT_RANGE.fullmatch((response.headers.get("Content-Range") or "").strip())
        if match is None:
            return None
        start, last, size = map(int, match.groups())
        if (start, last + 1) != (max(size - byte_count, 0), size):
            return None
        data = await _body(response.content, size - start, policy, patience)
        if len(data) != size - start:
            raise Transient(f"{len(data)} bytes", error=ShortReadError)
        return data, FileIdentity(size, etag_id(response.headers.get("ETag")))


@asynccontextmanager
async def _http_answer(fs: Any, url: str, wanted: str) -> AsyncIterator[Any]:
    """Request a range, `first-last` or `-length`, and yield the response before its body is read."""
    options = dict(fs.kwargs)
    headers = {**options.pop("headers", {}), "Range": f"bytes={wanted}", "Accept-Encoding": "identity"}
    session = await fs.set_session()
    async with session.get(fs.encode_url(url), headers=headers, **options) as response:
        yield response


async def _s3_range(fs: Any, path: str, byte_range: ByteRange, policy: RetryPolicy) -> tuple[bytes, FileIdentity]:
    """Request the bytes of a range through s3fs, and return them with the identity of the file."""
    start, stop = byte_range
    bucket, key, _ = fs.split_path(path)
    async with _patience(policy) as patience:
        answer = await fs._call_s3("get_object", Bucket=bucket, Key=key, Range=f"bytes={start}-{stop - 1}")
        try:
            size = answered_range(answer.get("ContentRange"), byte_range, found="an answer")
            data = await _body(answer["Body"], stop - start, policy, patience)
            return data, FileIdentity(size, etag_id(answer.get("ETag")))
        finally:
            answer["Body"].close()


@asynccontextmanager
async def _patience(policy: RetryPolicy) -> AsyncIterator[asyncio.Timeout]:
    """Raise Transient if the code in the block waits too long for a byte. The caller extends the limit after each received part."""
    try:
        async with asyncio.timeout(_first_byte_seconds(policy)) as patience:
            yield patience
    except TimeoutError as error:
        limit = _first_byte_seconds(policy)
        raise Transient(f"no answer within {limit:g} s, or an answer that stalled", error=WaitLimitError) from error


async def _body(stream: Any, count: int, policy: RetryPolicy, patience: asyncio.Timeout) -> bytes:
    """Return the body of a response, but at most `count` + 1 bytes, so that a body that is too long is noticed."""
    data = bytearray()
    while len(data) <= count and (part := await stream.read(min(count + 1 - len(data), _CHUNK_BYTES))):
        data += part
        patience.reschedule(asyncio.get_running_loop().time() + policy.stall_seconds)
    return bytes(data)
