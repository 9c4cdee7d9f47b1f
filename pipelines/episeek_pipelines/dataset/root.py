"""One root directory, local or behind fsspec: what is in it, how its files are read, how they are written whole or not
at all.
"""

import errno
import os
import shutil
import tempfile
import uuid
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
import fsspec.asyn
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from episeek.errors import (
    EpiseekError,
    MissingFileError,
    NotADatasetError,
    ParquetError,
    ReadError,
    WriteError,
    first_line,
)
from episeek.stores.byte_source import ByteSource
from episeek.stores.identity import FileIdentity
from episeek.stores.kinds import MAX_DELETED_AT_ONCE, StoreKind, is_hub, is_local, kind_of, kind_of_scheme, local_path
from episeek.stores.open_source import open_source
from episeek.stores.processes.workers import map_in_threads
from episeek.stores.requests.errors import store_errors
from episeek.stores.transports.fsspec import identity_of
from episeek.stores.transports.hub.location import parse_hub_url
from episeek.stores.transports.hub.source import HubSource
from episeek_pipelines.parquet.store_file import open_store_parquet, require_size

TEMPORARY_SUFFIX = ".tmp"
"""Ends the name of a file that is being written; one that is found was left by a run that was killed."""

MAX_WHOLE_BYTES = 1 << 30
"""Of a file that is read at once: documents below meta/, a card, a configuration."""

REMOTE_IN_FLIGHT = 16
"""Files of a store that one task reads at the same time: each waits for an answer, most of the time."""

_COPIED_BYTES = 1 << 22
"""What is read at once of a file that is copied."""

_COPIES_IN_FLIGHT = 4
"""Ranges of such a file that a store is asked for at once."""


