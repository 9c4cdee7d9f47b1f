"""Copy files from one root to another: as bytes, as clones, or as hard links."""

import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import closing, suppress
from typing import Final, Literal

from episeek.errors import DestinationError, ReadError
from episeek.stores.byte_source import StoreSource
from episeek.stores.requests.errors import store_errors
from episeek_pipelines.dataset.cloning import clone_contents
from episeek_pipelines.dataset.local_files import writing
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.words import counted, human_bytes

Way = Literal["copy", "clone", "hardlink"]
"""How a file gets to another root: as a copy of its bytes, as a clone that shares disk blocks, or as a hard link."""

_TRIAL_DIR: Final = ".episeek-work/trial"
"""The folder below a destination in which a file is cloned to find out whether the file system can clone."""

_RANGE_BYTES: Final = 1 << 22
"""Number of bytes that are read at once."""

_RANGES_IN_FLIGHT: Final = 4
"""Number of ranges that are requested from a store at the same time."""


def copy_file(
    source: Root, destination: Root, path: str, *, way: Way = "copy", reader: StoreSource | None = None
) -> Way:
    """Copy a file to the same relative path of another root, and return the way that was used.

    A file that cannot be cloned or hard-linked is copied, for example between two file systems. A file is also copied in place of a
    hard link if its path contains a symbolic link: other datasets may use the target, such as a blob in the Hub client's cache.

    Args:
        source: The root to read from.
        destination: The root to write to.
        path: The file, relative to both.
        way: The preferred way.
        reader: The opened `StoreSource` of a source in a store, through which the file is read; None to open a new one.

    Raises:
        MissingFileError, ReadError: The file cannot be read.
        WriteError: The copy cannot be written.
    """
    if (held := source.held(path)) is not None:
        destination.write_bytes(path, held)
        return "copy"
    if source.is_local and not (source.local / path).is_file():
        raise ReadError(source.join(path), "no regular file", "a file that can be copied")
    are_local = source.is_local and destination.is_local
    if way == "hardlink" and are_local and _has_no_links(source, path) and _hard_link(source, destination, path):
        return "hardlink"
    with destination.output(path) as out:
        if way == "clone" and are_local:
            with store_errors(source.join(path)):
                handle = os.open(source.join(path), os.O_RDONLY)
            try:
                if clone_contents(handle, out.fileno()):
                    return "clone"
            finally:
                os.close(handle)
        with closing(_contents(source, path, reader)) as parts:
            while True:
                # Without this conversion, an error of the source would be reported as an error of the destination.
                with store_errors(source.join(path)):
                    data = next(parts, b"")
                if not data:
                    break
                out.write(data)
    return "copy"


def require_room(source: Root, destination: Root, sizes: Mapping[str, int], *, way: Way) -> None:
    """Raise DestinationError unless a local destination has room for the files.

    Hard links take no room. For clones, the smallest file is cloned first to find out whether the file system can clone.

    Args:
        source: The root to read from.
        destination: The root to write to, which exists.
        sizes: Size of each file in bytes, by path. Files that the destination already has do not count.
        way: The preferred way to copy the files.

    Raises:
        DestinationError: The copies need more space than is free.
    """
    # a broken symbolic link has no size, and the attempt to copy it raises an error
    wanted = {path: size for path, size in sizes.items() if size and not destination.exists(path)}
    if way == "hardlink" or not destination.is_local or not wanted:
        return
    if way == "clone" and source.is_local:
        trial = Root(destination.join(_TRIAL_DIR))
        try:
            if copy_file(source, trial, min(wanted, key=lambda path: (wanted[path], path)), way=way) == "clone":
                return
        finally:
            destination.remove(_TRIAL_DIR)
    needed, free = sum(wanted.values()), shutil.disk_usage(destination.local).free
    if needed > free:
        expected = f"{human_bytes(needed)} for copies of {counted(len(wanted), 'file')}"
        hint = "choose another file system; or leave the videos in the source (--videos none)"
        raise DestinationError(str(destination), f"{human_bytes(free)} of free space", expected, hint)


def _has_no_links(source: Root, path: str) -> bool:
    """Return whether the path from a local root to a file contains no symbolic link."""
    return (source.local / path).resolve() == source.local.resolve() / path


def _hard_link(source: Root, destination: Root, path: str) -> bool:
    """Make a hard link. Return False if the file systems do not allow it."""
    target = destination.local / path
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):
            target.unlink(missing_ok=True)
            os.link(source.local / path, target)
            return True
    return False


def _contents(root: Root, path: str, reader: StoreSource | None) -> Generator[bytes]:
    """Yield the bytes of a file, a few mebibytes at a time."""
    if root.is_local:
        with open(root.join(path), "rb") as stream:
            while data := stream.read(_RANGE_BYTES):
                yield data
        return
    source = reader or root.source()
    size = source.identity(path).size
    for start in range(0, size, _RANGES_IN_FLIGHT * _RANGE_BYTES):
        bounds = range(start, min(start + _RANGES_IN_FLIGHT * _RANGE_BYTES, size), _RANGE_BYTES)
        yield from source.get_ranges(path, [(at, min(at + _RANGE_BYTES, size)) for at in bounds])
