"""A sidecar table in a store that is not on this machine as a whole: its identity and its end, which holds the footer.

The end is read first, in one request that also gives the identity. Everything else that is read of the file afterwards has to be
of the same version.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from episeek.errors import ChangedFileError, SidecarLayoutError, first_line
from episeek.sidecars.local_copies import (
    KeptVersion,
    fetched_pieces,
    hub_repository,
    is_whole,
    kept_version,
    kept_versions,
)
from episeek.sidecars.mapped_table import Buffer, open_buffer
from episeek.stores.byte_source import StoreSource
from episeek.stores.identity import FileIdentity

TAIL_BYTES = 1 << 18
"""Bytes read at the end of a table: the footer of 100 million samples, and all of a table of 21,000.

It costs as much time as a round trip of 20 ms at 100 Mbit/s, so that a table that fits is cheaper to fetch whole.
"""

_MAGIC = b"PAR1"
_FOOTER_END_BYTES = 8
"""The length of the footer as a little-endian uint32, and the magic number."""

_EXPECTED = "a Parquet table with its footer"


@dataclass(frozen=True, slots=True, eq=False)
class RemoteFile:
    """One version of a table in a store."""

    source: StoreSource
    path: str
    identity: FileIdentity
    tail: bytes
    """The end of the file, with the whole footer in it."""
    kept: KeptVersion | None
    """Where its parts are kept; None where they cannot be."""

    @property
    def where(self) -> str:
        """Path or URL of the file."""
        return f"{self.source.root}/{self.path}"

    def footer(self) -> pq.FileMetaData:
        """Return the footer. Raises SidecarLayoutError."""
        try:
            return pq.read_metadata(pa.BufferReader(_MAGIC + self.tail[-_footer_bytes(self.tail) :]))
        except (pa.ArrowException, OSError) as error:
            raise SidecarLayoutError(self.where, first_line(error), _EXPECTED) from None

    def fetch_whole(self) -> Buffer:
        """Return all bytes of the file, mapped where they can be kept on this machine.

        Raises:
            ChangedFileError: The store has another version now.
            ReadError: The store does not deliver it.
        """
        hub = hub_repository(self.source)
        if hub is not None:
            return open_buffer(str(hub.download(self.path)))
        target = None if self.kept is None else self.kept.keep(Path(self.path).name, self._pieces())
        return b"".join(self._pieces()) if target is None else open_buffer(str(target))

    def _pieces(self) -> Iterator[bytes]:
        yield from fetched_pieces(self.source, self.path, self.identity.size - len(self.tail))
        self.require_same()
        yield self.tail

    def require_same(self) -> None:
        """Raise ChangedFileError if the bytes that were read last may be of another version than the footer.

        The identity in the answers says so. Where there is none, the footer, which names the build, is read again.
        """
        expected = "the version that was opened"
        hint = "open the index again"
        if self.source.answers_have_identity:
            now = self.source.identity(self.path)
            is_same = self.identity.is_content(now.store_id)
            if now.size != self.identity.size or is_same is False:
                found = f"{now.size} bytes, {now.store_id or 'no identity'}"
                raise ChangedFileError(self.where, found, expected, hint)
            if is_same:
                return
        footer = self.tail[-_footer_bytes(self.tail) :]
        size = self.identity.size
        if self.source.get_ranges(self.path, [(size - len(footer), size)])[0] != footer:
            raise ChangedFileError(self.where, "another footer", expected, hint)


def open_remote_file(source: StoreSource, path: str) -> Buffer | RemoteFile:
    """Return all of a table in a store where it is small or already on this machine, else the end of it.

    Raises:
        MissingFileError, AccessError, ReadError: As those of the source.
        MissingSidecarError: Another process has just removed the local copy.
        SidecarLayoutError: The file has no footer.
    """
    name = Path(path).name
    hub = hub_repository(source)
    folder = kept_versions(source, path)
    if hub is not None:
        copy = hub.downloaded(path)
        if copy is None and source.identity(path).size <= TAIL_BYTES:
            copy = hub.download(path)
        if copy is not None:
            return open_buffer(str(copy))
    if folder is not None and folder.is_dir():
        identity = source.identity(path)
        kept = kept_version(source, path, identity)
        if kept is not None:
            if is_whole(kept.path(name), identity):
                return open_buffer(str(kept.path(name)))
            tail = _read(kept.path(_tail_name(name)))
            if _holds_footer(tail):
                return RemoteFile(source, path, identity, tail, kept)
    tail = source.get_tail(path, TAIL_BYTES)
    identity = source.identity(path)
    kept = kept_version(source, path, identity)
    if len(tail) == identity.size:
        target = None if kept is None else kept.keep(name, [tail])
        return tail if target is None else open_buffer(str(target))
    if tail[-len(_MAGIC) :] != _MAGIC:
        raise SidecarLayoutError(f"{source.root}/{path}", "no footer at its end", _EXPECTED)
    size = _footer_bytes(tail)
    if size > identity.size:
        found = f"a footer of {size} bytes in a file of {identity.size}"
        raise SidecarLayoutError(f"{source.root}/{path}", found, _EXPECTED)
    if size > len(tail):
        tail = source.get_ranges(path, [(identity.size - size, identity.size - len(tail))])[0] + tail
    file = RemoteFile(source, path, identity, tail, kept)
    file.footer()
    if kept is not None:
        kept.keep(_tail_name(name), [tail])
    return file


def _tail_name(name: str) -> str:
    return f"{name}.tail"


def _footer_bytes(tail: bytes) -> int:
    """Return the length of a footer with what follows it, by the end of its file."""
    return int.from_bytes(tail[-_FOOTER_END_BYTES : -len(_MAGIC)], "little") + _FOOTER_END_BYTES


def _holds_footer(tail: bytes) -> bool:
    return tail[-len(_MAGIC) :] == _MAGIC and _footer_bytes(tail) <= len(tail)


def _read(path: Path) -> bytes:
    """Return the contents of a file; nothing where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
