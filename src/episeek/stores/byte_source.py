"""The protocol for reading bytes, which is the same for every kind of store.

A source only returns the identities of files and ranges of their bytes; other modules plan requests and decode. A source opens
nothing until it is used. It never waits longer than its `RetryPolicy` allows, and never returns fewer or other bytes than
requested. Open files and connections are not passed on by pickling or forking.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from episeek.errors import ChangedFileError, MissingFileError, ShortReadError
from episeek.stores.identity import FileIdentity
from episeek.stores.transfers import Transfers

ByteRange = tuple[int, int]
"""The bytes `[start, stop)` of a file."""

STORE_PROBE_BYTES = 1 << 15
"""The value of `probe_bytes` for stores. The moov box of a few hundred frames fits into this many bytes, and they arrive faster
than the answer to a second request.
"""

STORE_TAIL_BYTES = 1 << 24
"""The value of `tail_bytes` for stores. Usually, only the moov box follows the media data."""

STORE_IN_FLIGHT = 16
"""Largest number of ranges of one call that are requested from a store at the same time."""


class ByteSource(Protocol):
    """A reader of the files under one root: their identities and ranges of their bytes."""

    @property
    def root(self) -> str:
        """The directory or URL to which the paths of files are relative."""
        ...

    @property
    def probe_bytes(self) -> int:
        """Number of bytes to read at a position at which a box of an MP4 may begin.

        It is small for local files, and larger for stores, since each request to a store is a round trip.
        """
        ...

    @property
    def tail_bytes(self) -> int:
        """Largest number of bytes at the end of a file that are read at once instead of being probed box by box."""
        ...

    def identity(self, path: str) -> FileIdentity:
        """Return the size and identity of a file. If an earlier answer of the store gave them, no request is made.

        Raises:
            MissingFileError: The file does not exist.
            ReadError: The store does not answer, or does not give the size.
        """
        ...

    def get_ranges(self, path: str, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Return the bytes of each range, in order.

        Raises:
            MissingFileError: The file does not exist.
            ChangedFileError: The file has another identity than at an earlier request of this process.
            ShortReadError, RangeNotHonouredError, AccessError, ReadError: The store failed, and trying again did not help.
        """
        ...

    def transfers(self) -> Transfers:
        """Return the counts of the requests and bytes of this source in this process."""
        ...


class StoreSource(ByteSource, Protocol):
    """A source that can also read the end of a file of unknown size, and says whether its answers name the version of a file."""

    @property
    def answers_have_identity(self) -> bool:
        """Whether each answer to a range request identifies the version of the file, so that a replaced file is noticed."""
        ...

    def get_tail(self, path: str, byte_count: int) -> bytes:
        """Return the last `byte_count` bytes of a file, or all of a smaller file, with one request if the store allows it.

        After this call, `identity` of the same file makes no request.

        Raises:
            MissingFileError, ChangedFileError, ReadError: See `get_ranges`.
        """
        ...


class WrappedSource:
    """Base class of a source that wraps the source `source`, and has the same root, identities and transfers."""

    __slots__ = ()

    source: ByteSource

    @property
    def root(self) -> str:
        """`root` of the wrapped source."""
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
        """Return the size and identity of a file from the wrapped source."""
        return self.source.identity(path)

    def transfers(self) -> Transfers:
        """Return the transfers of the wrapped source."""
        return self.source.transfers()


@dataclass(slots=True)
class CountingSource(WrappedSource):
    """A source that wraps another source, and counts the ranges that are requested from it in this process."""

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
    """The first identity that a store returned for each file, to notice files that change while they are read."""

    def __init__(self) -> None:
        self._seen: dict[str, FileIdentity] = {}

    def get(self, path: str) -> FileIdentity | None:
        """Return the first identity of a file, or None if no identity was noted yet."""
        return self._seen.get(path)

    def note(self, path: str, identity: FileIdentity, *, where: str) -> FileIdentity:
        """Note an identity of a file, and return the first identity that was noted for the file.

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
    """Return the text with which messages refer to a range of the file `where`."""
    return f"{where}, bytes [{byte_range[0]}, {byte_range[1]})"


def require_whole(where: str, byte_range: ByteRange, data: bytes) -> bytes:
    """Return `data`, the bytes of a range, if their number is right.

    Raises:
        ShortReadError: `data` is shorter or longer than the range.
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
