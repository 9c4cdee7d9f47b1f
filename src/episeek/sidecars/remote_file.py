"""Read a sidecar table in a store: first its identity and its end, which contains the footer.

One request reads the end and gives the identity. All later reads of the file have to come from the same version.
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
"""Number of bytes that are read at the end of a table.

They contain the footer of a table of 100 million samples, or a whole table of 21,000 samples. At 100 Mbit/s their transfer takes as
long as a round trip of 20 ms. Therefore a table of up to this size is fetched whole.
"""

_MAGIC = b"PAR1"
_FOOTER_END_BYTES = 8
"""Number of bytes after the footer: its length as a little-endian uint32, and the magic number."""

_EXPECTED = "a Parquet table with its footer"


@dataclass(frozen=True, slots=True, eq=False)
class RemoteFile:
    """One version of a table in a store."""

    source: StoreSource
    path: str
    identity: FileIdentity
    tail: bytes
    """The end of the file, with the whole footer in it."""
    footer: pq.FileMetaData
    kept: KeptVersion | None
    """The local folder for the parts of the table; None if they cannot be kept."""

    @property
    def where(self) -> str:
        """Path or URL of the file."""
        return f"{self.source.root}/{self.path}"

    def fetch_whole(self) -> Buffer:
        """Fetch all bytes of the file, and return them, mapped if they can be kept on this machine.

        Raises:
            ChangedFileError: The file in the store has changed.
            ReadError: The store does not deliver the file.
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
        """Raise ChangedFileError if the bytes that were read last may come from another version than the footer.

        The identity in the store's answers is compared. If the answers have none, the footer, which contains the build id, is read
        again and compared.
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


def open_remote_file(source: StoreSource, path: str, *, whole: bool) -> Buffer | RemoteFile:
    """Return a whole table if it is small or already on this machine, and otherwise a `RemoteFile` with its end.

    Args:
        source: The source of the dataset's root.
        path: The table's file.
        whole: Whether to fetch the whole table in any case.

    Raises:
        MissingFileError, AccessError, ChangedFileError, ReadError: Errors of the source.
        MissingSidecarError: Another process has just removed the local copy.
        SidecarLayoutError: The file has no footer.
    """
    hub = hub_repository(source)
    if hub is not None:
        copy = hub.downloaded(path)
        if copy is None and (whole or source.identity(path).size <= TAIL_BYTES):
            copy = hub.download(path)
        if copy is not None:
            return open_buffer(str(copy))
    file = _kept_file(source, path) or _fetched_file(source, path)
    return file.fetch_whole() if whole and isinstance(file, RemoteFile) else file


def _kept_file(source: StoreSource, path: str) -> Buffer | RemoteFile | None:
    """Return the current version of a file from its local copy, or None if neither the whole file nor its end is kept."""
    name = Path(path).name
    folder = kept_versions(source, path)
    if folder is None or not folder.is_dir():
        return None
    identity = source.identity(path)
    kept = kept_version(source, path, identity)
    if kept is None:
        return None
    if is_whole(kept.path(name), identity):
        return open_buffer(str(kept.path(name)))
    try:
        tail = kept.path(_tail_name(name)).read_bytes()
        return RemoteFile(source, path, identity, tail, _parsed(tail, f"{source.root}/{path}"), kept)
    except (OSError, SidecarLayoutError):
        # the kept end is missing or damaged
        return None


def _fetched_file(source: StoreSource, path: str) -> Buffer | RemoteFile:
    """Fetch the last `TAIL_BYTES` bytes of a file. Return the whole file if it has no more bytes, otherwise a `RemoteFile`.

    A footer that is longer than `TAIL_BYTES` is fetched completely.
    """
    name, where = Path(path).name, f"{source.root}/{path}"
    tail = source.get_tail(path, TAIL_BYTES)
    identity = source.identity(path)
    kept = kept_version(source, path, identity)
    if len(tail) == identity.size:
        target = None if kept is None else kept.keep(name, [tail])
        return tail if target is None else open_buffer(str(target))
    size = _footer_bytes(tail)
    if tail.endswith(_MAGIC) and len(tail) < size <= identity.size:
        tail = source.get_ranges(path, [(identity.size - size, identity.size - len(tail))])[0] + tail
    file = RemoteFile(source, path, identity, tail, _parsed(tail, where), kept)
    if kept is not None:
        kept.keep(_tail_name(name), [tail])
    return file


def _parsed(tail: bytes, where: str) -> pq.FileMetaData:
    """Return the footer at the end of a file. Raises SidecarLayoutError."""
    if not tail.endswith(_MAGIC):
        raise SidecarLayoutError(where, "no footer at its end", _EXPECTED)
    if _footer_bytes(tail) > len(tail):
        raise SidecarLayoutError(where, f"a footer of {_footer_bytes(tail)} bytes, longer than the file", _EXPECTED)
    try:
        return pq.read_metadata(pa.BufferReader(_MAGIC + tail[-_footer_bytes(tail) :]))
    except (pa.ArrowException, OSError) as error:
        raise SidecarLayoutError(where, first_line(error), _EXPECTED) from None


def _tail_name(name: str) -> str:
    return f"{name}.tail"


def _footer_bytes(tail: bytes) -> int:
    """Return the length of a footer in bytes, including the 8 bytes after the footer, given the last bytes of the file."""
    return int.from_bytes(tail[-_FOOTER_END_BYTES : -len(_MAGIC)], "little") + _FOOTER_END_BYTES
