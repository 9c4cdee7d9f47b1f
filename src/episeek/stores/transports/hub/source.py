"""The transport for the Hugging Face Hub: `hf://datasets/...` at one commit, and `hf://buckets/...`.

A revision is pinned to a commit once. The location of each file's bytes is requested once (a HEAD to `/resolve/`, whose rate the
Hub limits) and used until it expires or is refused. Range requests go to that location only, over shared connections. They carry
the token only if the location is on the Hub itself.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

from episeek.errors import (
    AccessError,
    BackendUnavailableError,
    CorruptBytesError,
    RangeNotHonouredError,
    ReadError,
    WaitLimitError,
    described,
    first_line,
    install_hint,
)
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
from episeek.stores.identity import FileIdentity
from episeek.stores.processes.per_process import PerProcess
from episeek.stores.processes.single_flight import SingleFlight
from episeek.stores.processes.workers import call_within, map_in_threads
from episeek.stores.requests.errors import rate_limit_of
from episeek.stores.requests.retry import DEFAULT_POLICY, RetryPolicy, Transient, with_retries
from episeek.stores.transfers import TransferCounter, Transfers
from episeek.stores.transports.http import range as http_range
from episeek.stores.transports.hub.location import HubLocation, parse_hub_url
from episeek.stores.transports.hub.resolved_file import ResolvedFile, lifetime_seconds, origin, store_ids
from episeek.version import __version__

T = TypeVar("T")

_MAX_REDIRECTS = 5
"""Largest number of redirects within the Hub, as for a repository that was renamed."""

_EXPIRY_MARGIN_SECONDS = 30.0
"""A location that expires in fewer seconds than this is requested again."""


class _State:
    """The Hub's answers about the files of one source, as far as this process has received them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.resolved_files: dict[str, ResolvedFile] = {}
        self.resolving: SingleFlight[ResolvedFile] = SingleFlight()
        self.pinning: SingleFlight[str] = SingleFlight()
        self.commit: str | None = None
        self.resume_at = 0.0
        """The time at which the rate limit that the Hub has announced ends, in seconds on the monotonic clock."""


