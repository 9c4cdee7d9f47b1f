"""Write into a store: send files under temporary ("staged") names, give them their final names (the "switch"), and delete files.

Every operation may be made twice, and is repeated after a failure. The kinds of stores differ:

- Object stores, through fsspec: a new file appears as a whole. The switch copies each file within the store.
- Local or mounted directories (`directory`): a file is written under another name and then renamed. The switch renames each file.
- Buckets of the Hub (`bucket`): the switch copies many files with one request.
- Other file systems of fsspec: the same as object stores, but readers may see a half-written file.
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
"""Number of files that are sent at the same time. The number is small because s3fs keeps up to 100 MB of each file in memory."""

COPIES_IN_FLIGHT: Final = 16
"""Number of files that are copied within the store at the same time."""


@dataclass(frozen=True, slots=True)
class Move:
    """A staged file, and the final path that a switch gives it."""

    staged: str
    """Path of the staged file."""
    path: str
    """Final path of the file in the dataset."""
    identity: FileIdentity | None
    """Identity of the staged file in the store's listing."""


class StoreWriter(Protocol):
    """A writer for the files below one root in a store. All paths are relative to the root."""

    @property
    def root(self) -> Root:
        """Return the root below which this writer writes."""
        ...

    @property
    def has_whole_puts(self) -> bool:
        """Return whether a new file becomes visible only as a whole, so that no reader sees a half-written file."""
        ...

    def files(self) -> Listing:
        """Return a new listing of all files below the root."""
        ...

    def require_inside(self, paths: Iterable[str]) -> None:
        """Raise an error unless the files with these paths may be written, renamed and deleted.

        Raises:
            DestinationError: The folder of a file is outside of the root, or is on another file system, so that staged files cannot
                be renamed into it.
        """
        ...

    def put(self, files: Sequence[tuple[str, str | bytes]]) -> None:
        """Write files, each given as its path in the store and either the path of a local file or the content.

        Raises:
            DestinationError: The bucket does not exist.
            AccessError, WriteError: The store refuses to write a file.
        """
        ...

    def create(self, path: str, data: bytes) -> bool:
        """Create a small file unless it exists, and return whether it was certainly created.

        If the result is False, the caller has to read the file to find out which content it has.
        """
        ...

    def switch(
        self, waves: Sequence[Sequence[Move]], deletions: Sequence[str], *, before_deletions: Callable[[], None]
    ) -> None:
        """Give staged files their final names, one wave after the other, and delete other files last.

        Args:
            waves: The staged files. All files of a wave get their names before the next wave begins.
            deletions: The paths of files to delete.
            before_deletions: A check that is called after the last wave and before the deletions. It may raise an error.

        Raises:
            MissingFileError: A staged file does not exist, because another run has renamed or removed it.
            WriteError: The store refuses a change.
        """
        ...

    def delete(self, paths: Sequence[str]) -> None:
        """Delete files; files that do not exist are skipped."""
        ...


@dataclass(frozen=True, slots=True)
class FsspecWriter:
    """A writer for any kind of store that fsspec can write to."""

    root: Root
    retry: RetryPolicy
    _opened: PerProcess[tuple[fsspec.AbstractFileSystem, str]] = field(init=False, repr=False, compare=False)
    """The file system and the root's path in it. All threads of the process share them; fsspec would make a file system per thread.
    """

    def __post_init__(self) -> None:
        object.__setattr__(self, "_opened", PerProcess(partial(url_to_fs, self.root.url)))

    @property
    def has_whole_puts(self) -> bool:
        """Return whether this kind of store makes a new file visible only as a whole."""
        return self.root.kind.has_whole_puts

    def files(self) -> Listing:
        """Return a new listing of all files below the root."""
        expected = "a listing of the files"
        found = call_store(self.root.files, where=self.root.url, expected=expected, policy=self.retry, is_write=False)
        # Without this, fsspec would answer later requests about a file from this listing.
        url_to_fs(self.root.url)[0].invalidate_cache()
        return found

    def require_inside(self, paths: Iterable[str]) -> None:
        """Do nothing, because an object store has no folders that could be outside of the root."""

    def put(self, files: Sequence[tuple[str, str | bytes]]) -> None:
        """Write files, `PUTS_IN_FLIGHT` of them at the same time."""
        map_in_threads(self._put_one, files, max_in_flight=PUTS_IN_FLIGHT)

    def create(self, path: str, data: bytes) -> bool:
        """Create a small file unless it exists, and return whether it was certainly created.

        If the store cannot refuse to replace an existing file, the file is written in any case, and the function returns False.
        """
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
        """Copy staged files to their final names within the store, wave by wave. Then call `before_deletions`, and delete files."""
        for wave in waves:
            map_in_threads(self._copy, wave, max_in_flight=COPIES_IN_FLIGHT)
        before_deletions()
        self.delete(deletions)

    def delete(self, paths: Sequence[str]) -> None:
        """Delete files, with one request for many files if the store supports it."""
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
            raise ReadError(str(content), described(error), "a readable file") from error

        def put() -> None:
            self._make_folder(fs, full_path)
            if isinstance(content, bytes):
                fs.pipe_file(full_path, content)
            else:
                fs.put_file(content, full_path)

        try:
            self._tried(put, path, "a whole file with this name", byte_count=size)
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
        """Create the folder of a file if this kind of store has folders."""
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
    """Return whether an error means that the store refused to replace an existing file.

    Stores answer with HTTP status 412, or with 409 if two clients create the file at the same time.
    """
    if error is None:
        return False
    return isinstance(error, FileExistsError) or status_of(error) in (409, 412) or _exists_already(error.__cause__)


def _is_unknown(error: BaseException) -> bool:
    """Return whether an error means that the file system does not support a write that fails if the file exists.

    Stores with the protocol of S3 then answer with HTTP status 501.
    """
    is_unsupported = isinstance(error, TypeError | NotImplementedError | ValueError)
    return is_unsupported or getattr(error, "errno", None) == errno.ENOSYS
