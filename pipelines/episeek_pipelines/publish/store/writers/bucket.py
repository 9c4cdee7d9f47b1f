"""Writing into a bucket of the Hub, where many operations are one request.

Content goes to Xet storage, which keeps each piece once whatever its names are, so that a copy adds a name and sends no bytes. The
Hub applies the operations of a request one after the other. A bucket has no operation that is closer to an atomic change.
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
"""Operations in one request: the limit of the Hub's client."""

MAX_SENT_FILES: Final = 100
MAX_SENT_BYTES: Final = 1 << 30
"""Files and bytes sent by one call. After a failure, what has arrived is not sent again."""


@dataclass(frozen=True, slots=True)
class BucketWriter:
    """A writer for a folder of a bucket."""

    root: Root
    retry: RetryPolicy = DEFAULT_POLICY

    @property
    def has_whole_puts(self) -> bool:
        """Return whether a name appears only with its content: always."""
        return True

    def files(self) -> Listing:
        """Return one listing as of now.

        Raises:
            DestinationError: There is no such bucket, or the token may not see it.
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
        """Accept all paths: a bucket has no folders of its own."""

    def put(self, files: Sequence[tuple[str, str | bytes]]) -> None:
        """Put files in groups."""
        for group in _groups(files):
            added = [(content, self._full(path)) for path, content in group]
            size = sum(_size(content) for content, _ in added)
            self._batch(
                f"the content of {counted(len(group), 'file')}, from {group[0][0]} on", byte_count=size, add=added
            )

    def create(self, path: str, data: bytes) -> bool:
        """Write the file; a bucket replaces an existing one, so that it has to be read back."""
        self._batch("a small file", byte_count=len(data), add=[(data, self._full(path))])
        return False

    def switch(
        self, waves: Sequence[Sequence[Move]], deletions: Sequence[str], *, before_deletions: Callable[[], None]
    ) -> None:
        """Switch by one request, or by one for each thousand files, in order."""
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
        """Delete many files by one request."""
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
                self.root.join(move.staged), "no Xet hash in the listing", "a Xet hash, by which the file is copied"
            )
        return ("bucket", self._bucket_id, xet, self._full(move.path))

    def _batch(self, expected: str, *, byte_count: int = 0, **operations: list[Any]) -> None:
        if not any(operations.values()):
            return
        # only its library, its errors and its retries are used: a bucket is no repository
        client = HubClient(self._bucket_id, retry=self.retry)
        try:
            client.write(
                partial(_batched, bucket_id=self._bucket_id, operations=operations),
                where=self.root.url,
                expected=expected,
                # every operation may be made twice
                landed=None,
                byte_count=byte_count,
            )
        except MissingFileError as error:
            raise self._missing(error) from None

    def _missing(self, error: MissingFileError) -> DestinationError:
        return DestinationError(self.root.url, error.found, "an existing bucket, and a token that may read it")

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
