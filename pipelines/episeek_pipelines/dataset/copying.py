"""Copying a file from one root to another."""

import os
from collections.abc import Generator
from contextlib import closing, suppress
from typing import Final

from episeek.errors import ReadError
from episeek.stores.requests.errors import store_errors
from episeek_pipelines.dataset.local_files import writing
from episeek_pipelines.dataset.root import Root

_RANGE_BYTES: Final = 1 << 22
"""Bytes read at once."""

_RANGES_IN_FLIGHT: Final = 4
"""Ranges that are requested from a store at the same time."""


def copy_file(source: Root, destination: Root, path: str, *, link: bool = False) -> None:
    """Copy a file to the same relative path of another root.

    Args:
        source: The root to read from.
        destination: The root to write to.
        path: The file, relative to both.
        link: Make a hard link where the file system allows it.

    Raises:
        MissingFileError, ReadError: The file cannot be read.
        WriteError: The copy cannot be written.
    """
    if source.is_local and not (source.local / path).is_file():
        raise ReadError(source.join(path), "no regular file", "a file that can be copied")
    if link and destination.is_local and source.is_local:
        target = destination.local / path
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            # Another file system, or one without hard links, gets a copy.
            with suppress(OSError):
                target.unlink(missing_ok=True)
                os.link((source.local / path).resolve(), target)
                return
    with closing(_contents(source, path)) as parts, destination.output(path) as out:
        while True:
            # Without this, a fault of the source would be reported as one of the destination.
            with store_errors(source.join(path)):
                data = next(parts, b"")
            if not data:
                break
            out.write(data)


def _contents(root: Root, path: str) -> Generator[bytes]:
    """Yield the bytes of a file, some mebibytes at a time."""
    if root.is_local:
        with open(root.join(path), "rb") as stream:
            while data := stream.read(_RANGE_BYTES):
                yield data
        return
    source = root.source()
    size = source.identity(path).size
    for start in range(0, size, _RANGES_IN_FLIGHT * _RANGE_BYTES):
        bounds = range(start, min(start + _RANGES_IN_FLIGHT * _RANGE_BYTES, size), _RANGE_BYTES)
        yield from source.get_ranges(path, [(at, min(at + _RANGE_BYTES, size)) for at in bounds])
