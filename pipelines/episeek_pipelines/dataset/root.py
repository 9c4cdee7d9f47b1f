"""List, read and write the files below the root directory of a dataset, on this machine or in a store."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import (
    EpiseekError,
    MissingFileError,
    NotADatasetError,
    ParquetError,
    ReadError,
    WriteError,
    first_line,
)
from episeek.stores.byte_source import StoreSource
from episeek.stores.identity import FileIdentity
from episeek.stores.kinds import StoreKind, is_hub, is_local, kind_of, local_path
from episeek.stores.open_source import open_source
from episeek.stores.requests.errors import store_errors
from episeek.stores.transports.hub.location import parse_hub_url
from episeek_pipelines.dataset.local_files import local_output, walk
from episeek_pipelines.dataset.removal import remove_tree
from episeek_pipelines.parquet.store_file import open_store_parquet, require_size

if TYPE_CHECKING:
    import fsspec

MAX_WHOLE_BYTES: Final = 1 << 30
"""Largest file, in bytes, that is read as a whole, such as a document below meta/, a dataset card or a configuration."""

_FILES_IN_FLIGHT: Final = 16
"""Number of files of a store that are read at the same time. Each read mostly waits for an answer of the store."""


@dataclass(frozen=True, slots=True)
class Root:
    """A directory on this machine or in a store, given by its path or URL. Paths of files are relative to it and use `/`.

    A root opens nothing until it is used, and pickles as its URL.
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
        """Whether the root is a directory on this machine."""
        return is_local(self.url)

    @property
    def local(self) -> Path:
        """The path of the root on this machine. Raises ValueError for a root in a store."""
        if not self.is_local:
            raise ValueError(f"{self.url} is not a local path")
        return Path(self.url)

    @property
    def in_flight(self) -> int:
        """Number of files to read at the same time if only a few bytes of each file are read."""
        return 1 if self.is_local else _FILES_IN_FLIGHT

    @property
    def is_pinned(self) -> bool:
        """Whether the files cannot change, as at a fixed commit of a repository."""
        return is_hub(self.url) and parse_hub_url(self.url).is_pinned

    def pinned(self) -> "Root":
        """Return the root at the commit to which its revision points now, so that all reads see the same version.

        A root that is not on the Hub is returned unchanged.

        Raises:
            NotADatasetError: The Hub has no such repository or revision.
        """
        if not is_hub(self.url):
            return self
        from episeek.stores.transports.hub.source import HubSource

        source = self.source()
        if not isinstance(source, HubSource):
            return self
        try:
            return Root(source.pinned().root)
        except MissingFileError:
            raise NotADatasetError(self.url, "no such repository or revision", "a repository on the Hub") from None

    @property
    def physical(self) -> "Root":
        """The root that shows only stored files. A subclass that shows converted or repaired files returns a plain `Root`."""
        return self

    def held(self, path: str) -> bytes | None:
        """Return the contents of a file that a subclass shows converted or repaired, or None for a file that is shown as stored."""
        return None

    def join(self, path: str) -> str:
        """Return the full path or URL of a file."""
        return f"{self.url}/{path}" if path else self.url

    def source(self) -> StoreSource:
        """Return the byte source that reads ranges of the files."""
        return open_source(self.url)

    # --- listing ---

    def is_dir(self) -> bool:
        """Return whether the root is an existing directory or, in an object store, whether any object is below it."""
        if self.is_local:
            return self.local.is_dir()
        with store_errors(self.url):
            fs, path = self._resolve("")
            return bool(fs.isdir(path))

    def exists(self, path: str) -> bool:
        """Return whether a file exists."""
        if self.is_local:
            return (self.local / path).is_file()
        with store_errors(self.join(path)):
            fs, full_path = self._resolve(path)
            return bool(fs.isfile(full_path))

    def list(self, directory: str = "", *, suffix: str = "") -> list[str]:
        """Return the sorted paths of all files below a directory; empty if it does not exist.

        Args:
            directory: The directory, relative to the root.
            suffix: Only paths that end with this suffix are returned.
        """
        if self.is_local:
            found = (Path(folder, name) for folder, names in walk(self.local / directory) for name in names)
            return sorted(file.relative_to(self.local).as_posix() for file in found if file.name.endswith(suffix))
        return sorted(path for path in self._listed(directory) if path.endswith(suffix))

    def files(self, directory: str = "") -> dict[str, FileIdentity | None]:
        """Return the files below a directory, sorted by path, with their identities (size and version), from one listing.

        An identity is None if the listing gives no size, and has no version if the listing gives none.
        """
        if self.is_local:
            source = self.source()
            found: dict[str, FileIdentity | None] = {}
            for path in self.list(directory):
                # A broken symbolic link is listed, but is not a file.
                with suppress(MissingFileError):
                    found[path] = source.identity(path)
            return found
        from episeek.stores.transports.fsspec import identity_of

        identities = {path: identity_of(info) for path, info in sorted(self._listed(directory).items())}
        if self.kind.fsspec_etags_agree:
            return identities
        return {path: None if listed is None else FileIdentity(listed.size) for path, listed in identities.items()}

    def folders(self) -> tuple[str, ...]:
        """Return the sorted names of the folders directly below the root."""
        if self.is_local:
            return tuple(sorted(entry.name for entry in self.local.iterdir() if entry.is_dir()))
        with store_errors(self.url):
            fs, path = self._resolve("")
            names = (info["name"] for info in fs.ls(path, detail=True) if info["type"] == "directory")
            return tuple(sorted(name.rstrip("/").rpartition("/")[2] for name in names))

    def size(self, path: str) -> int:
        """Return the size of a file in bytes."""
        return self.source().identity(path).size

    def version_of(self, path: str) -> str:
        """Return a text that differs between versions of a file.

        It contains the size, and the modification time of a local file or the id that the store gives the file.

        Raises:
            MissingFileError: The file does not exist.
            ReadError: The store does not answer.
        """
        if self.is_local:
            try:
                status = (self.local / path).stat()
            except FileNotFoundError:
                raise MissingFileError(self.join(path), "no such file", "a file of the dataset") from None
            return f"{status.st_size}:{status.st_mtime_ns}"
        identity = self.source().identity(path)
        return f"{identity.size}:{identity.store_id}"

    # --- reading ---

    def read_bytes(self, path: str, *, file_size: int | None = None) -> bytes:
        """Return the contents of a small file.

        Args:
            path: The file.
            file_size: The size of the file, if a listing gives it; this saves a request to the store.

        Raises:
            ChangedFileError: The file has another size than `file_size`.
            MissingFileError: The file does not exist.
            ReadError: The file cannot be read, is not a regular file, or is larger than `MAX_WHOLE_BYTES`.
        """
        # Opening a pipe would wait for its writer.
        if self.is_local and (self.local / path).exists() and not (self.local / path).is_file():
            raise ReadError(self.join(path), "no regular file", "a file")
        source = self.source()
        size = source.identity(path).size if file_size is None else file_size
        if size > MAX_WHOLE_BYTES:
            expected = f"at most {MAX_WHOLE_BYTES:,} bytes in a file that is read as a whole"
            raise ReadError(self.join(path), f"{size:,} bytes", expected)
        data = source.get_ranges(path, [(0, size)])[0]
        require_size(source, path, file_size)
        return data

    def open_parquet(self, path: str, *, file_size: int | None = None, **options: Any) -> pq.ParquetFile:
        """Open a Parquet file for reading. The caller closes it, for example with `with`.

        From a store, the end of the file is fetched first, and then the parts that are read
        (`episeek_pipelines.parquet.store_file`).

        Args:
            path: The file.
            file_size: The size of the file, if a listing gives it; this saves a request to the store.
            options: Options of `pyarrow.parquet.ParquetFile`.

        Raises:
            ChangedFileError: A store's file has another size than `file_size`.
            MissingFileError: The file does not exist.
            ParquetError: The file has no footer, or is not Parquet.
            ReadError: The file cannot be read; reading from the opened file may raise it, too.
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
                # Errors of the store or the system have a number; pyarrow's errors for a damaged footer have none.
                if isinstance(error, EpiseekError) or (isinstance(error, OSError) and error.errno is not None):
                    raise
                raise ParquetError(self.join(path), first_line(error), "a Parquet file with its footer") from None

    # --- writing ---

    @contextmanager
    def output(self, path: str) -> Iterator[BinaryIO]:
        """Open a file for writing in a `with` block. It appears when the block ends without an error, and otherwise not at all.

        Raises:
            WriteError: There is no space or no permission, or the store fails in another way.
        """
        if self.is_local:
            with local_output(self.local / path) as stream:
                yield stream
            return
        with store_errors(self.join(path)):
            fs, full_path = self._resolve(path)
        with tempfile.TemporaryDirectory(prefix="episeek-") as folder:
            staged = Path(folder, "staged")
            with local_output(staged) as stream:
                yield stream
            try:
                fs.put_file(str(staged), full_path)
            # Each file system has its own errors, so all of them become a WriteError.
            except Exception as error:
                found = f"{type(error).__name__}: {error}"
                raise WriteError(self.join(path), found, "a writable destination") from error

    def write_bytes(self, path: str, data: bytes) -> None:
        """Write a small file, complete or not at all.

        Raises:
            WriteError: There is no space or no permission, or the store fails in another way.
        """
        with self.output(path) as stream:
            stream.write(data)

    def remove(self, path: str) -> None:
        """Remove a file, or a directory with everything below it. Do nothing if it does not exist."""
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
            remove_tree(fs, full_path, has_folders=self.kind.has_folders)

    def _listed(self, directory: str) -> dict[str, dict[str, Any]]:
        """Return the store's current description of each file below a directory, without using fsspec's cache."""
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

    def _resolve(self, path: str) -> tuple["fsspec.AbstractFileSystem", str]:
        from fsspec.core import url_to_fs

        fs, root = url_to_fs(self.url)
        return fs, f"{root.rstrip('/')}/{path}".rstrip("/")