@dataclass(frozen=True, slots=True)
class Root:
    """A directory by its path or URL; paths below are relative to it, POSIX. Opens nothing until used, pickles as its
    URL.
    """

    url: str

    def __post_init__(self) -> None:
        text = os.fspath(self.url)
        object.__setattr__(self, "url", local_path(text) if is_local(text) else text.rstrip("/"))

    def __str__(self) -> str:
        return self.url

    @property
    def kind(self) -> StoreKind:
        """The kind of the store that the root is in."""
        return kind_of(self.url)

    @property
    def is_local(self) -> bool:
        """Whether the root is a directory of this machine."""
        return is_local(self.url)

    @property
    def local(self) -> Path:
        """The root as a local path; only for local roots."""
        if not self.is_local:
            raise ValueError(f"{self.url} is not local")
        return Path(self.url)

    @property
    def in_flight(self) -> int:
        """How many of its files one task should read at the same time, where it reads little of each."""
        return 1 if self.is_local else REMOTE_IN_FLIGHT

    def join(self, path: str) -> str:
        """The full path or URL of a file below the root."""
        return f"{self.url}/{path}" if path else self.url

    def source(self) -> ByteSource:
        """Byte ranges of the files below the root."""
        return open_source(self.url)

    @property
    def is_history(self) -> bool:
        """Whether what is written here becomes part of a repository's history: a commit for each file."""
        return self.kind.has_history

    @property
    def is_pinned(self) -> bool:
        """Whether its files cannot change: a commit of a repository."""
        return is_hub(self.url) and parse_hub_url(self.url).is_pinned

    def pinned(self) -> "Root":
        """The same root at the commit that its revision is now, so that what is read later belongs together; a root of
        any other store as it is.

        Raises:
            NotADatasetError: The Hub has no such repository or revision.
        """
        source = self.source()
        if not isinstance(source, HubSource):
            return self
        try:
            return Root(source.pinned().root)
        except MissingFileError:
            raise NotADatasetError(self.url, "no such repository or revision", "a repository on the Hub") from None

    def is_dir(self) -> bool:
        """Whether the root exists and is a directory (for object stores: has any object below it)."""
        if self.is_local:
            return self.local.is_dir()
        with store_errors(self.url):
            fs, path = self._resolve("")
            return bool(fs.isdir(path))

    def exists(self, path: str) -> bool:
        """Whether a file exists."""
        if self.is_local:
            return (self.local / path).is_file()
        with store_errors(self.join(path)):
            fs, full_path = self._resolve(path)
            return bool(fs.isfile(full_path))

    def list(self, directory: str = "", *, suffix: str = "") -> list[str]:
        """Relative paths of all files below `directory` that end with `suffix`, sorted; empty when there is no such
        directory.
        """
        if self.is_local:
            base = self.local / directory
            found = (Path(folder, name) for folder, names in _walk(base) for name in names if name.endswith(suffix))
            return sorted(file.relative_to(self.local).as_posix() for file in found)
        return sorted(path for path in self._listed(directory) if path.endswith(suffix))

    def files(self, directory: str = "") -> dict[str, FileIdentity | None]:
        """All files below `directory` by relative path, sorted, with what the listing says of each: one listing, no
        request for a file. None where it does not say the size; without store identities where it has none.
        """
        if self.is_local:
            source = self.source()
            found: dict[str, FileIdentity | None] = {}
            for path in self.list(directory):
                with suppress(MissingFileError):  # a link to nothing
                    found[path] = source.identity(path)
            return found
        has_two_etags = not self.kind.fsspec_etags_agree
        identities = {path: identity_of(info) for path, info in sorted(self._listed(directory).items())}
        if not has_two_etags:
            return identities
        return {path: None if known is None else FileIdentity(known.size) for path, known in identities.items()}

    def size(self, path: str) -> int:
        """Size of a file in bytes."""
        return self.source().identity(path).size

    def identity(self, path: str) -> str:
        """What tells one version of a file from the next without reading it: size and time, or the store's own
        identity.
        """
        if self.is_local:
            try:
                status = (self.local / path).stat()
            except FileNotFoundError:
                raise MissingFileError(self.join(path), "no such file", "a file that the dataset names") from None
            return f"{status.st_size}:{status.st_mtime_ns}"
        identity = self.source().identity(path)
        return f"{identity.size}:{identity.store_id}"

    def read_bytes(self, path: str, *, file_size: int | None = None) -> bytes:
        """A whole small file.

        Args:
            path: The file.
            file_size: Bytes, where a listing has said it; then it is not asked for.

        Raises:
            ChangedFileError: It has another size than `file_size`.
            MissingFileError, ReadError: As the source's; or it is no regular file, or larger than small files are.
        """
        if (
            self.is_local and (self.local / path).exists() and not (self.local / path).is_file()
        ):  # a pipe waits for ever
            raise ReadError(self.join(path), "no regular file", "a file")
        source = self.source()
        size = source.identity(path).size if file_size is None else file_size
        if size > MAX_WHOLE_BYTES:
            raise ReadError(
                self.join(path), f"{size:,} bytes", f"at most {MAX_WHOLE_BYTES:,} of a file that is read whole"
            )
        data = source.get_ranges(path, [(0, size)])[0]
        require_size(source, path, file_size)
        return data

    def open_parquet(self, path: str, *, file_size: int | None = None, **options: Any) -> pq.ParquetFile:
        """Open a Parquet file for reading; the caller closes it (`with`).

        Of a store, the end of the file is fetched, and then what is read of it (`episeek_pipelines.parquet.store_file`).

        Args:
            path: The file.
            file_size: Bytes, where a listing has said it; then a store is not asked for it.
            options: As pyarrow takes them.

        Raises:
            ChangedFileError: A store's file has another size than `file_size`.
            MissingFileError: There is no such file.
            ParquetError: It has no footer, or is not Parquet.
            ReadError: As the source's; so does reading from it.
        """
        with store_errors(self.join(path)):
            try:
                if not self.is_local:
                    return open_store_parquet(self.source(), path, file_size=file_size, **options)
                with ExitStack() as stack:
                    opened = pq.ParquetFile(stack.enter_context(pa.OSFile(self.join(path), "rb")), **options)
                    stack.pop_all()
                    return opened
            except (pa.ArrowException, ValueError, EOFError, OSError) as error:
                if isinstance(error, EpiseekError) or (isinstance(error, OSError) and error.errno is not None):
                    raise  # the store's or the system's; what pyarrow raises for a damaged footer has no number
                raise ParquetError(self.join(path), first_line(error), "a Parquet file with its footer") from None

    @contextmanager
    def output(self, path: str) -> Iterator[BinaryIO]:
        """A binary file that appears under its name when the block ends well, and not at all otherwise.

        Raises:
            WriteError: No space, no permission, or any other failure of the store.
        """
        if self.is_local:
            with _local_output(self.local / path) as stream:
                yield stream
            return
        with store_errors(self.join(path)):
            fs, full_path = self._resolve(path)
        with tempfile.TemporaryDirectory(prefix="episeek-") as folder:
            staged = Path(folder, "staged")
            with _local_output(staged) as stream:
                yield stream
            try:
                fs.put_file(str(staged), full_path)
            except Exception as error:  # each store has its own errors; none of them may reach a caller unnamed
                raise WriteError(
                    self.join(path), f"{type(error).__name__}: {error}", "a writable destination"
                ) from error

    def write_bytes(self, path: str, data: bytes) -> None:
        """Write a small file, whole or not at all."""
        with self.output(path) as stream:
            stream.write(data)

    def copy_from(self, source: "Root", path: str, *, link: bool = False) -> None:
        """Copy a file of another root under the same relative path; `link` makes a hard link where the file system
        allows.
        """
        if source.is_local and not (source.local / path).is_file():
            raise ReadError(source.join(path), "no regular file", "a file that can be copied")
        if link and self.is_local and source.is_local:
            target = self.local / path
            with writing(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                with suppress(OSError):  # another file system, or one without hard links: copy
                    target.unlink(missing_ok=True)
                    os.link((source.local / path).resolve(), target)
                    return
        with closing(source._contents(path)) as parts, self.output(path) as out:
            while True:
                with store_errors(source.join(path)):  # or a fault of the source would be blamed on the destination
                    data = next(parts, b"")
                if not data:
                    break
                out.write(data)

    def remove(self, path: str) -> None:
        """Remove a file or a directory tree below the root; nothing happens when it is not there."""
        if self.is_local:
            target = self.local / path
            if target.is_dir():
                shutil.rmtree(target, ignore_errors=True)
            else:
                target.unlink(missing_ok=True)
            return
        with store_errors(self.join(path)):
            fs, full_path = self._resolve(path)
            if not self.is_pinned:
                fs.invalidate_cache()
            try:
                found = fs.find(full_path, withdirs=True, detail=True)
            except FileNotFoundError:
                return
            remove_files(fs, [name for name, info in found.items() if info["type"] != "directory"])
            if self.kind.has_folders:
                folders = {full_path, *(name for name, info in found.items() if info["type"] == "directory")}
                for folder in sorted(folders, key=len, reverse=True):
                    with suppress(OSError):
                        fs.rmdir(folder)

    def _listed(self, directory: str) -> dict[str, dict[str, Any]]:
        """What the store says of each file below a directory now, whatever fsspec remembers of it."""
        with store_errors(self.join(directory)):
            fs, full_path = self._resolve(directory)
            _, root = self._resolve("")
            if not self.is_pinned:
                fs.invalidate_cache()
            try:
                found = fs.find(full_path, detail=True)
            except FileNotFoundError:
                return {}
        prefix = root.rstrip("/") + "/"
        return {path.removeprefix(prefix): info for path, info in found.items()}

    def _contents(self, path: str) -> Generator[bytes]:
        """All of a file, some mebibytes at a time."""
        if self.is_local:
            with open(self.join(path), "rb") as stream:
                while data := stream.read(_COPIED_BYTES):
                    yield data
            return
        source = self.source()
        size = source.identity(path).size
        for start in range(0, size, _COPIES_IN_FLIGHT * _COPIED_BYTES):
            bounds = range(start, min(start + _COPIES_IN_FLIGHT * _COPIED_BYTES, size), _COPIED_BYTES)
            yield from source.get_ranges(path, [(at, min(at + _COPIED_BYTES, size)) for at in bounds])

    def _resolve(self, path: str) -> tuple[fsspec.AbstractFileSystem, str]:
        fs, root = url_to_fs(self.url)
        return fs, f"{root.rstrip('/')}/{path}".rstrip("/")


def remove_files(fs: fsspec.AbstractFileSystem, full_paths: Sequence[str]) -> None:
    """Remove files of these very names; those that are not there are no failure.

    `rm` of fsspec takes `*`, `?` and `[` in a name for a pattern, and removes what matches it.
    """
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    has_requests = any(not kind_of_scheme(protocol).has_folders for protocol in protocols)
    if len(full_paths) > 1 and hasattr(fs, "_bulk_delete"):  # S3: one request, which does not say what it was refused
        for start in range(0, len(full_paths), MAX_DELETED_AT_ONCE):
            fsspec.asyn.sync(fs.loop, fs._bulk_delete, list(full_paths[start : start + MAX_DELETED_AT_ONCE]))
        return

    def remove(full_path: str) -> None:
        with suppress(FileNotFoundError):
            fs.rm_file(full_path)

    map_in_threads(remove, full_paths, max_in_flight=REMOTE_IN_FLIGHT if has_requests else 1)


def _walk(base: Path) -> Iterator[tuple[str, list[str]]]:
    """Directories and their files; links to directories are followed, though not in circles."""

    def unreadable(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):  # files nobody may look at are not no files
            raise ReadError(str(error.filename), first_line(error), "a readable directory") from error

    for folder, folders, names in os.walk(base, onerror=unreadable, followlinks=True):
        here = Path(folder)
        if here.is_symlink() and here.parent.resolve().is_relative_to(here.resolve()):
            folders.clear()
            continue
        yield folder, names


@contextmanager
def _local_output(target: Path) -> Iterator[BinaryIO]:
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        name = target.parent / f".{target.name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
        handle = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        with writing(target):
            with os.fdopen(handle, "wb") as stream:
                yield stream
            os.replace(name, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Name the file, and say in words what is wrong, when the system refuses to write it."""
    try:
        yield
    except OSError as error:
        if error.errno is None or isinstance(error, WriteError | ReadError | MissingFileError):
            raise
        reason = "no space left on the device" if error.errno == errno.ENOSPC else os.strerror(error.errno).lower()
        raise WriteError(str(target), reason, "a writable destination with room") from error
