"""The protocol for reading bytes, which is the same for every kind of store.

A source only returns the identities of files and ranges of their bytes; other modules plan requests and decode. It opens nothing
until it is used. Open files and connections are not passed on by pickling or forking. It never waits longer than its `RetryPolicy`
allows, and never returns fewer or other bytes than requested.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from episeek.errors import ChangedFileError, MissingFileError, ShortReadError
from episeek.stores.identity import FileIdentity
from episeek.stores.transfers import Transfers

ByteRange = tuple[int, int]
"""`[start, stop)`, in bytes."""

STORE_PROBE_BYTES = 1 << 15
"""`probe_bytes` of a store: enough for the moov box of a few hundred frames, and faster to transfer than a second request."""

STORE_TAIL_BYTES = 1 << 24
"""`tail_bytes` of a store. Usually nothing but the moov box follows the media data."""

STORE_IN_FLIGHT = 16
"""Number of ranges of one call that are requested from a store at the same time."""


class ByteSource(Protocol):
    """A reader of the files under one root: their identities and ranges of their bytes."""

    @property
    def root(self) -> str:
        """Directory or URL that paths are relative to."""
        ...

    @property
    def probe_bytes(self) -> int:
        """Bytes to read at a position that may hold the wanted box: few of a local file, more where a request is a round trip."""
        ...

    @property
    def tail_bytes(self) -> int:
        """Largest rest of a file, in bytes, that is read at once instead of being probed box by box."""
        ...

    def identity(self, path: str) -> FileIdentity:
        """Return the size and identity of a file, from the last answer about it; that may be the answer to a range request.

        Raises:
            MissingFileError: There is no such file.
            ReadError: The store does not answer, or does not give the size.
        """
        ...

    def get_ranges(self, path: str, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Return the bytes of each range, in order.

        Raises:
            MissingFileError: There is no such file.
            ChangedFileError: The file has another identity than at an earlier request of this process.
            ShortReadError, RangeNotHonouredError, AccessError, ReadError: The store failed, and trying again did not help.
        """
        ...

    def transfers(self) -> Transfers:
        """Return what this source has transferred in this process."""
        ...


class StoreSource(ByteSource, Protocol):
    """A source that can also read the end of a file of unknown size, and says whether its answers carry identities."""

    @property
    def answers_have_identity(self) -> bool:
        """Whether the answer to each range request identifies the version of the file, which is then compared.

        Otherwise the replacement of a file between two requests is not noticed.
        """
        ...

    def get_tail(self, path: str, byte_count: int) -> bytes:
        """Return the last `byte_count` bytes of a file, or all of a smaller file, with one request if the store allows it.

        A later call of `identity` makes no request.

        Raises:
            MissingFileError, ChangedFileError, ReadError: As `get_ranges`.
        """
        ...


class WrappedSource:
    """Base class of a source that wraps another one, `source`, and has its root, identities and transfers."""

    __slots__ = ()

    source: ByteSource

    @property
    def root(self) -> str:
        """Directory or URL that paths are relative to."""
        return self.source.root

    @property
    def probe_bytes(self) -> int:
        """`probe_bytes` of the wrapped source."""
        return self.source.probe_bytes

    @property
    def tail_bytes(self) -> int:
        """`tail_bytes` of the wrapped source."""
        return self.source.tail_bytes

    def identity(self, path: str) -> FileIdentity:
        """Return the size and identity of a file, as the wrapped source does."""
        return self.source.identity(path)

    def transfers(self) -> Transfers:
        """Return the transfers of the wrapped source."""
        return self.source.transfers()


@dataclass(slots=True)
class CountingSource(WrappedSource):
    """A source that counts the ranges requested from another source, in one process."""

    source: ByteSource
    request_count: int = 0
    byte_count: int = 0

    def get_ranges(self, path: str, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Return the bytes of each range, in order."""
        parts = self.source.get_ranges(path, ranges)
        self.request_count += len(parts)
        self.byte_count += sum(map(len, parts))
        return parts


class SeenFiles:
    """Keeps the first identity of each file that a store returned. No file may change while it is in use."""

    def __init__(self) -> None:
        self._seen: dict[str, FileIdentity] = {}

    def get(self, path: str) -> FileIdentity | None:
        """Return the first identity of a file, or None before there is one."""
        return self._seen.get(path)

    def note(self, path: str, identity: FileIdentity, *, where: str) -> FileIdentity:
        """Keep the identity of a file, unless one is kept already, and return the first one.

        Raises:
            ChangedFileError: The identity differs from the first one.
        """
        first = self._seen.setdefault(path, identity)
        is_same = identity.size == first.size and (
            not identity.store_id or first.is_content(identity.store_id) is not False
        )
        if not is_same:
            found = f"{identity.size} bytes, {identity.store_id or 'no identity'}"
            expected = f"{first.size} bytes, {first.store_id or 'no identity'}, as at the first request"
            raise ChangedFileError(where, found, expected, "wait until the file is no longer being replaced")
        return first


def tail_by_size(source: ByteSource, path: str, byte_count: int) -> bytes:
    """Return the last bytes of a file, or all of a smaller file, by requesting a range that ends at its size."""
    size = source.identity(path).size
    return source.get_ranges(path, [(max(size - byte_count, 0), size)])[0]


def range_name(where: str, byte_range: ByteRange) -> str:
    """Return the name of a range of a file, for messages."""
    return f"{where}, bytes [{byte_range[0]}, {byte_range[1]})"


def require_whole(where: str, byte_range: ByteRange, data: bytes) -> bytes:
    """Return the bytes of a range after checking their number.

    Raises:
        ShortReadError: The number of bytes is not that of the range.
    """
    start, stop = byte_range
    if len(data) != stop - start:
        raise ShortReadError(
            where,
            f"{len(data)} bytes at offset {start}",
            f"{stop - start} bytes: the file has changed, or its store ignores ranges",
        )
    return data


def missing_file(where: str) -> MissingFileError:
    """Return the error for a file that does not exist."""
    hint = "for an overlay, pass the dataset with the videos as data_root (--data-root)"
    return MissingFileError(where, "no such file", "a file that the dataset refers to", hint)
