"""Where bytes come from: one small protocol, whatever the store.

A source knows the identity of files and their byte ranges, nothing else; planning and decoding are done elsewhere. It opens
nothing until it is used, carries no open file or connection through pickling or into a forked process, waits for nothing
longer than its `RetryPolicy` says, and never returns fewer bytes, or others, than were asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from episeek.errors import ChangedFileError, MissingFileError, ShortReadError
from episeek.stores.identity import FileIdentity
from episeek.stores.transfers import Transfers

ByteRange = tuple[int, int]
"""`(start, stop)` in bytes, end exclusive."""

STORE_PROBE_BYTES = 1 << 15
"""`probe_bytes` of a store: large enough for the moov of some hundred frames; sending it takes less time than asking for it."""

STORE_TAIL_BYTES = 1 << 24
"""`tail_bytes` of a store: what follows the media data is nearly always the moov box."""

STORE_IN_FLIGHT = 16
"""Ranges that a store is asked for at once, for one call."""


class ByteSource(Protocol):
    """Identities and byte ranges of the files under one root."""

    @property
    def root(self) -> str:
        """The directory or URL that paths are relative to."""
        ...

    @property
    def probe_bytes(self) -> int:
        """How much to read at a place that may hold what is looked for: little here, more where a request is a round trip."""
        ...

    @property
    def tail_bytes(self) -> int:
        """How much at the end of a file to read at once rather than look into first."""
        ...

    def identity(self, path: str) -> FileIdentity:
        """Size and identity of a file, as of the last look at it; a range that was read is one.

        Raises:
            MissingFileError: There is no such file.
            ReadError: The store does not answer, or does not say the size.
        """
        ...

    def get_ranges(self, path: str, ranges: Sequence[ByteRange]) -> list[bytes]:
        """The bytes of each range, in order.

        Raises:
            MissingFileError: There is no such file.
            ChangedFileError: The store gave the file another identity than before, in this process.
            ShortReadError, RangeNotHonouredError, AccessError, ReadError: By what went wrong, when trying again did not help.
        """
        ...

    def transfers(self) -> Transfers:
        """What this source has transferred, in this process."""
        ...


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

    @property
    def tail_bytes(self) -> int:
        """As the source's."""
        return self.source.tail_bytes

    def identity(self, path: str) -> FileIdentity:
        """Size and identity of a file."""
        return self.source.identity(path)

    def get_ranges(self, path: str, ranges: Sequence[ByteRange]) -> list[bytes]:
        """The bytes of each range, in order."""
        parts = self.source.get_ranges(path, ranges)
        self.request_count += len(parts)
        self.byte_count += sum(map(len, parts))
        return parts

    def transfers(self) -> Transfers:
        """As the source's."""
        return self.source.transfers()


class SeenFiles:
    """The identity of each file as it was seen first: it may not become another one while it is in use."""

    def __init__(self) -> None:
        self._seen: dict[str, FileIdentity] = {}

    def get(self, path: str) -> FileIdentity | None:
        """What was seen of a file."""
        return self._seen.get(path)

    def note(self, path: str, identity: FileIdentity, *, where: str) -> FileIdentity:
        """Remember an identity. Raises ChangedFileError when it differs from what was seen before."""
        first = self._seen.setdefault(path, identity)
        is_same = identity.size == first.size and (
            not identity.store_id or first.is_content(identity.store_id) is not False
        )
        if not is_same:
            found = f"{identity.size} bytes, {identity.store_id or 'no identity'}"
            expected = f"{first.size} bytes, {first.store_id}, as a moment ago: the file is being replaced"
            raise ChangedFileError(where, found, expected)
        return first


def range_name(where: str, byte_range: ByteRange) -> str:
    """A file and a range of it, for messages."""
    return f"{where}, bytes [{byte_range[0]}, {byte_range[1]})"


def checked(where: str, byte_range: ByteRange, data: bytes) -> bytes:
    """The bytes of a range, which have to be all of them. Raises ShortReadError."""
    start, stop = byte_range
    if len(data) != stop - start:
        raise ShortReadError(
            where,
            f"{len(data)} bytes at offset {start}",
            f"{stop - start} bytes: the file is not what it was, or its store ignores ranges",
        )
    return data


def missing(where: str) -> MissingFileError:
    """The error for a file that is not there."""
    return MissingFileError(
        where, "no such file", "a file that the dataset names; videos of an overlay are found with data_root"
    )