@dataclass(frozen=True, slots=True)
class HubSource:
    """Files of a repository or a bucket on the Hugging Face Hub. Implements `episeek.stores.byte_source.ByteSource`."""

    location: HubLocation
    token: str | bool | None = field(default=None, repr=False)
    endpoint: str | None = None
    policy: RetryPolicy = DEFAULT_POLICY
    _counter: TransferCounter = field(default_factory=TransferCounter, repr=False, compare=False)
    _seen: PerProcess[SeenFiles] = field(default_factory=lambda: PerProcess(SeenFiles), repr=False, compare=False)
    _state: PerProcess[_State] = field(default_factory=lambda: PerProcess(_State), repr=False, compare=False)

    @classmethod
    def from_url(cls, url: str, *, storage_options: dict[str, Any], policy: RetryPolicy) -> "HubSource":
        """Return the source for an `hf://` URL.

        Raises:
            ReadError: The URL does not name a repository or a bucket, or an option is unknown.
        """
        unknown = sorted(storage_options.keys() - {"token", "endpoint"})
        if unknown:
            raise ReadError(url, f"storage option {unknown[0]!r}", "token or endpoint")
        return cls(parse_hub_url(url), storage_options.get("token"), storage_options.get("endpoint"), policy)

    @property
    def root(self) -> str:
        """The location as an `hf://` URL."""
        return self.location.url

    @property
    def probe_bytes(self) -> int:
        """Number of bytes to read at a position at which a box of an MP4 may begin: `STORE_PROBE_BYTES`, as for any store."""
        return STORE_PROBE_BYTES

    @property
    def tail_bytes(self) -> int:
        """Largest number of bytes at the end of a file that are read at once: `STORE_TAIL_BYTES`, as for any store."""
        return STORE_TAIL_BYTES

    def pinned(self) -> "HubSource":
        """Return the source at the commit that the revision points to now. A bucket has no commits and is returned unchanged."""
        return replace(self, location=self._pinned_location())

    def identity(self, path: str) -> FileIdentity:
        """Return the size of a file and its identities: the SHA-256 of LFS, the hash of Xet, or the hash of git."""
        return self._resolved(path, where=self._url(path)).identity

    def get_ranges(self, path: str, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Return the bytes of each range, in order."""
        return map_in_threads(partial(self._get_range, path), ranges, max_in_flight=STORE_IN_FLIGHT)

    @property
    def answers_have_identity(self) -> bool:
        """Whether each answer to a range request identifies the version of the file, so that a replaced file is noticed."""
        return True

    def get_tail(self, path: str, byte_count: int) -> bytes:
        """Return the last bytes of a file, or all of a smaller file."""
        return tail_by_size(self, path, byte_count)

    def transfers(self) -> Transfers:
        """Return the counts of the requests and bytes of this source in this process."""
        return self._counter.snapshot()

    def downloaded(self, path: str) -> Path | None:
        """Return the path of a file in the cache directory of the Hub's client, or None if the cache does not contain the file.

        The client does not cache files of buckets.
        """
        cached = _hub().try_to_load_from_cache(**self._names(path))
        return Path(cached) if isinstance(cached, str) else None

    def _names(self, path: str) -> dict[str, Any]:
        """Return the keyword arguments with which the Hub's client identifies a file of a repository."""
        location = self._pinned_location()
        return {
            "repo_id": location.repo_id,
            "filename": location.full_path(path),
            "repo_type": location.kind.removesuffix("s"),
            "revision": location.revision,
        }

    def download(self, path: str) -> Path:
        """Return the path of a file in the cache directory of the Hub's client, and download the file if the cache lacks it.

        The method works for repositories, but not for buckets.

        Raises:
            CorruptBytesError: Every download had another SHA-256 than the Hub reports.
            MissingFileError, AccessError, ReadError: See `get_ranges`.
        """
        cached = self.downloaded(path)
        if cached is not None:
            return cached
        hub, names = _hub(), self._names(path)
        where = self._url(path)
        expected = self.identity(path)

        def attempt() -> Path:
            self._counter.add(request_count=1)
            download = partial(hub.hf_hub_download, **names, token=self.token, endpoint=self.endpoint)
            try:
                downloaded = Path(call_within(download, self.policy.max_seconds))
            except TimeoutError:
                raise Transient(
                    f"a download that did not end within {self.policy.max_seconds:g} s", error=WaitLimitError
                ) from None
            except Exception as error:
                # The error is of httpx, requests or hf_xet, depending on the release of the client.
                raise Transient(described(error)) from error
            with open(downloaded, "rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            if downloaded.stat().st_size != expected.size or expected.is_content(f"sha256:{digest}") is False:
                downloaded.resolve().unlink()
                downloaded.unlink(missing_ok=True)
                raise Transient(f"the SHA-256 {digest} of the downloaded file", error=CorruptBytesError)
            self._counter.add(byte_count=expected.size)
            return downloaded

        expects = f"{expected.size} bytes, {expected.store_id}"
        return with_retries(attempt, policy=self.policy, counter=self._counter, where=where, expected=expects)

    def __reduce__(self) -> tuple[Any, ...]:
        state = self._state.peek()
        commit = None if state is None else state.commit
        location = self.location if commit is None else self.location.at(commit)
        return HubSource, (location, self.token, self.endpoint, self.policy)

    # --- ranges ---

    def _get_range(self, path: str, byte_range: ByteRange) -> bytes:
        if byte_range[0] == byte_range[1]:
            return b""
        where = range_name(self._url(path), byte_range)

        def attempt() -> bytes:
            resolved = self._resolved(path, where=where)
            self._counter.add(request_count=1)
            try:
                answer = http_range.get_range(resolved.url, byte_range, headers=resolved.headers, policy=self.policy)
            except http_range.RefusedError as refusal:
                raise self._refused(path, resolved, refusal, where) from refusal
            if answer.file_size != resolved.identity.size:
                found = f"a file of {answer.file_size} bytes instead of {resolved.identity.size}"
                raise Transient(found, error=RangeNotHonouredError)
            return answer.data

        data = self._with_retries(attempt, where=where, expected="the bytes of this range")
        self._counter.add(byte_count=len(data))
        return data

    def _refused(self, path: str, resolved: ResolvedFile, refusal: http_range.RefusedError, where: str) -> Exception:
        """Forget a location that was refused, since it may have expired, and return the error.

        The next try requests a new location.
        """
        state = self._state.get()
        with state.lock:
            if state.resolved_files.get(path) is resolved:
                # Another thread may have replaced the location already; its new location is kept.
                del state.resolved_files[path]
        if refusal.status in (401, 403, 404, 410) or 300 <= refusal.status < 400:
            error = AccessError if refusal.status in (401, 403) else ReadError
            return Transient(
                f"{refusal.found} from {urlsplit(resolved.url).hostname}", error=error, retry_after_seconds=0.0
            )
        return ReadError(where, refusal.found, "the bytes of this range")

    # --- locations of files ---

    def _resolved(self, path: str, *, where: str) -> ResolvedFile:
        state = self._state.get()
        resolved = state.resolved_files.get(path)
        if resolved is not None and resolved.expires_at > time.monotonic() + _EXPIRY_MARGIN_SECONDS:
            return resolved
        return state.resolving.call(path, partial(self._resolve_anew, path, where))

    def _resolve_anew(self, path: str, where: str) -> ResolvedFile:
        resolved = self._with_retries(
            partial(self._resolve, path, where), where=where, expected="the location of the file's bytes"
        )
        self._seen.get().note(path, resolved.identity, where=where)
        self._state.get().resolved_files[path] = resolved
        return resolved

    def _resolve(self, path: str, where: str) -> ResolvedFile:
        """Request the location of a file from the Hub. This takes one request, and one more for each redirect within the Hub."""
        endpoint = self._endpoint()
        url = self._pinned_location().resolve_url(endpoint, path)
        headers = self._headers()
        for _ in range(_MAX_REDIRECTS):
            answer = self._ask("HEAD", url, headers, where)
            target = answer.headers.get("Location")
            if answer.status < 300 or target is None:
                target = url
            elif not urlsplit(target).netloc:
                # A redirect within the Hub means that the repository was renamed.
                url = urljoin(url, target)
                continue
            size = answer.headers.get("X-Linked-Size") or (
                answer.headers.get("Content-Length") if target == url else None
            )
            if size is None or not size.isdigit():
                raise ReadError(where, "no size in the Hub's answer", "the header X-Linked-Size or Content-Length")
            is_hubs_own = origin(target) == origin(endpoint)
            identity = FileIdentity(int(size), store_ids(answer.headers))
            expires_at = time.monotonic() + lifetime_seconds(target, answer.headers.get("Date"))
            return ResolvedFile(target, headers if is_hubs_own else {}, identity, expires_at)
        raise ReadError(where, f"{_MAX_REDIRECTS} redirects in a row", "the location of the file's bytes")

    def _pinned_location(self) -> HubLocation:
        if self.location.is_pinned or self.location.kind == "buckets":
            return self.location
        state = self._state.get()
        if state.commit is None:
            state.commit = state.pinning.call("commit", self._commit)
        return self.location.at(state.commit)

    def _commit(self) -> str:
        where = self.location.url
        return self._with_retries(partial(self._commit_once, where), where=where, expected="the revision's commit")

    def _commit_once(self, where: str) -> str:
        answer = self._ask("GET", self.location.revision_url(self._endpoint()), self._headers(), where)
        try:
            commit = json.loads(answer.body)["sha"]
        except (ValueError, KeyError, TypeError):
            raise ReadError(
                where, f"an answer with status {answer.status} and no commit", "the commit of the revision"
            ) from None
        if not isinstance(commit, str) or not self.location.at(commit).is_pinned:
            raise ReadError(where, f"commit {commit!r}", "a SHA-1 of 40 digits")
        return commit

    def _ask(self, method: str, url: str, headers: Mapping[str, str], where: str) -> http_range.Answer:
        """Send one request to the Hub itself, after waiting for the end of a rate limit that it has announced."""
        if _hub().constants.HF_HUB_OFFLINE:
            hint = "unset HF_HUB_OFFLINE, or use a local copy"
            raise ReadError(where, "HF_HUB_OFFLINE in the environment", "access to the Hub", hint)
        state = self._state.get()
        pause = state.resume_at - time.monotonic()
        if pause > self.policy.max_seconds:
            raise ReadError(where, f"a rate limit that ends in {pause:.0f} s", f"at most {self.policy.max_seconds:g} s")
        if pause > 0:
            self._counter.add(wait_seconds=pause)
            time.sleep(pause)
        self._counter.add(metadata_request_count=1)
        try:
            answer = http_range.ask(method, url, headers=headers, policy=self.policy, max_bytes=1 << 26)
        except http_range.RefusedError as refusal:
            if refusal.status in (401, 403):
                hint = "set HF_TOKEN or run `hf auth login`"
                raise AccessError(where, refusal.found, "a token with read access", hint) from None
            if refusal.status == 404:
                raise missing_file(where) from None
            raise ReadError(where, refusal.found, "an answer of the Hub") from None
        limited_seconds = rate_limit_of(answer.headers.get("RateLimit") or "")
        if limited_seconds is not None:
            state.resume_at = time.monotonic() + limited_seconds
        return answer

    def _with_retries(self, attempt: Callable[[], T], *, where: str, expected: str) -> T:
        return with_retries(attempt, policy=self.policy, counter=self._counter, where=where, expected=expected)

    def _endpoint(self) -> str:
        return (self.endpoint or _hub().constants.ENDPOINT).rstrip("/")

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = _hub().utils.build_hf_headers(
            token=self.token, library_name="episeek", library_version=__version__
        )
        return headers

    def _url(self, path: str) -> str:
        return f"{self.location.url}/{path}"


def _hub() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.utils
    except ImportError as error:
        raise BackendUnavailableError(
            "hf://", first_line(error), "huggingface_hub, the client of the Hub", install_hint("hub")
        ) from error
    return huggingface_hub
