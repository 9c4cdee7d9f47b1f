"""Where bytes come from: one small protocol over local files and any fsspec store.

A source knows sizes and byte ranges, nothing else; planning and decoding are done elsewhere. A source opens nothing
until it is used and carries no open file through pickling.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import fsspec
from fsspec.core import url_to_fs

from episeek.errors import (
    BackendUnavailableError,
    EpiseekError,
    MissingFileError,
    ReadError,
    ShortReadError,
    first_line,
)

ByteRange = tuple[int, int]
"""`(start, stop)` in bytes, end exclusive."""


class ByteSource(Protocol):
    """Sizes and byte ranges of the files under one root."""

    @property
    def root(self) -> str:
        """The directory or URL that paths are relative to."""
        ...

    @property
    def probe_bytes(self) -> int:
        """How much to read at a place that may hold what is looked for: little here, more where a request is a round trip."""
        ...

    def size(self, path: str) -> int:
        """Size of a file in bytes. Raises MissingFileError."""
        ...

    def store_id(self, path: str) -> str:
        """The store's own content identity as `kind:value`, or the empty string when it has none."""
        ...

    def get_ranges(self, path: str, ranges: Sequence[ByteRange]) -> list[bytes]:
        """The bytes of each range, in order. Raises MissingFileError, ShortReadError or ReadError; never returns fewer
        bytes.
        """
        ...


@dataclass(frozen=True, slots=True)
class LocalSource:
    """Files under a local directory, read with `pread`."""

    root: str

    @property
    def probe_bytes(self) -> int:
        """A page."""
        return 1 << 12

    def size(self, path: str) -> int:
        """Size of a file in bytes."""
        full_path = self._full_path(path)
        try:
            return os.stat(full_path).st_size
        except FileNotFoundError:
            raise _missing(full_path) from None
        except OSError as error:
            raise ReadError(full_path, str(error), "a readable file") from error

    def store_id(self, path: str) -> str:
        """Empty: a local file system knows no content identity."""
        return ""

    def get_ranges(self, path: str, ranges: Sequence[ByteRange]) -> list[bytes]:
        """The bytes of each range, in order."""
        full_path = self._full_path(path)
        try:
            handle = os.open(full_path, os.O_RDONLY)
        except FileNotFoundError:
            raise _missing(full_path) from None
        except OSError as error:
            raise ReadError(full_path, str(error), "a readable file") from error
        try:
            return [_checked(full_path, byte_range, _pread(handle, *byte_range)) for byte_range in ranges]
        except OSError as error:
            if isinstance(error, ReadError):
                raise
            raise ReadError(full_path, str(error), "a readable file") from error
        finally:
            os.close(handle)

    def _full_path(self, path: str) -> str:
        return os.path.join(self.root, path)


@dataclass(frozen=True, slots=True)
class FsspecSource:
    """Files under any fsspec URL. Every range is asked for as it is: no read-ahead."""

    root: str
    storage_options: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def probe_bytes(self) -> int:
        """Large enough for the moov of some hundred frames; sending it takes less time than asking for it."""
        return 1 << 15

    def size(self, path: str) -> int:
        """Size of a file in bytes."""
        size = self._info(path).get("size")
        if size is None:
            raise ReadError(self._url(path), "a store that does not say the size", "a file with a known size")
        return int(size)

    def store_id(self, path: str) -> str:
        """The Hub's LFS or Xet hash, or the ETag, where the store gives one."""
        info = self._info(path)
        lfs = info.get("lfs")
        if lfs and lfs.get("sha256"):
            return f"sha256:{lfs['sha256']}"
        if info.get("xet_hash"):
            return f"xet:{info['xet_hash']}"
        etag = next((info[key] for key in ("ETag", "etag") if info.get(key)), None)
        return f"etag:{str(etag).strip(chr(34))}" if etag else ""

    def get_ranges(self, path: str, ranges: Sequence[ByteRange]) -> list[bytes]:
        """The bytes of each range, in order."""
        url = self._url(path)
        with store_errors(url):
            fs, full_path = self._resolve(path)
            starts, stops = [start for start, _ in ranges], [stop for _, stop in ranges]
            parts = fs.cat_ranges([full_path] * len(ranges), starts, stops, on_error="raise")
            for part in parts:
                if isinstance(part, BaseException):  # older releases return errors, whatever is asked for
                    raise part
        return [_checked(url, byte_range, part) for byte_range, part in zip(ranges, parts, strict=True)]

    def _info(self, path: str) -> dict[str, Any]:
        with store_errors(self._url(path)):
            fs, full_path = self._resolve(path)
            return cast(dict[str, Any], fs.info(full_path))

    def _resolve(self, path: str) -> tuple[fsspec.AbstractFileSystem, str]:
        fs, root = url_to_fs(self.root, **self.storage_options)
        return fs, f"{root.rstrip('/')}/{path}"

    def _url(self, path: str) -> str:
        return f"{self.root.rstrip('/')}/{path}"


