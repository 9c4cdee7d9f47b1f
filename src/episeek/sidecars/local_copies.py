"""Local copies of the sidecar tables of a store, so that they can be mapped, also by several processes at once.

Files of a Hub repository are kept in the Hub's own cache. Files of other stores are kept below `$EPISEEK_CACHE`, else
`$XDG_CACHE_HOME/episeek`, else `~/.cache/episeek`, by URL and store identity; a new version replaces the previous one. The
directory may be removed at any time. Where a store gives no identity, nothing is kept.
"""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from episeek.stores.byte_source import ByteSource
from episeek.stores.kinds import is_hub

_PART_BYTES = 1 << 26
"""Length of one request."""


def cache_directory() -> Path:
    """Return the directory for local copies of sidecar tables."""
    directory = os.environ.get("EPISEEK_CACHE")
    if directory:
        return Path(directory)
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "episeek")


def local_copy(source: ByteSource, path: str) -> Path | None:
    """Return the path of a local copy of a file in a store, and fetch the file if there is none.

    Returns:
        None where the file cannot be kept: the store gives no identity, or the directory cannot be written.

    Raises:
        MissingFileError, ReadError: As those of the source.
    """
    if is_hub(source.root):
        from episeek.stores.transports.hub.source import HubSource

        if isinstance(source, HubSource) and source.location.kind != "buckets":
            return source.download(path)
    identity = source.identity(path)
    if not identity.store_id:
        return None
    url = hashlib.sha256(f"{source.root}/{path}".encode()).hexdigest()[:24]
    version = hashlib.sha256(f"{identity.size} {identity.store_id}".encode()).hexdigest()[:24]
    directory = cache_directory()
    if directory.parts[:1] == ("~",):
        # the user has no home directory
        return None
    folder = directory / url
    target = folder / version / Path(path).name
    with suppress(OSError):
        if target.stat().st_size == identity.size:
            return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError:
        # the home is read-only, or the disk is full: the table is read into memory instead
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
        if isinstance(error, OSError) and error.errno is not None:
            # an error of this machine, not of the store
            return None
        raise
    _remove_others(folder, version)
    return target


def _remove_others(folder: Path, version: str) -> None:
    """Remove other versions of a file. Processes that have one mapped keep it; others may be removing them as well."""
    for other in list(folder.iterdir()):
        if other.name != version:
            with suppress(OSError):
                for file in other.iterdir():
                    file.unlink(missing_ok=True)
                other.rmdir()
