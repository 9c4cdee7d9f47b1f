"""Writing into a store: putting content beside what is there, switching to it, deleting.

Every operation here may be made twice, and is tried again. What each kind of store makes of it:

- object stores by fsspec: a put appears whole, a copy is made by the store, several files change one after the other;
- directories of this machine (`directory`): a put is written beside its name and renamed, a switch is
  one rename a file;
- buckets of the Hub: `bucket`;
- any other file system that fsspec knows: as object stores, but what is half written may be seen under its name.
"""

import errno
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol, TypeVar

import fsspec
from fsspec.core import url_to_fs

from episeek.errors import DestinationError, MissingFileError, ReadError, described
from episeek.stores.identity import FileIdentity
from episeek.stores.kinds import MAX_DELETED_AT_ONCE
from episeek.stores.processes.per_process import PerProcess
from episeek.stores.processes.workers import map_in_threads
from episeek.stores.requests.errors import status_of, store_errors
from episeek.stores.requests.retry import RetryPolicy
from episeek_pipelines.dataset.removal import remove_files
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.publish.overlay.changes import (
    Listing,
)
from episeek_pipelines.publish.store.writers.retries import call_store

T = TypeVar("T")

PUTS_IN_FLIGHT: Final = 4
"""Files sent at the same time: s3fs has up to 100 MB of each in memory."""

COPIES_IN_FLIGHT: Final = 16


@dataclass(frozen=True, slots=True)
class Move:
    """A file that is staged, and the name it gets."""

    staged: str
    path: str
    identity: FileIdentity | None
    """Of the staged file."""


class StoreWriter(Protocol):
    """One root in a store."""

    @property
    def root(self) -> Root:
        """Where it writes."""
        ...

    @property
    def has_whole_puts(self) -> bool:
        """Whether what is put appears whole, or not at all."""
        ...

    def files(self) -> Listing:
        """All files below the root, as they are now."""
        ...

    def require_inside(self, paths: Iterable[str]) -> None:
        """Whether files of these paths may be written, given their names, and deleted.

        Raises:
            DestinationError: One of them is in a folder that belongs to something else.
        """
        ...

    def put(self, files: Sequence[tuple[str, str | bytes]]) -> None:
        """Write files by path from local paths or bytes.

        Raises:
            DestinationError: There is no such bucket.
            AccessError, WriteError: The store does not take them.
        """
        ...

    def create(self, path: str, data: bytes) -> bool:
        """Write a small file where none is. False where it may not have been the first: then it has to be read."""
        ...

    def switch(
        self, waves: Sequence[Sequence[Move]], deletions: Sequence[str], *, before_deletions: Callable[[], None]
    ) -> None:
        """Give staged files their names, wave after wave, and delete others last.

        Raises:
            MissingFileError: A staged file is gone: somebody else has switched to it, or removed it.
            WriteError: As for `put`.
        """
        ...

    def delete(self, paths: Sequence[str]) -> None:
        """Delete files; those that are not there are no failure."""
        ...