@dataclass(slots=True)
class CountingSource:
    """A source that counts what it is asked for, to report or to assert on. Not shared between processes."""

    source: ByteSource
    request_count: int = 0
    byte_count: int = 0

    @property
    def root(self) -> str:
        """The directory or URL that paths are relative to."""
        return self.source.root

    @property
    def probe_bytes(self) -> int:
        """As the source's."""
        return self.source.probe_bytes

    def size(self, path: str) -> int:
        """Size of a file in bytes."""
        return self.source.size(path)

    def store_id(self, path: str) -> str:
        """The store's own content identity."""
        return self.source.store_id(path)

    def get_ranges(self, path: str, ranges: Sequence[ByteRange]) -> list[bytes]:
        """The bytes of each range, in order."""
        parts = self.source.get_ranges(path, ranges)
        self.request_count += len(parts)
        self.byte_count += sum(map(len, parts))
        return parts


def open_source(url: str | os.PathLike[str], *, storage_options: dict[str, Any] | None = None) -> ByteSource:
    """The source for a local path or an fsspec URL. Opens nothing.

    Example:
        >>> open_source("/data/pusht").root
        '/data/pusht'
    """
    text = os.fspath(url)
    if is_local(text):
        return LocalSource(local_path(text))
    return FsspecSource(text, dict(storage_options or {}))


def is_local(url: str) -> bool:
    """Whether a URL is a path of this machine: no scheme, or `file:` / `local:`."""
    scheme, separator, _ = url.partition("://")
    return not separator or scheme in ("file", "local")


def local_path(url: str) -> str:
    """The path of a local URL."""
    _, separator, path = url.partition("://")
    return str(Path(os.path.expanduser(path if separator else url)))


@contextmanager
def store_errors(where: str) -> Iterator[None]:
    """Give the errors of any store a name: each has its own, and none may reach a caller as it is."""
    try:
        yield
    except EpiseekError:
        raise
    except FileNotFoundError:
        raise _missing(where) from None
    except ImportError as error:
        raise BackendUnavailableError(where, first_line(error), "the package for this kind of store") from error
    except Exception as error:  # botocore's, aiohttp's, an unknown protocol's ValueError: there is no common base
        raise ReadError(
            where, f"{type(error).__name__}: {first_line(error)}", "a readable file or directory"
        ) from error


def _pread(handle: int, start: int, stop: int) -> bytes:
    data = os.pread(handle, stop - start, start)
    if len(data) == stop - start or not data:
        return data
    parts = [data]  # one call returns at most 0x7ffff000 bytes, and less when interrupted
    position = start + len(data)
    while position < stop and (more := os.pread(handle, stop - position, position)):
        parts.append(more)
        position += len(more)
    return b"".join(parts)


def _checked(where: str, byte_range: ByteRange, data: bytes) -> bytes:
    start, stop = byte_range
    if len(data) != stop - start:
        raise ShortReadError(
            where,
            f"{len(data)} bytes at offset {start}",
            f"{stop - start} bytes: the file is not what it was, or its store ignores ranges",
        )
    return data


def _missing(where: str) -> MissingFileError:
    return MissingFileError(
        where, "no such file", "a file that the dataset names; videos of an overlay are found with data_root"
    )
