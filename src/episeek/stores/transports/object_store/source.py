"""The transport through obstore, for HTTP servers, S3, Google Cloud Storage and Azure.

Each range is one request, and its answer is checked against the size and identity of the file. In a process whose parent had loaded
obstore before the fork, files are read through fsspec: see `episeek.stores.processes.forks`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from episeek.errors import AccessError, RangeNotHonouredError, ReadError, ShortReadError, WaitLimitError, described
from episeek.stores.byte_source import (
    STORE_IN_FLIGHT,
    STORE_PROBE_BYTES,
    STORE_TAIL_BYTES,
    ByteRange,
    SeenFiles,
    missing_file,
    range_name,
    tail_by_size,
)
from episeek.stores.identity import FileIdentity, etag_id
from episeek.stores.processes.forks import is_child_of_obstore
from episeek.stores.processes.per_process import PerProcess
from episeek.stores.processes.workers import map_in_threads
from episeek.stores.requests.errors import may_pass
from episeek.stores.requests.retry import DEFAULT_POLICY, RetryPolicy, Transient, with_retries
from episeek.stores.transfers import TransferCounter, Transfers
from episeek.stores.transports.fsspec import FsspecSource
from episeek.stores.transports.object_store.clients import ClientConfig, client, config_of

T = TypeVar("T")

_STATUS = re.compile(r"status code: (\d{3})")


@dataclass(frozen=True, slots=True)
class ObjectStoreSource:
    """The files below a URL of an object store or an HTTP server. Implements `episeek.stores.byte_source.ByteSource`."""

    root: str
    config: ClientConfig
    storage_options: dict[str, Any] = field(default_factory=dict, repr=False)
    policy: RetryPolicy = DEFAULT_POLICY
    _counter: TransferCounter = field(default_factory=TransferCounter, repr=False, compare=False)
    _seen: PerProcess[SeenFiles] = field(default_factory=lambda: PerProcess(SeenFiles), repr=False, compare=False)
    _fallback: FsspecSource = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        fallback = FsspecSource(self.root, self.storage_options, self.policy, _counter=self._counter, _seen=self._seen)
        object.__setattr__(self, "_fallback", fallback)

    @property
    def probe_bytes(self) -> int:
        """Number of bytes to read at a position at which a box of an MP4 may begin: `STORE_PROBE_BYTES`, as for any store."""
        return STORE_PROBE_BYTES

    @property
    def tail_bytes(self) -> int:
        """Largest number of bytes at the end of a file that are read at once: `STORE_TAIL_BYTES`, as for any store."""
        return STORE_TAIL_BYTES

    def identity(self, path: str) -> FileIdentity:
        """Return the size and ETag of a file. They are requested only if no earlier answer contained them."""
        seen = self._seen.get().get(path)
        if seen is not None:
            return seen
        if is_child_of_obstore():
            return self._fallback.identity(path)
        url = self._url(path)
        identity = self._with_retries(partial(self._head_once, path), url, "the file's size and identity")
        return self._seen.get().note(path, identity, where=url)

    def get_ranges(self, path: str, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Return the bytes of each range, in order."""
        if is_child_of_obstore():
            return self._fallback.get_ranges(path, ranges)
        return map_in_threads(partial(self._get_range, path), ranges, max_in_flight=STORE_IN_FLIGHT)

    @property
    def answers_have_identity(self) -> bool:
        """True, unless a forked process reads the files through fsspec, whose answers have no identity for some stores."""
        return not is_child_of_obstore() or self._fallback.answers_have_identity

    def get_tail(self, path: str, byte_count: int) -> bytes:
        """Return the last bytes of a file, or all of a smaller file, with one request if the store supports suffix ranges."""
        is_known = self._seen.get().get(path) is not None
        # Azure does not support suffix ranges.
        if byte_count > 0 and not is_known and not is_child_of_obstore() and self.config.obstore_class != "AzureStore":
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
        self._seen.get().note(path, identity, where=where)
        self._counter.add(byte_count=len(data))
        return data

    def _get_once(self, path: str, byte_range: ByteRange, where: str) -> tuple[bytes, FileIdentity]:
        import obstore

        self._counter.add(request_count=1)
        result = obstore.get(client(self.config, self.policy), path, options={"range": byte_range})
        identity = _identity(result.meta)
        if identity.size < byte_range[1]:
            raise ShortReadError(where, f"a file of {identity.size} bytes", "a file that contains this range")
        data = bytes(result.bytes())
        if len(data) != byte_range[1] - byte_range[0]:
            raise Transient(f"{len(data)} bytes", error=ShortReadError)
        return data, identity

    def _tail_once(self, path: str, byte_count: int) -> tuple[bytes, FileIdentity] | None:
        """Request the end of a file with a suffix range (RFC 9110, 14.1.2), and return it with the identity of the file.

        The result is None if the store does not support suffix ranges.
        """
        import obstore

        self._counter.add(request_count=1)
        try:
            result = obstore.get(client(self.config, self.policy), path, options={"range": {"suffix": byte_count}})
            data = bytes(result.bytes())
        except Exception as error:
            if _is_refused_range(error):
                return None
            raise
        identity = _identity(result.meta)
        if len(data) != min(byte_count, identity.size):
            raise Transient(f"{len(data)} bytes", error=ShortReadError)
        return data, identity

    def _head_once(self, path: str) -> FileIdentity:
        import obstore

        self._counter.add(metadata_request_count=1)
        store = client(self.config, self.policy)
        try:
            return _identity(obstore.head(store, path))
        except FileNotFoundError:
            if self.config.obstore_class != "HTTPStore":
                raise
            # obstore raises the same error for a server that does not allow HEAD, so a small range is requested.
            self._counter.add(metadata_request_count=1)
            return _identity(obstore.get(store, path, options={"range": (0, 1)}).meta)

    def _with_retries(self, attempt: Callable[[], T], where: str, expected: str) -> T:
        def once() -> T:
            try:
                return attempt()
            except (Transient, ReadError):
                raise
            except FileNotFoundError:
                raise missing_file(where) from None
            except Exception as error:
                # Not all releases of obstore have a common base class of errors.
                raise _error_for(error, where) from error

        return with_retries(once, policy=self.policy, counter=self._counter, where=where, expected=expected)

    def _url(self, path: str) -> str:
        return f"{self.root.rstrip('/')}/{path}"