@dataclass(frozen=True, slots=True)
class FsspecWriter:
    """A root behind any fsspec URL."""

    root: Root
    retry: RetryPolicy
    _opened: PerProcess[tuple[fsspec.AbstractFileSystem, str]] = field(init=False, repr=False, compare=False)
    """One client for all threads: left alone, fsspec makes one for each."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_opened", PerProcess(partial(url_to_fs, self.root.url)))

    @property
    def has_whole_puts(self) -> bool:
        """By its protocol."""
        return self.root.kind.has_whole_puts

    def files(self) -> Listing:
        """One listing, of what is there now."""
        expected = "a listing of the files"
        found = call_store(self.root.files, where=self.root.url, expected=expected, policy=self.retry, is_write=False)
        url_to_fs(self.root.url)[0].invalidate_cache()  # or what is asked of a file later would be answered from it
        return found

    def require_inside(self, paths: Iterable[str]) -> None:
        """Names are all there is."""

    def put(self, files: Sequence[tuple[str, str | bytes]]) -> None:
        """Some at the same time."""
        map_in_threads(self._put_one, files, max_in_flight=PUTS_IN_FLIGHT)

    def create(self, path: str, data: bytes) -> bool:
        """Exclusive where the store can do that."""
        fs, full_path = self._resolve(path)

        def create() -> bool | None:
            try:
                self._make_folder(fs, full_path)
                fs.pipe_file(full_path, data, mode="create")
            except Exception as error:
                if _is_there(error):
                    return False
                if _is_unknown(error):
                    return None
                raise
            return True

        made = self._tried(create, path, "a new file", byte_count=len(data))
        if made is None:
            self._tried(partial(fs.pipe_file, full_path, data), path, "a file", byte_count=len(data))
        return bool(made) and self.root.kind.has_exclusive_create

    def switch(
        self, waves: Sequence[Sequence[Move]], deletions: Sequence[str], *, before_deletions: Callable[[], None]
    ) -> None:
        """Copies within the store."""
        for wave in waves:
            map_in_threads(self._copy, wave, max_in_flight=COPIES_IN_FLIGHT)
        before_deletions()
        self.delete(deletions)

    def delete(self, paths: Sequence[str]) -> None:
        """Many by one request, where the store takes that."""
        for start in range(0, len(paths), MAX_DELETED_AT_ONCE):
            part = paths[start : start + MAX_DELETED_AT_ONCE]
            self._tried(partial(self._delete_once, part), part[0], "a file that may be deleted")

    def _delete_once(self, paths: Sequence[str]) -> None:
        fs, _ = self._resolve("")
        remove_files(fs, [self._resolve(path)[1] for path in paths])

    def _put_one(self, file: tuple[str, str | bytes]) -> None:
        path, content = file
        fs, full_path = self._resolve(path)
        try:
            size = len(content) if isinstance(content, bytes) else os.path.getsize(content)
        except OSError as error:
            raise ReadError(str(content), described(error), "what is to be published") from error

        def put() -> None:
            self._make_folder(fs, full_path)
            if isinstance(content, bytes):
                fs.pipe_file(full_path, content)
            else:
                fs.put_file(content, full_path)

        try:
            self._tried(put, path, "a file of this name, whole", byte_count=size)
        except MissingFileError:
            raise DestinationError(self.root.join(path), "no such bucket", "a bucket that is there") from None

    def _copy(self, move: Move) -> None:
        fs, staged = self._resolve(move.staged)
        target = self._resolve(move.path)[1]

        def copy() -> None:
            self._make_folder(fs, target)
            fs.cp_file(staged, target)

        self._tried(copy, move.path, f"a copy of {move.staged}")

    def _make_folder(self, fs: fsspec.AbstractFileSystem, full_path: str) -> None:
        """Of a file, where the store has folders."""
        if not self.has_whole_puts:
            fs.makedirs(fs._parent(full_path), exist_ok=True)

    def _tried(self, call: Callable[[], T], path: str, expected: str, *, byte_count: int = 0) -> T:
        where = self.root.join(path)
        return call_store(call, where=where, expected=expected, policy=self.retry, byte_count=byte_count)

    def _resolve(self, path: str) -> tuple[fsspec.AbstractFileSystem, str]:
        with store_errors(self.root.join(path)):
            fs, root = self._opened.get()
        return fs, f"{root.rstrip('/')}/{path}".rstrip("/")


def _is_there(error: BaseException | None) -> bool:
    """Whether a store refused to replace a file: HTTP 412, or 409 where two do so at once."""
    if error is None:
        return False
    return isinstance(error, FileExistsError) or status_of(error) in (409, 412) or _is_there(error.__cause__)


def _is_unknown(error: BaseException) -> bool:
    """Whether a file system does not know exclusive creation; S3 says so by HTTP 501."""
    is_named = isinstance(error, TypeError | NotImplementedError | ValueError)
    return is_named or getattr(error, "errno", None) == errno.ENOSYS
