"""Local copies of sidecars (tables of the video index) in a store, so that several processes can map them.

Whole files of a Hub repository are kept in the Hub's own cache. Everything else is kept below `$EPISEEK_CACHE`, or else
`$XDG_CACHE_HOME/episeek`, or else `~/.cache/episeek`, by URL and store identity. Small files are kept whole. For large files, each
part that was needed is kept in a separate file, which appears complete or not at all. A new version replaces the previous version.
The directory may be removed at any time. If a store gives no identity, nothing is kept.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from episeek.stores.byte_source import ByteSource
from episeek.stores.identity import FileIdentity
from episeek.stores.kinds import is_hub

if TYPE_CHECKING:
    from episeek.stores.transports.hub.source import HubSource

_PART_BYTES = 1 << 26
"""Greatest number of bytes of one request."""


def cache_directory() -> Path:
    """Return the directory for local copies of sidecar tables."""
    directory = os.environ.get("EPISEEK_CACHE")
    if directory:
        return Path(directory)
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "episeek")


@dataclass(frozen=True, slots=True)
class KeptVersion:
    """The folder of one version of a file, which contains the whole file or parts of it."""

    folder: Path
    """The folder of all versions of the file."""
    version: str

    def path(self, name: str) -> Path:
        """Return the path of the whole file or of a part of it, by its name. The path need not exist."""
        return self.folder / self.version / name

    def keep(self, name: str, pieces: Iterable[bytes]) -> Path | None:
        """Write a file that appears whole or not at all, remove other versions, and return its path.

        Returns:
            The path, or None if this machine cannot write the file, for example because the disk is full.
        """
        target = self.path(name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{name}.")
        except OSError:
            return None
        try:
            with os.fdopen(handle, "wb") as stream:
                for piece in pieces:
                    stream.write(piece)
            os.replace(temporary, target)
        except BaseException as error:
            with suppress(OSError):
                os.unlink(temporary)
            if isinstance(error, OSError) and error.errno is not None:
                # an error of this machine, not of the store
                return None
            raise
        _remove_others(self.folder, self.version)
        return target


def kept_versions(source: ByteSource, path: str) -> Path | None:
    """Return the folder for the local copies of all versions of a file, or None if the user has no home directory.

    The folder may not exist yet.
    """
    directory = cache_directory()
    if directory.parts[:1] == ("~",):
        return None
    return directory / hashlib.sha256(f"{source.root}/{path}".encode()).hexdigest()[:24]


def kept_version(source: ByteSource, path: str, identity: FileIdentity) -> KeptVersion | None:
    """Return the folder for the local copy of a version of a file.

    Return None if the store gives the file no identity, or if the user has no home directory.
    """
    folder = kept_versions(source, path)
    if folder is None or not identity.store_id:
        return None
    version = hashlib.sha256(f"{identity.size} {identity.store_id}".encode()).hexdigest()[:24]
    return KeptVersion(folder, version)


def local_copy(source: ByteSource, path: str) -> Path | None:
    """Return the path of a local copy of a file in a store, and fetch the file if it has no copy yet.

    Returns:
        The path, or None if no copy can be kept, because the store gives the file no identity or the directory cannot be written.

    Raises:
        MissingFileError, ReadError: Errors of the source.
    """
    hub = hub_repository(source)
    if hub is not None:
        return hub.download(path)
    identity = source.identity(path)
    kept = kept_version(source, path, identity)
    if kept is None:
        return None
    target = kept.path(Path(path).name)
    if is_whole(target, identity):
        return target
    return kept.keep(target.name, fetched_pieces(source, path, identity.size))


def hub_repository(source: ByteSource) -> "HubSource | None":
    """Return the source if it reads a Hub repository, whose whole files are kept in the Hub's cache, or None otherwise."""
    if is_hub(source.root):
        from episeek.stores.transports.hub.source import HubSource

        if isinstance(source, HubSource) and source.location.kind != "buckets":
            return source
    return None


def is_whole(path: Path, identity: FileIdentity) -> bool:
    """Return whether a local copy exists and has the size of the original file."""
    try:
        return path.stat().st_size == identity.size
    except OSError:
        return False


def fetched_pieces(source: ByteSource, path: str, stop: int) -> Iterator[bytes]:
    """Yield the bytes `[0, stop)` of a file in pieces of up to 64 MiB."""
    for start in range(0, stop, _PART_BYTES):
        yield source.get_ranges(path, [(start, min(start + _PART_BYTES, stop))])[0]


def _remove_others(folder: Path, version: str) -> None:
    """Remove the local copies of all other versions of a file.

    A process that has mapped such a copy can still use it. Several processes may remove the same copies at the same time.
    """
    with suppress(OSError):
        for other in list(folder.iterdir()):
            if other.name != version:
                with suppress(OSError):
                    for file in other.iterdir():
                        file.unlink(missing_ok=True)
                    other.rmdir()
