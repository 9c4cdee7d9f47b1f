"""Write into a bucket of the Hub, which accepts many operations in one request.

The content of files is in Xet storage, which stores the same content only once, so a copy of a file sends no bytes. The Hub applies
the operations of a request one after the other, so a request is not atomic. Buckets have no requests that are atomic.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from episeek.errors import DestinationError, MissingFileError, ReadError
from episeek.stores.requests.retry import DEFAULT_POLICY, RetryPolicy
from episeek.stores.transports.hub.location import parse_hub_url
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.publish.hub_client.client import HubClient
from episeek_pipelines.publish.overlay.changes import Listing
from episeek_pipelines.publish.store.writers.retries import call_store
from episeek_pipelines.publish.store.writers.writer import Move
from episeek_pipelines.words import counted

MAX_OPERATIONS: Final = 1000
"""Largest number of operations in one request, which is a limit of huggingface_hub."""

MAX_SENT_FILES: Final = 100
MAX_SENT_BYTES: Final = 1 << 30
"""`MAX_SENT_FILES` and `MAX_SENT_BYTES` limit the files that one call sends. A call that failed is repeated, but content that has
arrived is not sent again.
"""


@dataclass(frozen=True, slots=True)
class BucketWriter:
    """A writer for a folder of a bucket."""

    root: Root
    retry: RetryPolicy = DEFAULT_POLICY

    @property
    def has_whole_puts(self) -> bool:
        """Return True, because in a bucket a name always appears together with its whole content."""
        return True

    def files(self) -> Listing:
        """Return a new listing of all files below the root.

        Raises:
            DestinationError: The bucket does not exist, or the token may not see it.
        """
        expected = "a listing of the files"
        found = call_store(self.root.files, where=self.root.url, expected=expected, policy=self.retry, is_write=False)
        # The listing of a bucket that does not exist is empty as well.
        if not found:
            client = HubClient(self._bucket_id, retry=self.retry)
            try:
                client.read(lambda api: api.bucket_info(self._bucket_id), where=self.root.url, expected="a bucket")
            except MissingFileError as error:
                raise self._missing(error) from None
        return found

    def require_inside(self, paths: Iterable[str]) -> None:
        """Do nothing, because a bucket has no folders that could be outside of the root."""

    def put(self, files: Sequence[tuple[str, str | bytes]]) -> None:
        """Write files, with one call for each group of at most `MAX_SENT_FILES` files and `MAX_SENT_BYTES` bytes."""
        for group in _groups(files):
            added = [(content, self._full(path)) for path, content in group]
            size = sum(_size(content) for content, _ in added)
            self._batch(
                f"an upload of {counted(len(group), 'file')}, beginning with {group[0][0]}", byte_count=size, add=added
            )

    def create(self, path: str, data: bytes) -> bool:
        """Write a small file, and return False: a bucket replaces an existing file, so the caller has to read the file back."""
        self._batch("a small file", byte_count=len(data), add=[(data, self._full(path))])
        return False

    def switch(
        self, waves: Sequence[Sequence[Move]], deletions: Sequence[str], *, before_deletions: Callable[[], None]
    ) -> None:
        """Copy the sent files to their final names and delete other files, with up to `MAX_OPERATIONS` in one request."""
        copies = [self._copy(move) for wave in waves for move in wave]
        deleted = [self._full(path) for path in deletions]
        while len(copies) + len(deleted) > MAX_OPERATIONS and copies:
            part, copies = copies[:MAX_OPERATIONS], copies[MAX_OPERATIONS:]
            self._batch(f"copies of {counted(len(part), 'file')}", copy=part)
        before_deletions()
        if copies:
            self._batch(f"copies of {counted(len(copies), 'file')}", copy=copies, delete=deleted)
        else:
            self._delete(deleted)

    def delete(self, paths: Sequence[str]) -> None:
        """Delete files, up to `MAX_OPERATIONS` in one request."""
        self._delete([self._full(path) for path in paths])

    def _delete(self, full_paths: list[str]) -> None:
        for start in range(0, len(full_paths), MAX_OPERATIONS):
            part = full_paths[start : start + MAX_OPERATIONS]
            self._batch(f"{counted(len(part), 'file')} that may be deleted", delete=part)

    def _copy(self, move: Move) -> tuple[str, str, str, str]:
        ids = () if move.identity is None else move.identity.store_ids
        xet = next((value.removeprefix("xet:") for value in ids if value.startswith("xet:")), "")
        if not xet:
            raise ReadError(
                self.root.join(move.staged),
                "no Xet hash in the listing",
                "the Xet hash, which is needed to copy the file",
            )
        return ("bucket", self._bucket_id, xet, self._full(move.path))

    def _batch(self, expected: str, *, byte_count: int = 0, **operations: list[Any]) -> None:
        if not any(operations.values()):
            return
        # A bucket is not a repository. Only the library, the errors and the retries of the client are used.
        client = HubClient(self._bucket_id, retry=self.retry)
        try:
            client.write(
                partial(_batched, bucket_id=self._bucket_id, operations=operations),
                where=self.root.url,
                expected=expected,
                # Every operation may be made twice.
                landed=None,
                byte_count=byte_count,
            )
        except MissingFileError as error:
            raise self._missing(error) from None

    def _missing(self, error: MissingFileError) -> DestinationError:
        return DestinationError(self.root.url, error.found, "an existing bucket, and a token with the right to read it")

    def _full(self, path: str) -> str:
        return parse_hub_url(self.root.url).full_path(path)

    @property
    def _bucket_id(self) -> str:
        return parse_hub_url(self.root.url).repo_id


def _batched(api: Any, *, bucket_id: str, operations: dict[str, list[Any]]) -> bool:
    api.batch_bucket_files(bucket_id, **operations)
    return True


def _groups(files: Sequence[tuple[str, str | bytes]]) -> Iterator[list[tuple[str, str | bytes]]]:
    group: list[tuple[str, str | bytes]] = []
    size = 0
    for path, content in files:
        if group and (len(group) == MAX_SENT_FILES or size + _size(content) > MAX_SENT_BYTES):
            yield group
            group, size = [], 0
        group.append((path, content))
        size += _size(content)
    if group:
        yield group


def _size(content: str | bytes) -> int:
    return len(content) if isinstance(content, bytes) else Path(content).stat().st_size