def object_store_source(url: str, storage_options: dict[str, Any], policy: RetryPolicy) -> ObjectStoreSource | None:
    """Return the source for a URL, or None if obstore cannot read this URL with these options."""
    config = config_of(url, storage_options)
    return None if config is None else ObjectStoreSource(url, config, storage_options, policy)


def _identity(meta: Any) -> FileIdentity:
    return FileIdentity(int(meta["size"]), etag_id(meta["e_tag"]))


def _is_refused_range(error: Exception) -> bool:
    """Return whether a store answered a range request with the whole file, with another range, or with a refusal of ranges."""
    match = _STATUS.search(str(error))
    return _is_other_range(error) or (match is not None and match[1] in ("400", "405", "416", "501"))


def _is_other_range(error: Exception) -> bool:
    text = str(error)
    return type(error).__name__ == "NotSupportedError" or "UnexpectedRange" in text or "non-partial" in text


def _error_for(error: Exception, where: str) -> Exception:
    """Return the error of this package for an error of obstore, judged by the class and the message of the error.

    The result is `Transient` for a failure that may pass.
    """
    text = str(error)
    summary = described(error)
    kind = type(error).__name__
    match = _STATUS.search(text)
    status = int(match[1]) if match else None
    if kind in ("PermissionDeniedError", "UnauthenticatedError"):
        found = f"status {status}" if status else summary
        return AccessError(where, found, "credentials with read access")
    if _is_other_range(error):
        return Transient(summary, error=RangeNotHonouredError)
    if status is not None:
        if not may_pass(status):
            hint = "set AWS_REGION to the region of the S3 bucket" if status == 301 else ""
            return ReadError(where, f"status {status}", "the bytes of this range", hint)
        return Transient(f"status {status}")
    if "kind: Timeout" in text or "TimedOut" in text:
        return Transient("no answer in time, or a response that stalled", error=WaitLimitError)
    if "kind: Interrupted" in text or "kind: Decode" in text:
        return Transient("a response that broke off", error=ShortReadError)
    if kind != "GenericError":
        # Examples are a path that obstore does not accept, and a wrong configuration.
        return ReadError(where, summary, "a file that can be read")
    return Transient(summary)
