"""Sidecar tables of a store, kept on this machine so that they can be mapped: by one process after the other, and by many at once.

Files of a Hub repository are kept in the Hub's own cache. Those of other stores are kept below `$EPISEEK_CACHE`, else
`$XDG_CACHE_HOME/episeek`, else `~/.cache/episeek`, by URL and store identity; a new version replaces the one before. The
directory may be removed at any time. Where a store gives no identity, nothing is kept.
"""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from episeek.stores.byte_source import ByteSource
from episeek.stores.transports.hub.source import HubSource

_PART_BYTES = 1 << 26
"""Of one request; of a larger table, some parts are in memory at once."""


def cache_directory() -> Path:
    """Where sidecars of stores are kept."""
    given = os.environ.get("EPISEEK_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "episeek")


def local_copy(source: ByteSource, path: str) -> Path | None:
    """A file of a store on this machine, fetched unless it is there; None where it cannot be kept.

    Raises:
        MissingFileError, ReadError: As the source's.
    """
    if isinstance(source, HubSource) and source.location.kind != "buckets":
        return source.download(path)
    identity = source.identity(path)
    if not identity.store_id:
        return None
    url = hashlib.sha256(f"{source.root}/{path}".encode()).hexdigest()[:24]
    version = hashlib.sha256(f"{identity.size} {identity.store_id}".encode()).hexdigest()[:24]
    kept = cache_directory()
    if kept.parts[:1] == ("~",):  # no home directory
        return None
    folder = kept / url
    target = folder / version / Path(path).name
    with suppress(OSError):
        if target.stat().st_size == identity.size:
            return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError:  # a read-only home, no space: it is used from memory
        return None
    try:
        with os.fdopen(handle, "wb") as stream:
            for start in range(0, identity.size, _PART_BYTES):
                stop = min(start + _PART_BYTES, identity.size)
                stream.write(source.get_ranges(path, [(start, stop)])[0])
        os.replace(name, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(name)
        if isinstance(error, OSError) and error.errno is not None:  # this machine's, not the store's
            return None
        raise
    _remove_others(folder, version)
    return target


def _remove_others(folder: Path, version: str) -> None:
    """Earlier versions; who has one mapped keeps it. Other processes may be removing them, too."""
    for other in list(folder.iterdir()):
        if other.name != version:
            with suppress(OSError):
                for file in other.iterdir():
                    file.unlink(missing_ok=True)
                other.rmdir()
