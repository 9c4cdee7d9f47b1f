"""Writing into a store: putting content beside the existing files, switching to it, deleting files.

Every operation may be made twice, and is tried again after a failure. Each kind of store does it in its own way:

- object stores, through fsspec: a file that is put appears whole, the store makes copies, several files change one after the other;
- directories of this machine (`directory`): a file is written beside its name and renamed, a switch is one rename for each file;
- buckets of the Hub (`bucket`): many operations are one request;
- any other file system of fsspec: as object stores, but a half-written file may be seen under its name.
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
from episeek_pipelines.publish.overlay.changes import Listing
from episeek_pipelines.publish.store.writers.retries import call_store

T = TypeVar("T")

PUTS_IN_FLIGHT: Final = 4
"""Files sent at the same time: s3fs has up to 100 MB of each in memory."""

COPIES_IN_FLIGHT: Final = 16


@dataclass(frozen=True, slots=True)
class Move:
    """A staged file, and the path that it is moved to."""

    staged: str
    path: str
    identity: FileIdentity | None
    """Identity of the staged file."""


class StoreWriter(Protocol):
    """One root in a store."""

    @property
    def root(self) -> Root:
        """The root that it writes to."""
        ...

    @property
    def has_whole_puts(self) -> bool:
        """Return whether a file that is put appears whole or not at all."""
        ...

    def files(self) -> Listing:
        """Return the listing of all files below the root as of now."""
        ...

    def require_inside(self, paths: Iterable[str]) -> None:
        """Require that files of these paths may be written, renamed and deleted.

        Raises:
            DestinationError: One of them is in a folder that belongs to something else.
        """
        ...

    def put(self, files: Sequence[tuple[str, str | bytes]]) -> None:
        """Write files, each given by its path and a local path or its content.

        Raises:
            DestinationError: There is no such bucket.
            AccessError, WriteError: The store refuses them.
        """
        ...

    def create(self, path: str, data: bytes) -> bool:
        """Write a small file if none of its name exists; return False where that is uncertain, so that the file has to be read."""
        ...

    def switch(
        self, waves: Sequence[Sequence[Move]], deletions: Sequence[str], *, before_deletions: Callable[[], None]
    ) -> None:
        """Give staged files their names, wave after wave, and delete other files last.

        Raises:
            MissingFileError: A staged file does not exist: somebody else has switched to it, or removed it.
            WriteError: The store refuses it.
        """
        ...

    def delete(self, paths: Sequence[str]) -> None:
        """Delete files; those that do not exist are skipped."""
        ...


@dataclass(frozen=True, slots=True)
class FsspecWriter:
    """A writer for any URL that fsspec knows."""

    root: Root
    retry: RetryPolicy
    _opened: PerProcess[tuple[fsspec.AbstractFileSystem, str]] = field(init=False, repr=False, compare=False)
    """One client for all threads; by itself, fsspec makes one for each thread."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_opened", PerProcess(partial(url_to_fs, self.root.url)))

    @property
    def has_whole_puts(self) -> bool:
        """Return whether the kind of store shows only whole files."""
        return self.root.kind.has_whole_puts

    def files(self) -> Listing:
        """Return one listing as of now."""
        expected = "a listing of the files"
        found = call_store(self.root.files, where=self.root.url, expected=expected, policy=self.retry, is_write=False)
        # Later questions about a file must not be answered from this listing.
        url_to_fs(self.root.url)[0].invalidate_cache()
        return found

    def require_inside(self, paths: Iterable[str]) -> None:
        """Accept all paths: an object store has no folders of its own."""

    def put(self, files: Sequence[tuple[str, str | bytes]]) -> None:
        """Put some files at the same time."""
        map_in_threads(self._put_one, files, max_in_flight=PUTS_IN_FLIGHT)

    def create(self, path: str, data: bytes) -> bool:
        """Create the file exclusively where the store can do that."""
        fs, full_path = self._resolve(path)

        def create() -> bool | None:
            try:
                self._make_folder(fs, full_path)
                fs.pipe_file(full_path, data, mode="create")
            except Exception as error:
                if _exists_already(error):
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
        """Switch by copies within the store."""
        for wave in waves:
            map_in_threads(self._copy, wave, max_in_flight=COPIES_IN_FLIGHT)
        before_deletions()
        self.delete(deletions)

    def delete(self, paths: Sequence[str]) -> None:
        """Delete many files by one request where the store can do that."""
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
            raise ReadError(str(content), described(error), "a file to publish") from error

        def put() -> None:
            self._make_folder(fs, full_path)
            if isinstance(content, bytes):
                fs.pipe_file(full_path, content)
            else:
                fs.put_file(content, full_path)

        try:
            self._tried(put, path, "a file of this name, whole", byte_count=size)
        except MissingFileError:
            raise DestinationError(self.root.join(path), "no such bucket", "an existing bucket") from None

    def _copy(self, move: Move) -> None:
        fs, staged = self._resolve(move.staged)
        target = self._resolve(move.path)[1]

        def copy() -> None:
            self._make_folder(fs, target)
            fs.cp_file(staged, target)

        self._tried(copy, move.path, f"a copy of {move.staged}")

    def _make_folder(self, fs: fsspec.AbstractFileSystem, full_path: str) -> None:
        """Make the folder of a file, where the store has folders."""
        if not self.has_whole_puts:
            fs.makedirs(fs._parent(full_path), exist_ok=True)

    def _tried(self, call: Callable[[], T], path: str, expected: str, *, byte_count: int = 0) -> T:
        where = self.root.join(path)
        return call_store(call, where=where, expected=expected, policy=self.retry, byte_count=byte_count)

    def _resolve(self, path: str) -> tuple[fsspec.AbstractFileSystem, str]:
        with store_errors(self.root.join(path)):
            fs, root = self._opened.get()
        return fs, f"{root.rstrip('/')}/{path}".rstrip("/")


def _exists_already(error: BaseException | None) -> bool:
    """Return whether a store refused to replace a file: HTTP 412, or 409 where two do so at once."""
    if error is None:
        return False
    return isinstance(error, FileExistsError) or status_of(error) in (409, 412) or _exists_already(error.__cause__)


def _is_unknown(error: BaseException) -> bool:
    """Return whether a file system cannot create files exclusively; S3 says so by HTTP 501."""
    is_unsupported = isinstance(error, TypeError | NotImplementedError | ValueError)
    return is_unsupported or getattr(error, "errno", None) == errno.ENOSYS
